//! Part 1 in the page: images are built, pushed and pulled, and real containers run them.

use std::fmt::Write;

use tutor::course::catalogue::Catalogue;
use tutor::course::progress::ProgressFile;

use super::reader::{Bare, Reader};
use crate::webdriver::Browser;

/// A Pod of the exercise on what is shared.
fn pod(name: &str, containers: &[&str], more: &str) -> String {
    let mut text = format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  terminationGracePeriodSeconds: 1\n"
    );
    writeln!(text, "{more}  containers:").unwrap();
    for container in containers {
        write!(text, "  - name: {container}\n    image: tutor/shell:1\n    command: [sleep, \"3600\"]\n").unwrap();
    }
    text
}

#[test]
fn every_exercise_of_part_1_is_solved_in_the_page() {
    if crate::native::is_refused() {
        return;
    }
    let Some(browser) = Browser::start() else { return };
    let state = tempfile::tempdir().unwrap();
    let bare = Bare::start(state.path(), "127.0.0.1:0", "native");
    let reader = Reader::at(&browser);
    containers(&reader, &bare);
    images(&reader, &bare);
    registries(&reader, &bare);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let progress = ProgressFile::new(state.path()).read().unwrap();
    let part = Catalogue::get().unwrap().iter().filter(|exercise| exercise.part == "servers");
    let left: Vec<&str> =
        part.map(|exercise| &*exercise.name).filter(|name| progress.of(name).passed.is_none()).collect();
    assert_eq!(left, Vec::<&str>::new(), "every exercise of the part is solved");
    bare.interrupt();
}

fn containers(reader: &Reader<'_>, bare: &Bare) {
    let page = bare.page("servers/containers");
    reader.starts(&page, "what-is-shared");
    let pods = [
        pod("left", &["shell"], ""),
        pod("right", &["shell"], ""),
        pod("pair", &["a", "b"], "  shareProcessNamespace: true\n"),
    ];
    reader.edits("what-is-shared", "pods.yaml", &pods.concat(), "Apply");
    reader.comes("pod/pair created");
    reader.types("kubectl wait pod/left pod/right pod/pair --for=condition=Ready --timeout=120s");
    // Whoever looks first can answer.
    let seen =
        reader.types("for pod in left right pair; do kubectl exec $pod -- cat /proc/sys/kernel/random/boot_id; done");
    let kernels: Vec<&str> = seen.lines().filter(|line| line.split('-').map(str::len).eq([8, 4, 4, 4, 12])).collect();
    assert!(kernels.len() == 3 && kernels.iter().all(|kernel| *kernel == kernels[0]), "{seen}");
    let answers = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: answer\ndata:\n  kernel: same\n  hostname: own\n  processes: own\n  \
        files: own\n  network: own\n  pair-hostname: same\n  pair-files: own\n  pair-network: same\n";
    reader.edits("what-is-shared", "answer.yaml", answers, "Apply");
    reader.comes("configmap/answer created");
    reader.browser.picture("part-1-what-is-shared");
    reader.passes("what-is-shared");

    reader.starts(&page, "memory-limit");
    reader.types("kubectl set resources deployment greedy --limits=memory=64Mi");
    reader.passes("memory-limit");
}

fn images(reader: &Reader<'_>, bare: &Bare) {
    let page = bare.page("servers/images");
    reader.starts(&page, "build-an-image");
    let dockerfile = "FROM tutor/shell:1\nRUN head -c 24000000 /dev/zero > /raw && wc -c < /raw > /size && rm /raw\nCOPY report.sh /report.sh\nCMD [\"sh\", \"/report.sh\"]\n";
    reader.edits("build-an-image", "Dockerfile", dockerfile, "Save");
    // What is no YAML is not taken for a broken one.
    assert_eq!(reader.browser.script("return document.querySelectorAll('.tutor-editor .marks li').length", ""), 0);
    reader.browser.picture("part-1-dockerfile");
    reader.types("cd ~/build-an-image");
    reader.types("tutor image build -t build-an-image:1 .");
    reader.types("kubectl run report --image=build-an-image:1 --labels=app=report");
    reader.passes("build-an-image");
    reader.browser.picture("part-1-build-an-image");

    reader.starts(&page, "layer-order");
    let dockerfile = "FROM tutor/shell:1\nCOPY install.sh requirements.txt /app/\nRUN sh /app/install.sh /app/requirements.txt\nCOPY app.sh /app/\nCMD [\"sh\", \"/app/app.sh\"]\n";
    reader.edits("layer-order", "Dockerfile", dockerfile, "Save");
    reader.types("cd ~/layer-order");
    reader.types("tutor image build -t layer-order:1 .");
    reader.edits("layer-order", "app.sh", "echo \"version 2 with $(ls /packages)\"\nsleep 3600\n", "Save");
    let built = reader.types("tutor image build -t layer-order:2 .");
    assert!(built.lines().any(|line| line.contains("RUN") && line.contains("CACHED")), "{built}");
    reader.passes("layer-order");

    reader.starts(&page, "two-versions");
    reader.types("cd ~/two-versions");
    reader.types("cat > Dockerfile <<'END'\nFROM tutor/shell:1\nARG PROGRAM\nARG TOOL\nCOPY tool-$TOOL.sh /lib/tool.sh\nCOPY $PROGRAM.sh /program.sh\nCMD [\"sh\", \"/program.sh\"]\nEND");
    for (program, tool) in [("billing", 1), ("reports", 2)] {
        reader.types(&format!(
            "tutor image build -t two-versions:{program} --build-arg PROGRAM={program} --build-arg TOOL={tool} ."
        ));
        reader.types(&format!("kubectl run {program} --image=two-versions:{program} --labels=app={program} --overrides='{{\"spec\": {{\"nodeName\": \"node-1\"}}}}'"));
    }
    reader.passes("two-versions");
}

fn registries(reader: &Reader<'_>, bare: &Bare) {
    let page = bare.page("servers/registries");
    reader.starts(&page, "push-and-pull");
    // The page says the playground's own address where the book has the usual one.
    let registry = bare.ready["registry"].as_str().unwrap();
    let own = "const [registry, done] = arguments; (function look() {
        const codes = [...document.querySelectorAll('section.exercise[data-exercise=push-and-pull] p code')];
        if (codes.some((code) => code.textContent === registry)) done(true); else setTimeout(look, 50);
    })()";
    assert_eq!(reader.browser.comes(own, registry), true);
    reader.types("cd ~/push-and-pull");
    reader.types(&format!("tutor image build -t {registry}/push-and-pull:1 ."));
    reader.types(&format!("tutor image push {registry}/push-and-pull:1"));
    assert!(reader.types(&format!("curl -s http://{registry}/v2/push-and-pull/tags/list")).contains("\"1\""));
    reader.types(&format!("kubectl create deployment hello --image={registry}/push-and-pull:1"));
    reader.passes("push-and-pull");

    reader.starts(&page, "tag-drift");
    reader.types("kubectl set image deployment/api api=$(kubectl get pods -l app=api -o jsonpath='{.items[0].status.containerStatuses[0].imageID}')");
    reader.types("kubectl rollout status deployment/api --timeout=120s");
    reader.passes("tag-drift");

    reader.starts(&page, "private-pull");
    reader.types("kubectl create secret docker-registry vault-login --docker-server=$(kubectl get configmap login -o jsonpath={.data.registry}) --docker-username=$(kubectl get configmap login -o jsonpath={.data.username}) --docker-password=$(kubectl get configmap login -o jsonpath={.data.password})");
    reader.types("kubectl patch deployment vault -p '{\"spec\": {\"template\": {\"spec\": {\"imagePullSecrets\": [{\"name\": \"vault-login\"}]}}}}'");
    reader.passes("private-pull");
    reader.browser.picture("part-1-private-pull");
}
