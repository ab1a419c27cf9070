//! Where files come from and whose they are: the web, other stages, folders that are kept.

use std::os::unix::fs::PermissionsExt;

use warp::Filter;

use super::*;

/// A page on this computer, and who serves it.
struct Page {
    url: String,
    asked: std::sync::Arc<AtomicU32>,
    tasks: TaskGroup,
}

impl Page {
    async fn of(bytes: &[u8]) -> Page {
        let bytes = bytes.to_vec();
        let (tasks, asked) = (TaskGroup::new(), std::sync::Arc::<AtomicU32>::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let counts = asked.clone();
        let file = warp::path!("a" / "model.bin").map(move || {
            counts.fetch_add(1, Ordering::SeqCst);
            bytes.clone()
        });
        let moved = warp::path!("moved").map(|| warp::redirect::found(warp::http::Uri::from_static("/a/model.bin")));
        let served = file.or(moved);
        tasks.spawn("page", async move { warp::serve(served).incoming(listener).run().await });
        Page { url, asked, tasks }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

fn dockerfile(shop: &Shop, lines: &str) {
    shop.write("Dockerfile", &format!("FROM scratch\n{lines}\n"));
}

#[tokio::test]
async fn a_file_is_fetched_from_the_web_and_is_what_its_checksum_says() {
    let (mut shop, page) = (Shop::of(&[]), Page::of(b"weights").await);
    shop.request.network = Network::Host;
    let url = &page.url;
    for (line, entries) in [
        (format!("ADD {url}/a/model.bin?x=1 /models/"), vec!["models 755 0:0", "models/model.bin 600 0:0"]),
        (format!("ADD --chown=7:8 --chmod=644 {url}/moved /m"), vec!["m 644 7:8"]),
        (format!("ARG AT={url}\nADD $AT/a/model.bin /m"), vec!["m 600 0:0"]),
    ] {
        dockerfile(&shop, &line);
        let (image, _) = shop.build().await.unwrap();
        assert_eq!(shop.entries(&image, 0), entries, "{line}");
    }
    assert_eq!(page.asked.load(Ordering::SeqCst), 3);
    let sum = crate::registry::Digest::of(b"weights").to_string();
    dockerfile(&shop, &format!("ADD --checksum={sum} {url}/a/model.bin /m"));
    shop.build().await.unwrap();
    assert_eq!(page.asked.load(Ordering::SeqCst), 3, "what has this checksum is here already");
    let other = crate::registry::Digest::of(b"others").to_string();
    dockerfile(&shop, &format!("\nADD --checksum={other} {url}/a/model.bin /m"));
    let said = shop.fault().await;
    assert!(said.contains("Dockerfile:3: http://") && said.contains("but what came is"), "{said}");
}

#[tokio::test]
async fn a_fetched_archive_is_unpacked_when_that_is_asked() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    archive.append_data(&mut header, "in/side", &b"x"[..]).unwrap();
    let bytes = archive.into_inner().unwrap();
    let (mut shop, page) = (Shop::of(&[]), Page::of(&bytes).await);
    fs::write(shop.context.path().join("local.tar"), &bytes).unwrap();
    shop.request.network = Network::Host;
    for (line, entries) in [
        (format!("ADD {}/a/model.bin /to", page.url), vec!["to 600 0:0"]),
        (
            format!("ADD --unpack {}/a/model.bin /to", page.url),
            vec!["to 755 0:0", "to/in 755 0:0", "to/in/side 640 7:8"],
        ),
        ("ADD local.tar /to".to_owned(), vec!["to 755 0:0", "to/in 755 0:0", "to/in/side 640 7:8"]),
        ("ADD --chown=1 local.tar /to".to_owned(), vec!["to 755 1:1", "to/in 755 1:1", "to/in/side 640 1:1"]),
        ("ADD --chmod=600 --unpack=false local.tar /to".to_owned(), vec!["to 600 0:0"]),
    ] {
        dockerfile(&shop, &line);
        let (image, _) = shop.build().await.unwrap();
        assert_eq!(shop.entries(&image, 0), entries, "{line}");
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_with_its_line() {
    let (mut shop, page) = (Shop::of(&[("main.sh", "")]), Page::of(b"").await);
    let url = page.url.clone();
    // Nobody listens there any more.
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (network, line, expected) in [
        (Network::Default, format!("ADD {url}/a/model.bin /x"), "this computer itself, which a build reaches with"),
        (Network::Default, format!("ADD {}/a /x", url.replace("127.0.0.1", "localhost")), "localhost is this computer"),
        (Network::None, format!("ADD {url}/a/model.bin /x"), "with --network none a build reaches nobody"),
        (Network::Host, format!("ADD {url}/none /x"), "/none answers 404 Not Found"),
        (Network::Host, format!("ADD http://{closed}/x /x"), "where this machine is not online, fetch it elsewhere"),
        (Network::Host, format!("ADD {url}/ /x/"), "the address names no file"),
        (Network::Host, format!("ADD --checksum=md5:1 {url}/a /x"), "--checksum=md5:1 is no checksum"),
        (Network::Host, "ADD --checksum=sha256:1 main.sh /x".to_owned(), "main.sh is in the context"),
        (Network::Host, "ADD https://a.b/c.git#v1:docs /x".to_owned(), "then COPY it: git clone https://a.b/c.git |"),
        (Network::Host, "ADD git@a.b:c/d.git /x".to_owned(), "tutor clones no repositories"),
    ] {
        shop.request.network = network;
        dockerfile(&shop, &line);
        let said = shop.fault().await;
        assert!(said.contains("Dockerfile:2: ") && said.contains(expected), "{line}: {said}");
    }
}

#[tokio::test]
async fn what_comes_from_another_stage_keeps_its_owner() {
    let shop = Shop::of(&[("a/f", "1"), ("a/deep/g", "2")]);
    let text = "FROM scratch AS one\nCOPY --chown=7:8 a /d\nCOPY --chown=9:10 a/f /d/deep/h\n\
        FROM scratch\nCOPY --from=one /d /to\nCOPY --from=one --chown=3 /d/deep /own\nCOPY --from=one /d/f /new/f\n\
        COPY a/f /context\n";
    shop.write("Dockerfile", text);
    let (image, _) = shop.build().await.unwrap();
    let files = ["to 755 0:0", "to/deep 755 7:8", "to/deep/g 644 7:8", "to/deep/h 644 9:10", "to/f 644 7:8"];
    assert_eq!(shop.entries(&image, 0), files);
    assert_eq!(shop.entries(&image, 1), ["own 755 3:3", "own/g 644 3:3", "own/h 644 3:3"]);
    assert_eq!(shop.entries(&image, 2), ["new 755 0:0", "new/f 644 7:8"]);
    assert_eq!(shop.entries(&image, 3), ["context 644 0:0"]);
}

/// A layer that did not say it would make every folder it goes through one of root, open to all.
#[tokio::test]
async fn a_folder_keeps_its_rights_when_something_comes_into_it() {
    let shop = Shop::of(&[("a/f", "1"), ("g", "2")]);
    fs::set_permissions(shop.context.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    let text =
        "FROM scratch\nCOPY --parents --chown=7:8 a /d/\nCOPY g /d/a/g\nWORKDIR /d/a/w\nRUN make\nCOPY g /d/a/h\n";
    shop.write("Dockerfile", text);
    let (image, _) = shop.build().await.unwrap();
    let first = shop.entries(&image, 0);
    assert!(first.contains(&"d/a 755 7:8".to_owned()) || first.contains(&"d/a 700 7:8".to_owned()), "{first:?}");
    let folder = first.iter().find(|it| it.starts_with("d/a ")).unwrap();
    for (layer, more) in [(1, "d/a/g 644 0:0"), (2, "d/a/w 755 0:0"), (4, "d/a/h 644 0:0")] {
        assert_eq!(shop.entries(&image, layer), ["d 755 7:8", folder, more], "layer {layer}");
    }
}

#[tokio::test]
async fn a_stage_that_only_an_image_asks_for_is_built_when_it_does() {
    let shop = Shop::of(&[("x", "found")]);
    let text = "FROM scratch AS base\nONBUILD COPY --from=tools /x /x\nFROM scratch AS root\nCOPY x /x\n\
        FROM root AS tools\nENV A=1\nFROM scratch AS unused\nRUN fail\nFROM base\nENV B=1\n";
    shop.write("Dockerfile", text);
    let (image, _) = shop.build().await.unwrap();
    assert_eq!(shop.file(&image, "x").as_deref(), Some("found"));
    assert_eq!(shop.registries.store().config(&image).unwrap().config.env, ["B=1"]);
}

#[tokio::test]
async fn a_folder_that_is_kept_is_made_as_it_was_asked_for() {
    let text = "FROM scratch\nCOPY Dockerfile /\nRUN --mount=type=cache,id=c,target=/c one\n\
        RUN --mount=type=cache,id=c,target=/c,mode=0770,uid=7,gid=8 two\n\
        RUN --mount=type=cache,id=c,target=/other,mode=770,gid=8,uid=7 three\n";
    let shop = Shop::of(&[("Dockerfile", text)]);
    shop.build().await.unwrap();
    let told = shop.runner.told.lock();
    let [plain, own, same] = [0, 1, 2].map(|at| told[at].mounts[0].source.clone());
    assert!(plain != own && own == same, "{plain:?} {own:?} {same:?}");
    use std::os::unix::fs::MetadataExt;
    let rights = |path| fs::metadata(path).map(|it| (it.permissions().mode() & 0o7777, it.uid(), it.gid())).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(rights(plain).0, 0o755);
    assert_eq!(rights(own.clone()).0, 0o770);
    assert!(!is_root || rights(own) == (0o770, 7, 8), "who is root can give it away");
}

#[tokio::test]
async fn a_folder_is_its_users_and_its_path_is_plain() {
    let text = "FROM scratch\nWORKDIR /a/b\nUSER app\nCOPY passwd /etc/passwd\nWORKDIR ../c/./d/\nWORKDIR /a\nUSER 5:6\n\
        WORKDIR e\n";
    let shop = Shop::of(&[("Dockerfile", text), ("passwd", "app:x:7:7::/:/bin/sh\n")]);
    let (image, _) = shop.build().await.unwrap();
    assert_eq!(shop.entries(&image, 0), ["a 755 0:0", "a/b 755 0:0"]);
    assert_eq!(shop.entries(&image, 2), ["a 755 0:0", "a/c 755 7:7", "a/c/d 755 7:7"]);
    assert_eq!(shop.entries(&image, 3), ["a 755 0:0", "a/e 755 5:6"]);
    assert_eq!(shop.registries.store().config(&image).unwrap().config.working_dir, "/a/e");
    shop.write("Dockerfile", "FROM scratch\nUSER nobody\nWORKDIR /\nWORKDIR /a\n");
    let said = shop.fault().await;
    assert!(
        said.contains("Dockerfile:4: the folder cannot be made: the image's /etc/passwd knows no nobody"),
        "{said}"
    );
}

#[tokio::test]
async fn sources_are_found_as_docker_finds_them() {
    let shop = Shop::of(&[("a/x.py", ""), ("a/b/y.py", ""), ("a/b/c/z.py", ""), ("a/b/w.md", ""), ("top.py", "")]);
    for (line, expected) in [
        ("COPY --parents a/**/*.py /to/", &["to/a/b/c/z.py", "to/a/b/y.py", "to/a/x.py"][..]),
        ("COPY --parents ./a/./**/z.py /to/", &["to/b/c/z.py"]),
        ("COPY ../top.py /to/", &["to/top.py"]),
        ("COPY /a/x.py a/b/../../top.py /to/", &["to/top.py", "to/x.py"]),
    ] {
        dockerfile(&shop, line);
        let (image, _) = shop.build().await.unwrap();
        let entries = shop.entries(&image, 0);
        let files: Vec<_> = entries.iter().filter_map(|it| it.split_once(" 644 ").map(|(path, _)| path)).collect();
        assert_eq!(files, expected, "{line}");
    }
}
