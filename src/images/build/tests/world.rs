//! Dockerfiles as projects have them: what comes of each is what docker makes of it, and what its documents say.
//!
//! Where docker's own builder knows the form, the expected values were compared with it (dockerd 20.10, `DOCKER_BUILDKIT=0`).

use serde_json::{Value, json};

use super::*;

/// What every image of the course has in its environment.
const ENV: [&str; 2] = ["PATH=/usr/local/bin:/bin", "VERSION=1"];

/// The image's configuration, and the lines that its RUNs started.
async fn built(text: &str) -> (Value, Vec<String>) {
    let files = ["requirements.txt", "pyproject.toml", "src/app/main.py", "src/app/model/weights.bin", "entrypoint.sh"];
    let shop = Shop::of(&files.map(|path| (path, path)));
    shop.write("Dockerfile", text);
    let (image, _) = shop.build().await.unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let file = shop.registries.store().config(&image).unwrap();
    let ran = shop.runner.told.lock().iter().map(|command| command.args.last().unwrap().clone()).collect();
    (serde_json::to_value(file.config).unwrap(), ran)
}

/// These parts of the configuration, and these RUNs.
async fn gives(text: &str, expected: Value, ran: &[&str]) {
    let (config, told) = built(text).await;
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&config[key], value, "{key} of\n{text}");
    }
    assert_eq!(told, ran, "{text}");
}

fn env(more: &[&str]) -> Value {
    json!(ENV.iter().chain(more).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_service_in_python_with_a_builder() {
    let text = r#"# syntax=docker/dockerfile:1
ARG BASE=tutor/shell
ARG TAG=1

FROM ${BASE}:${TAG} AS builder
ARG PIP_VERSION=24.0
ENV PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    # where the packages go
    PATH="/opt/venv/bin:$PATH"

WORKDIR /build
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    python -m venv /opt/venv && \
    # the newest does not work

    pip install "pip==$PIP_VERSION" && \
    pip install -r requirements.txt

FROM ${BASE}:${TAG}
LABEL org.opencontainers.image.source="https://example.com/x" \
      org.opencontainers.image.title="my model" maintainer=me
COPY --from=builder /build /opt/build
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY src/ ./src/
EXPOSE 8000
ENTRYPOINT ["uvicorn"]
CMD ["app.main:app", "--port", "8000"]
"#;
    let run =
        "python -m venv /opt/venv &&     pip install \"pip==$PIP_VERSION\" &&     pip install -r requirements.txt";
    let expected = json!({
        "Env": ["PATH=/opt/venv/bin:/usr/local/bin:/bin", "VERSION=1"],
        "WorkingDir": "/app",
        "ExposedPorts": {"8000/tcp": {}},
        "Entrypoint": ["uvicorn"],
        "Cmd": ["app.main:app", "--port", "8000"],
    });
    gives(text, expected, &[run]).await;
    let (config, _) = built(text).await;
    assert_eq!(config["Labels"]["org.opencontainers.image.title"], "my model");
    assert_eq!(config["Labels"]["maintainer"], "me");
}

#[tokio::test]
async fn environments_of_old_and_new_form() {
    let text = r#"FROM tutor/shell:1
ENV OLD one two   three
ENV QUOTED "a b" c
ENV ESC a\ b
ENV A=1
ENV A=2 B=$A
ENV C=${B:-x}${D:-def}${A:+alt}
ENV E='single $A' F="double $A" G=esc\$A
ENV H="with \"quotes\"" I=a\ b\ c
ENV EMPTY=
ENV J=${EMPTY:-fallback}${EMPTY-none}
ENV LD_LIBRARY_PATH=/usr/lib:${LD_LIBRARY_PATH}
ENV DEEP=${Y:-${Z:-deep}}
ENV PATH /new:$PATH
"#;
    let expected = [
        "PATH=/new:/usr/local/bin:/bin",
        "VERSION=1",
        "OLD=one two   three",
        "QUOTED=a b c",
        "ESC=a b",
        "A=2",
        "B=1",
        "C=1defalt",
        "E=single $A",
        "F=double 2",
        "G=esc$A",
        "H=with \"quotes\"",
        "I=a b c",
        "EMPTY=",
        "J=fallback",
        "LD_LIBRARY_PATH=/usr/lib:",
        "DEEP=deep",
    ];
    gives(text, json!({ "Env": expected }), &[]).await;
}

#[tokio::test]
async fn variables_that_are_cut_and_replaced() {
    let text = r#"FROM tutor/shell:1
ARG WHEEL=torch-2.4.1+cu121-cp311.whl
ENV NAME=${WHEEL%%-*} LAST=${WHEEL##*-} STEM=${WHEEL%.whl} CUDA=${WHEEL#*+}
ENV UNDER=${WHEEL//-/_} FIRST=${WHEEL/-/=} NONE=${WHEEL/x/y}
WORKDIR /opt/${NAME}
EXPOSE ${PORT:-8080} ${METRICS:+9090}9091/udp
"#;
    let more = [
        "NAME=torch",
        "LAST=cp311.whl",
        "STEM=torch-2.4.1+cu121-cp311",
        "CUDA=cu121-cp311.whl",
        "UNDER=torch_2.4.1+cu121_cp311.whl",
        "FIRST=torch=2.4.1+cu121-cp311.whl",
        "NONE=torch-2.4.1+cu121-cp311.whl",
    ];
    let ports = json!({"8080/tcp": {}, "9091/udp": {}});
    gives(text, json!({"Env": env(&more), "WorkingDir": "/opt/torch", "ExposedPorts": ports}), &[]).await;
}

#[tokio::test]
async fn labels_in_every_quotation() {
    let text = r#"FROM tutor/shell:1
LABEL "com.example.vendor"="ACME Incorporated"
LABEL version='1.0' description="This text illustrates \
that label-values can span multiple lines."
LABEL one="1" two="2" empty=""
LABEL old value with spaces
LABEL var="$PATH" lit='$PATH'
"#;
    let (config, _) = built(text).await;
    for (name, value) in [
        ("com.example.vendor", "ACME Incorporated"),
        ("version", "1.0"),
        ("description", "This text illustrates that label-values can span multiple lines."),
        ("one", "1"),
        ("two", "2"),
        ("empty", ""),
        ("old", "value with spaces"),
        ("var", "/usr/local/bin:/bin"),
        ("lit", "$PATH"),
    ] {
        assert_eq!(config["Labels"][name], value, "{name}");
    }
}

#[tokio::test]
async fn ports_volumes_signals_and_folders() {
    let text = r#"FROM tutor/shell:1
ARG PORT=9000
ENV P2=9100
EXPOSE 80 443/TCP 53/udp 8000-8002 $PORT ${P2}/udp
VOLUME /data /logs
VOLUME [ "/a b" , "/c" ]
WORKDIR app
WORKDIR ../c
ENV DIR=sub
WORKDIR $DIR/x/
WORKDIR .
USER nobody:nogroup
STOPSIGNAL sigterm
"#;
    let ports = ["80/tcp", "443/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp", "9000/tcp", "9100/udp"];
    let ports: serde_json::Map<String, Value> = ports.iter().map(|it| ((*it).to_owned(), json!({}))).collect();
    let expected = json!({
        "ExposedPorts": ports,
        "Volumes": {"/data": {}, "/logs": {}, "/a b": {}, "/c": {}},
        "WorkingDir": "/c/sub/x",
        "User": "nobody:nogroup",
        "StopSignal": "sigterm",
    });
    gives(text, expected, &[]).await;
}

#[tokio::test]
async fn health_checks() {
    let text = "FROM tutor/shell:1\nHEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=2s \\\n  \
        --retries=3 \\\n  CMD wget -q -O - http://localhost/ || exit 1\n";
    let check = json!({
        "Test": ["CMD-SHELL", "wget -q -O - http://localhost/ || exit 1"],
        "Interval": 300_000_000_000_u64,
        "Timeout": 3_000_000_000_u64,
        "StartPeriod": 90_000_000_000_u64,
        "StartInterval": 2_000_000_000_u64,
        "Retries": 3,
    });
    gives(text, json!({ "Healthcheck": check }), &[]).await;
    let text = "FROM tutor/shell:1\nHEALTHCHECK --interval=1.5s CMD [\"wget\", \"-q\", \"http://localhost\"]\n";
    let check = json!({"Test": ["CMD", "wget", "-q", "http://localhost"], "Interval": 1_500_000_000_u64});
    gives(text, json!({ "Healthcheck": check }), &[]).await;
    gives("FROM tutor/shell:1\nHEALTHCHECK none\n", json!({"Healthcheck": {"Test": ["NONE"]}}), &[]).await;
}

#[tokio::test]
async fn what_starts_and_how_it_is_said() {
    for (lines, entrypoint, cmd) in [
        ("CMD [\"a\"]\nENTRYPOINT [\"b\"]", json!(["b"]), json!(["a"])),
        ("ENTRYPOINT [\"b\"]\nCMD [\"a\", \"b c\"]\nCMD []", json!(["b"]), Value::Null),
        (
            "CMD   echo   \"a  b\"   'c'   \\\n   && echo d",
            Value::Null,
            json!(["/bin/sh", "-c", "echo   \"a  b\"   'c'      && echo d"]),
        ),
        (
            "ENTRYPOINT [ \"sh\", \"-c\", \"exec \\\"$@\\\"\", \"--\" ]",
            json!(["sh", "-c", "exec \"$@\"", "--"]),
            Value::Null,
        ),
        ("CMD ['python', 'app.py']", Value::Null, json!(["/bin/sh", "-c", "['python', 'app.py']"])),
        (
            "SHELL [\"/bin/sh\", \"-ec\"]\nCMD echo $HOME\nENTRYPOINT run",
            json!(["/bin/sh", "-ec", "run"]),
            json!(["/bin/sh", "-ec", "echo $HOME"]),
        ),
    ] {
        let base = "FROM scratch\nCOPY entrypoint.sh /\nCMD [\"old\"]\n";
        let text = format!("{}{lines}\n", if lines.contains("CMD") { "FROM scratch\n" } else { base });
        let cmd = if lines.contains("CMD") || lines.contains("SHELL") { cmd } else { json!(["old"]) };
        let (config, _) = built(&text).await;
        assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&entrypoint, &cmd), "{text}");
    }
    let inherits = "FROM scratch AS a\nCMD [\"one\"]\nFROM a\nENTRYPOINT [\"two\"]\n";
    gives(inherits, json!({"Entrypoint": ["two"], "Cmd": null}), &[]).await;
}

#[tokio::test]
async fn another_character_escapes() {
    let text = "# escape=`\nFROM tutor/shell:1\nENV A=one`\n B=two\nENV C=\"x`\"y\" D=c:\\dir\nRUN echo a `\n  b\n";
    gives(text, json!({"Env": env(&["A=one", "B=two", "C=x\"y", "D=c:\\dir"])}), &["echo a   b"]).await;
}

#[tokio::test]
async fn lines_as_other_systems_and_other_editors_end_and_indent_them() {
    let text = "\u{feff}  # a comment\r\n  from tutor/shell:1 as Base\r\n\tenv\tA=1\tB=2\r\nRUN\techo hi \\\r\n\t&& echo x\r\n\
        \t# between\r\nRUN echo '# kept' # tail\nfrom base\ncopy --from=Base /made /y\nLabel C=#no\n";
    gives(text, json!({"Env": env(&["A=1", "B=2"])}), &["echo hi \t&& echo x", "echo '# kept' # tail"]).await;
}

#[tokio::test]
async fn arguments_before_and_after_from() {
    let text = "ARG V=1\nARG NAME=shell\nFROM tutor/$NAME:${V} AS base\nARG V\nARG NAME=model-$V\nARG UNSET TARGETARCH\n\
        ENV IMG=${NAME} U=[$UNSET] W=${V:+set} ARCH=${TARGETARCH:?needed}\nARG V=override\nENV V2=$V\n";
    let (config, _) = built(text).await;
    let arch = format!("ARCH={}", crate::images::manifest::architecture());
    assert_eq!(config["Env"], env(&["IMG=model-1", "U=[]", "W=set", &arch, "V2=override"]));
}

#[tokio::test]
async fn documents_for_runs_and_files() {
    let text = r#"# syntax=docker/dockerfile:1.7
FROM tutor/shell:1
ARG MODEL=resnet
RUN <<EOF
set -e
echo "$MODEL" > /model
EOF
RUN <<-'EOT' sh -eu
	echo $HOME
	EOT
RUN python3 <<EOF
print("hi")
EOF
COPY <<config.yaml <<"raw.txt" /etc/app/
model: ${MODEL}
config.yaml
as it is: ${MODEL}
raw.txt
COPY --chmod=755 <<EOF /run.sh
#!/bin/sh
exec serve --model \$MODEL $MODEL
EOF
"#;
    let runs = [
        "set -e\necho \"$MODEL\" > /model\n",
        "<<-'EOT' sh -eu\necho $HOME\nEOT\n",
        "python3 <<EOF\nprint(\"hi\")\nEOF\n",
    ];
    gives(text, json!({}), &runs).await;
    let shop = Shop::of(&[("Dockerfile", text)]);
    let (image, _) = shop.build().await.unwrap();
    assert_eq!(shop.file(&image, "etc/app/config.yaml").as_deref(), Some("model: resnet\n"));
    assert_eq!(shop.file(&image, "etc/app/raw.txt").as_deref(), Some("as it is: ${MODEL}\n"));
    assert_eq!(shop.file(&image, "run.sh").as_deref(), Some("#!/bin/sh\nexec serve --model $MODEL resnet\n"));
}

#[tokio::test]
async fn a_trainer_with_stages_for_development_tests_and_production() {
    let text = r#"FROM --platform=$BUILDPLATFORM tutor/shell:1 AS deps
WORKDIR /deps
COPY --link requirements.txt pyproject.toml ./
RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --network=none pip install -r /tmp/requirements.txt

FROM deps AS test
RUN pytest
FROM deps AS dev
CMD ["bash"]

FROM tutor/shell:1 AS prod
COPY --from=deps --chown=1000:1000 /deps /deps
COPY --from=0 /deps/requirements.txt /r0
ONBUILD COPY . /app
ONBUILD RUN echo built
USER 1000
ENTRYPOINT ["torchrun", "--nproc_per_node=1"]
CMD ["train.py"]
"#;
    let expected = json!({
        "User": "1000",
        "Entrypoint": ["torchrun", "--nproc_per_node=1"],
        "Cmd": ["train.py"],
        "OnBuild": ["COPY . /app", "RUN echo built"],
    });
    gives(text, expected, &["pip install -r /tmp/requirements.txt"]).await;
}

#[tokio::test]
async fn a_proxy_is_seen_by_every_run_and_in_no_image() {
    let text = "FROM tutor/shell:1\nRUN one\n";
    let mut shop = Shop::of(&[("Dockerfile", text)]);
    let seen = |shop: &Shop| -> Vec<String> {
        let told = shop.runner.told.lock();
        let proxies = told.last().unwrap().env.iter().filter(|(name, _)| name.eq_ignore_ascii_case("http_proxy"));
        proxies.map(|(name, value)| format!("{name}={value}")).collect()
    };
    shop.request.arguments = vec![("HTTP_PROXY".into(), "http://a:1".into())];
    let (image, _) = shop.build().await.unwrap();
    assert_eq!(seen(&shop), ["HTTP_PROXY=http://a:1"]);
    let file = shop.registries.store().config(&image).unwrap();
    assert!(!serde_json::to_string(&file).unwrap().contains("a:1"));
    shop.request.arguments[0].1 = "http://b:1".into();
    assert_eq!(shop.build().await.unwrap().1, [2], "another proxy makes no other image");
}

#[tokio::test]
async fn what_docker_refuses_is_refused_with_its_line() {
    for (text, expected) in [
        (
            "FROM tutor/shell:1\nENTRYPOINT [ \"a\", 1 ]",
            "Dockerfile:2: ENTRYPOINT cannot be read: 1 in the list is no text",
        ),
        ("FROM tutor/shell:1\nENV A=a\\\n\n  b\n", "Dockerfile:2: ENV cannot be read: b is not NAME=value"),
        ("FROM tutor/shell:1\nARG A\nENV X=${A:?say-which}", "Dockerfile:3: a variable cannot be put in: A: say-which"),
        (
            "FROM tutor/shell:1\nCOPY src nothing.txt /x/",
            "Dockerfile:2: the files cannot be copied: nothing.txt is not in",
        ),
        ("FROM tutor/shell:1\nUSER", "Dockerfile:2: USER cannot be read: USER needs an argument"),
        (
            "FROM tutor/shell:1\nHEALTHCHECK --interval=5 CMD x",
            "Dockerfile:2: the instruction makes no sense: 5 is no time",
        ),
    ] {
        let shop = Shop::of(&[("Dockerfile", text), ("src/a", "")]);
        let said = shop.fault().await;
        assert!(said.contains(expected), "{text}: {said}");
    }
}
