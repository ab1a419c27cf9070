//! Builds as their users meet them: what is in the image, what is done again, what is told when it fails.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use parking_lot::Mutex;

use super::*;
use crate::clock::Clock;
use crate::images::Store;
use crate::tasks::TaskGroup;

mod files;
mod world;

/// A machine that can do one thing: write `made` with what it was told.
#[derive(Default)]
struct Fake {
    ran: AtomicU32,
    told: Mutex<Vec<Command>>,
    /// What was in what was mounted.
    saw: Mutex<Vec<Vec<String>>>,
}

/// A file's text; or a folder's files with theirs.
fn shown(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let inside = fs::read_dir(path).unwrap().flatten();
    let files = inside.map(|it| format!("{}: {}", it.file_name().to_string_lossy(), shown(&it.path())));
    files.collect::<Vec<_>>().join(" ")
}

impl Runner for Fake {
    fn run<'a>(&'a self, command: Command, said: &'a (dyn Fn(&str) + Send + Sync)) -> BoxFuture<'a, Result<Ran>> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        said("working");
        fs::create_dir_all(command.changes.join("etc")).unwrap();
        fs::write(command.changes.join("etc/resolv.conf"), "the runtime's").unwrap();
        fs::write(command.changes.join("made"), command.args.join(" ")).unwrap();
        // As the runtime does: what is mounted needs something to be mounted on.
        for mount in &command.mounts {
            let place = command.changes.join(mount.target.strip_prefix("/").unwrap());
            match mount.source.is_dir() {
                true => fs::create_dir_all(place).unwrap(),
                false => {
                    fs::create_dir_all(place.parent().unwrap()).unwrap();
                    fs::write(place, "").unwrap();
                }
            }
        }
        self.saw.lock().push(command.mounts.iter().map(|mount| shown(&mount.source)).collect());
        let code = i32::from(command.args.last().is_some_and(|word| word.contains("fail")));
        self.told.lock().push(command);
        async move { Ok(Ran { code, kept: Kept::Changes }) }.boxed()
    }
}

/// A folder to build, and a store.
struct Shop {
    context: tempfile::TempDir,
    _folder: tempfile::TempDir,
    registries: Registries,
    runner: Fake,
    request: Request,
}

impl Shop {
    fn of(files: &[(&str, &str)]) -> Shop {
        let (context, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(folder.path()).unwrap();
        // Of the course's images only the configuration counts here.
        let program = folder.path().join("program");
        fs::write(&program, "").unwrap();
        let registries = Registries::new(store, Clock::real(), &TaskGroup::new()).unwrap().made_of(program);
        let request = Request {
            context: context.path().to_owned(),
            file: None,
            name: ImageName::parse("app:1").unwrap(),
            target: None,
            arguments: Vec::new(),
            secrets: Vec::new(),
            cache: Cached::Use,
            network: Network::None,
        };
        let shop = Shop { context, _folder: folder, registries, runner: Fake::default(), request };
        files.iter().for_each(|(path, text)| shop.write(path, text));
        shop
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.context.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Builds; the image, and the steps that were taken from the cache.
    async fn build(&self) -> Result<(Stored, Vec<usize>)> {
        let cached = Mutex::new(Vec::new());
        let report = |progress: Progress<'_>| {
            if let Progress::Step { number, cached: true, .. } = progress {
                cached.lock().push(number);
            }
        };
        let built = build(&self.registries, &self.runner, &self.request, &report).await?;
        Ok((built, cached.into_inner()))
    }

    async fn fault(&self) -> String {
        let error = self.build().await.unwrap_err();
        format!("{error} | {}", error.hints.join(" | ")).replace(&format!("{}/", self.context.path().display()), "")
    }

    /// The entries of one of its layers: path, permissions, owner.
    fn entries(&self, image: &Stored, layer: usize) -> Vec<String> {
        let digest = crate::registry::Digest::parse(&image.layers[layer]).unwrap();
        let mut archive = tar::Archive::new(fs::File::open(self.registries.store().content.path(&digest)).unwrap());
        let shown = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
            let entry = entry.unwrap();
            let (header, path) = (entry.header(), entry.path().unwrap());
            let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
            format!("{} {:o} {uid}:{gid}", path.display(), header.mode().unwrap())
        };
        archive.entries().unwrap().map(shown).collect()
    }

    /// A file of the image.
    fn file(&self, image: &Stored, path: &str) -> Option<String> {
        let unpacked = self.registries.store().unpack(image).unwrap();
        let found = unpacked.layers.iter().rev().map(|layer| layer.join(path)).find(|path| path.exists());
        found.map(|path| fs::read_to_string(path).unwrap())
    }
}

#[tokio::test]
async fn an_image_is_what_its_dockerfile_says() {
    let shop = Shop::of(&[
        ("app/main.sh", "echo hi"),
        ("app/notes.log", "x"),
        (".dockerignore", "*.log\n**/*.log\n"),
        (
            "Dockerfile",
            "ARG KIND=web\nFROM scratch AS web\nCOPY app /from/\nFROM scratch\nARG KIND VERSION=1\n\
             ENV NAME=${KIND}-$VERSION PATH=/bin\nWORKDIR /srv\nCOPY --from=web --chmod=755 /from/main.sh run\n\
             COPY <<hello.txt /srv/\nhello $NAME\nhello.txt\n\
             LABEL a=\"b c\"\nEXPOSE 80\nUSER 7\nVOLUME /data\nSTOPSIGNAL SIGQUIT\n\
             HEALTHCHECK --interval=30s CMD true\nENTRYPOINT [\"/srv/run\"]\nCMD serve",
        ),
    ]);
    let (image, _) = shop.build().await.unwrap();
    let file = shop.registries.store().config(&image).unwrap();
    let config = file.config;
    assert_eq!(config.env, ["NAME=web-1", "PATH=/bin"]);
    assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/srv", "7"));
    assert_eq!((config.entrypoint, config.cmd.len()), (vec!["/srv/run".to_owned()], 3));
    assert_eq!(config.labels["a"], "b c");
    assert!(config.exposed_ports.contains_key("80/tcp") && config.volumes.contains_key("/data"));
    assert_eq!(config.healthcheck.unwrap()["Interval"], 30_000_000_000_u64);
    assert_eq!((image.layers.len(), file.history.iter().filter(|it| !it.empty_layer).count()), (3, 3));
    assert_eq!(shop.file(&image, "srv/run").as_deref(), Some("echo hi"));
    assert_eq!(shop.file(&image, "srv/hello.txt").as_deref(), Some("hello web-1\n"));
    use std::os::unix::fs::PermissionsExt;
    let root = &shop.registries.store().unpack(&image).unwrap().layers[1];
    assert_eq!(fs::metadata(root.join("srv/run")).unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn what_is_overlooked_and_what_a_stage_does_not_need_is_left_out() {
    let shop = Shop::of(&[
        ("a.txt", "a"),
        ("b.log", "b"),
        ("deep/c.log", "c"),
        (".dockerignore", "*.log\ndeep\n!deep/keep\n"),
        ("deep/keep", "k"),
        ("Dockerfile", "FROM scratch AS unused\nRUN fail\nFROM scratch AS used\nCOPY . /\n"),
    ]);
    let (image, _) = shop.build().await.unwrap();
    for (path, there) in [("a.txt", true), ("b.log", false), ("deep/c.log", false), ("deep/keep", true)] {
        assert_eq!(shop.file(&image, path).is_some(), there, "{path}");
    }
    let unused = Shop { request: Request { target: Some("unused".into()), ..shop.request.clone() }, ..shop };
    assert!(unused.fault().await.starts_with("Dockerfile:2: nothing can run"));
}

#[tokio::test]
async fn only_what_a_change_reaches_is_done_again() {
    let dockerfile = "FROM scratch\nCOPY needs /needs\nRUN install\nCOPY app /app\nCMD [\"/app\"]\n";
    let shop = Shop::of(&[("needs", "1"), ("app", "1"), ("Dockerfile", dockerfile)]);
    let (first, cached) = shop.build().await.unwrap();
    assert!(cached.is_empty());
    let (again, cached) = shop.build().await.unwrap();
    assert_eq!((again, cached, shop.runner.ran.load(Ordering::SeqCst)), (first.clone(), vec![2, 3, 4], 1));
    shop.write("app", "2");
    let (second, cached) = shop.build().await.unwrap();
    assert_eq!((cached, shop.runner.ran.load(Ordering::SeqCst)), (vec![2, 3], 1));
    assert_eq!((&second.layers[..2], second.layers[2] == first.layers[2]), (&first.layers[..2], false));
    shop.write("needs", "2");
    let (_, cached) = shop.build().await.unwrap();
    assert_eq!((cached, shop.runner.ran.load(Ordering::SeqCst)), (vec![], 2));
    let anew = Shop { request: Request { cache: Cached::Anew, ..shop.request.clone() }, ..shop };
    let (same, cached) = anew.build().await.unwrap();
    assert_eq!((cached.len(), anew.runner.ran.load(Ordering::SeqCst)), (0, 3));
    assert_eq!(anew.build().await.unwrap().0, same, "the same input gives the same image");
}

#[tokio::test]
async fn a_run_sees_its_arguments_and_leaves_what_it_wrote() {
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\nARG SECRET=none\nENV A=1\nWORKDIR /w\nRUN make it\n";
    let mut shop = Shop::of(&[("Dockerfile", dockerfile)]);
    shop.request.arguments = vec![("SECRET".into(), "given".into())];
    let (image, _) = shop.build().await.unwrap();
    let told = shop.runner.told.lock()[0].clone();
    assert_eq!((told.args, told.working_dir.as_str()), (vec!["/bin/sh".into(), "-c".into(), "make it".into()], "/w"));
    for pair in [("SECRET", "given"), ("A", "1")] {
        assert!(told.env.contains(&(pair.0.into(), pair.1.into())), "{pair:?}");
    }
    assert_eq!(shop.file(&image, "made").as_deref(), Some("/bin/sh -c make it"));
    assert!(shop.file(&image, "etc/resolv.conf").is_none());
    assert!(!Path::new(&told.changes).exists());
    shop.request.arguments = vec![("SECRET".into(), "another".into())];
    shop.build().await.unwrap();
    assert_eq!(shop.runner.ran.load(Ordering::SeqCst), 2, "another argument is another RUN");
}

#[tokio::test]
async fn a_run_sees_what_is_mounted_and_the_image_does_not_keep_it() {
    let dockerfile = "FROM scratch AS other\nCOPY notes/a.txt /deep/a.txt\nFROM scratch\nCOPY main.sh /\nWORKDIR /w\n\
        RUN --mount=type=cache,target=/root/.cache --mount=source=list.txt,target=list.txt \\\n\
        --mount=type=bind,from=other,source=deep,target=/other --mount=type=tmpfs,target=/made-only make\n";
    let shop = Shop::of(&[
        ("Dockerfile", dockerfile),
        ("main.sh", ""),
        ("list.txt", "one"),
        ("notes/a.txt", "two"),
        (".dockerignore", "hidden"),
    ]);
    let (image, _) = shop.build().await.unwrap();
    let mounts = shop.runner.told.lock()[0].mounts.clone();
    let targets: Vec<_> = mounts.iter().map(|it| (it.target.to_str().unwrap(), it.read_only)).collect();
    assert_eq!(targets, [("/root/.cache", false), ("/w/list.txt", true), ("/other", true), ("/made-only", false)]);
    assert_eq!(shop.runner.saw.lock()[0], ["", "one", "a.txt: two", ""]);
    assert!(shop.file(&image, "made").is_some());
    for path in ["w/list.txt", "other", "made-only", "root"] {
        assert!(shop.file(&image, path).is_none(), "{path} was only made to mount something on");
    }
    assert_eq!(shop.build().await.unwrap().1.last(), Some(&6), "the same again is known");
    shop.write("main.sh", "");
    shop.write("list.txt", "changed");
    let cache = &mounts[0].source;
    fs::write(cache.join("kept"), "").unwrap();
    shop.build().await.unwrap();
    assert_eq!(
        shop.runner.saw.lock()[1],
        ["kept: ", "changed", "a.txt: two", ""],
        "a change is seen; the cache is kept"
    );
}

#[tokio::test]
async fn what_an_image_leaves_for_others_is_carried_out_once_by_who_builds_on_it() {
    let base = "FROM scratch\nMAINTAINER me <me@x>\nCOPY base /base\nARG KIND=none\n\
        ONBUILD ARG KIND=plain\nONBUILD COPY . /app/\nONBUILD RUN <<E\nmake $KIND\nE\nONBUILD ENV READY=$KIND\n";
    let mut shop = Shop::of(&[("base", "b"), ("Dockerfile", base)]);
    shop.request.name = ImageName::parse("base:1").unwrap();
    let (image, _) = shop.build().await.unwrap();
    let file = shop.registries.store().config(&image).unwrap();
    assert_eq!(file.author.as_deref(), Some("me <me@x>"));
    assert_eq!(file.config.on_build, ["ARG KIND=plain", "COPY . /app/", "RUN <<E\nmake $KIND\nE", "ENV READY=$KIND"]);
    assert!(shop.file(&image, "app/base").is_none() && shop.runner.told.lock().is_empty());

    shop.write("Dockerfile", "FROM base:1 AS first\nENV AFTER=$READY\nFROM first\nENV LAST=1\n");
    shop.request.name = ImageName::parse("app:1").unwrap();
    shop.request.arguments = vec![("KIND".into(), "fine".into())];
    let (image, _) = shop.build().await.unwrap();
    let config = shop.registries.store().config(&image).unwrap().config;
    assert_eq!(config.env, ["READY=fine", "AFTER=fine", "LAST=1"]);
    assert!(config.on_build.is_empty(), "a grandchild finds nothing left: {:?}", config.on_build);
    assert_eq!(shop.file(&image, "app/base").as_deref(), Some("b"));
    let told: Vec<_> = shop.runner.told.lock().iter().map(|command| command.args.join(" ")).collect();
    assert_eq!(told, ["/bin/sh -c make $KIND\n"]);
    assert_eq!(shop.build().await.unwrap().1, [3, 4], "the same again is known");
}

#[tokio::test]
async fn a_document_that_names_its_interpreter_is_a_file_of_the_run_and_none_of_the_image() {
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\nRUN <<EOF\n#!/usr/bin/env python3\nprint(\"$A\")\nEOF\n";
    let shop = Shop::of(&[("Dockerfile", dockerfile)]);
    let (image, _) = shop.build().await.unwrap();
    let told = shop.runner.told.lock()[0].clone();
    assert_eq!((told.args, told.mounts.len()), (vec!["/.heredoc".to_owned()], 1));
    assert_eq!(shop.runner.saw.lock()[0], ["#!/usr/bin/env python3\nprint(\"$A\")\n"]);
    assert!(shop.file(&image, "made").is_some() && shop.file(&image, ".heredoc").is_none());
    shop.write("Dockerfile", &dockerfile.replace("COPY Dockerfile /\n", "").replace("$A", "$B"));
    assert!(shop.fault().await.contains("nothing can run"), "it is not the same step");
}

#[tokio::test]
async fn a_secret_is_seen_by_who_asks_for_it_and_is_in_no_layer() {
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\nENV TOKEN=none\n\
        RUN --mount=type=secret,id=key --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=absent use\nRUN plain\n";
    let mut shop = Shop::of(&[("Dockerfile", dockerfile)]);
    let secret = |id: &str, text: &str| Secret { id: id.into(), content: text.into() };
    shop.request.secrets = vec![secret("key", "heron"), secret("token", "crane")];
    let (image, _) = shop.build().await.unwrap();
    let told = shop.runner.told.lock().clone();
    let targets: Vec<_> = told[0].mounts.iter().map(|it| (it.target.to_str().unwrap(), it.read_only)).collect();
    assert_eq!(
        (targets, &shop.runner.saw.lock()[0][..]),
        (vec![("/run/secrets/key", true)], &["heron".to_owned()][..])
    );
    let token = |at: usize| told[at].env.iter().filter(|(name, _)| name == "TOKEN").map(|(_, value)| value.clone());
    assert_eq!(
        (token(0).collect::<Vec<_>>(), token(1).collect::<Vec<_>>()),
        (vec!["crane".into()], vec!["none".into()])
    );
    assert!(!told[0].mounts[0].source.exists() && shop.file(&image, "run").is_none());
    let file = shop.registries.store().config(&image).unwrap();
    assert!(!format!("{file:?} {:?}", shop.request).contains("heron"), "{file:?}");
    shop.request.secrets = vec![secret("key", "another")];
    assert_eq!(shop.build().await.unwrap().1, [2, 4, 5], "another secret makes no other image");
    shop.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\nRUN --mount=type=secret,id=key2,required use\n");
    let said = shop.fault().await;
    assert!(
        said.contains("Dockerfile:3: the RUN needs the secret key2") && said.contains("--secret id=key2"),
        "{said}"
    );
}

#[tokio::test]
async fn an_argument_reaches_the_stages_that_begin_with_its_own() {
    let dockerfile = "ARG WORLD=w\nFROM scratch AS parent\nARG FOO=123 WORLD\nFROM parent AS child\n\
        ENV A=$FOO-$WORLD\nFROM scratch AS stranger\nENV A=-$FOO-$WORLD-\nFROM child\n";
    let mut shop = Shop::of(&[("Dockerfile", dockerfile)]);
    let (image, _) = shop.build().await.unwrap();
    assert_eq!(shop.registries.store().config(&image).unwrap().config.env, ["A=123-w"]);
    shop.request.target = Some("stranger".into());
    let (image, _) = shop.build().await.unwrap();
    assert_eq!(shop.registries.store().config(&image).unwrap().config.env, ["A=---"]);
}

#[tokio::test]
async fn a_copy_leaves_out_keeps_folders_and_changes_permissions_as_it_is_told() {
    let files = ["a/src/x.txt", "a/src/x.md", "a/src/deep/y.txt", "a/src/deep/y.md", "b/z.txt", "top.txt", "top.md"];
    let mut shop = Shop::of(&files.map(|path| (path, path)));
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("COPY --exclude=*.md top.* /to/", &["to/top.txt"], &["to/top.md"]),
        ("COPY --exclude=**/*.md a /to/", &["to/src/x.txt", "to/src/deep/y.txt"], &["to/src/x.md", "to/src/deep/y.md"]),
        ("COPY --exclude=src/deep a/ /to/", &["to/src/x.md"], &["to/src/deep", "to/src/deep/y.md"]),
        (
            "COPY --parents a/src/x.txt b /to",
            &["to/a/src/x.txt", "to/b/z.txt"],
            &["to/x.txt", "to/z.txt", "to/a/src/x.md"],
        ),
        ("COPY --parents ./a/./src/*/*.txt /to/", &["to/src/deep/y.txt"], &["to/a", "to/src/deep/y.md"]),
    ];
    for (line, there, gone) in cases {
        shop.write("Dockerfile", &format!("FROM scratch\n{line}\n"));
        let (image, _) = shop.build().await.unwrap();
        let root = &shop.registries.store().unpack(&image).unwrap().layers[0];
        assert!(there.iter().all(|path| root.join(path).is_file()), "{line}: {there:?}");
        assert!(!gone.iter().any(|path| root.join(path).exists()), "{line}: {gone:?}");
    }
    use std::os::unix::fs::PermissionsExt;
    for path in ["b", "b/z.txt"] {
        let mode = if path == "b" { 0o700 } else { 0o600 };
        fs::set_permissions(shop.context.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    shop.request.arguments = vec![("MODE".into(), "u=rwX,go=rX".into())];
    shop.write(
        "Dockerfile",
        "FROM scratch\nARG MODE\nCOPY --parents --chmod=$MODE ./b /to/\nCOPY --chmod=+x b/z.txt /run\n",
    );
    let (image, _) = shop.build().await.unwrap();
    let layers = shop.registries.store().unpack(&image).unwrap().layers;
    let mode = |layer: usize, path: &str| fs::metadata(layers[layer].join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(0, "to/b/z.txt"), mode(1, "run")), (0o644, 0o711));
}

#[tokio::test]
async fn mistakes_are_told_with_their_line_and_what_to_do() {
    for (dockerfile, expected) in [
        (
            "FROM scratch\n\nCOPPY a b",
            "Dockerfile:3: there is no instruction COPPY: a line begins with an instruction | did you mean COPY?",
        ),
        ("RUN x", "Dockerfile:1: the first instruction is not FROM"),
        ("", "Dockerfile:1: the file has no FROM"),
        (
            "FROM scratch\nCOPY man.sh /",
            "Dockerfile:2: the files cannot be copied: man.sh is not in the context | did you mean main.sh?",
        ),
        ("FROM scratch\nCOPY ../x /", "../x is outside of the context | copy it into"),
        ("FROM scratch\nCOPY hidden /", ".dockerignore hides it | add a line to .dockerignore: !hidden"),
        (
            "FROM scratch\nCOPY main.sh Dockerfile /to",
            "several files go to /to, which is no folder | end it with a slash",
        ),
        ("FROM scratch\nCOPY --from=later a /\nFROM scratch AS later", "there is no stage"),
        ("FROM scratch AS a\nFROM scratch AS b\nCOPY --from=c:x:y a /", "c:x:y is no image's name"),
        ("FROM scratch\nENV A=\"x", "Dockerfile:2: a variable cannot be put in"),
        ("FROM scratch\nEXPOSE web", "web is no port"),
        ("FROM scratch\nCOPY --chmod=fine main.sh /", "--chmod=fine is no permission"),
        ("FROM scratch\nONBUILD FROM x", "Dockerfile:2: ONBUILD cannot be read: FROM cannot wait"),
        ("FROM scratch\nRUN x", "Dockerfile:2: nothing can run"),
        ("FROM scratch\nCOPY main.sh /\nRUN fail", "Dockerfile:3: the command ended with exit code 1: /bin/sh -c fail"),
        (
            "FROM scratch\nRUN --mount=source=mein.sh,target=/x y",
            "the RUN sees no such files: mein.sh is not in the context | did you mean main.sh?",
        ),
        (
            "FROM scratch\nRUN --mount=type=cache y",
            "Dockerfile:2: RUN cannot be read: --mount=type=cache needs a target",
        ),
        ("FROM scratch\nRUN --network=host y", "Dockerfile:2: the RUN would reach this computer"),
        ("FROM $NONE", "FROM names no image"),
        ("FROM tutor/none:1", "tutor/none:1: not found"),
        ("FROM --platform=linux/s390x scratch", "an image for linux/s390x cannot be built here"),
    ] {
        let files = [("Dockerfile", dockerfile), ("main.sh", ""), ("hidden", ""), (".dockerignore", "hidden")];
        let mut shop = Shop::of(&files);
        if dockerfile.contains("later") {
            shop.request.target = Some("0".into());
        }
        let said = shop.fault().await;
        assert!(said.contains(expected), "{dockerfile}: {said}");
    }
}
