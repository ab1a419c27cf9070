//! Docker's own client and tutor's registry: what one pushes, the other pulls.

use std::fs;

use tutor::clock::Clock;
use tutor::images::{ImageName, Registries, Store};
use tutor::registry::Registry;
use tutor::tasks::TaskGroup;

use super::daemon::daemon_beside;

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_pushes_tutor_pulls_and_the_other_way_round() {
    let Some(daemon) = daemon_beside().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskGroup::new();
    let filter = Registry::open(&folder.path().join("registry"), &tasks).unwrap().filter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = listener.local_addr().unwrap();
    tasks.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
    let store = Store::open(&folder.path().join("images")).unwrap();
    let registries = Registries::new(store.clone(), Clock::real(), &tasks).unwrap();

    // There: docker makes an image of an archive and pushes it.
    let name = format!("{registry}/team/words:1");
    let archive = folder.path().join("words.tar");
    let mut files = tar::Builder::new(fs::File::create(&archive).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    files.append_data(&mut header, "word", &b"heron"[..]).unwrap();
    files.into_inner().unwrap();
    tokio::task::block_in_place(|| {
        daemon.docker(&["import", archive.to_str().unwrap(), &name]);
        daemon.docker(&["push", &name]);
    });
    let pulled = registries.pull(&ImageName::parse(&name).unwrap(), None).await.unwrap();
    let unpacked = store.unpack(&pulled).unwrap();
    assert_eq!(fs::read_to_string(unpacked.layers[0].join("word")).unwrap(), "heron");

    // And back: tutor pushes under another name; docker, which has lost its own, pulls that.
    let back = format!("{registry}/team/back:2");
    let digest = registries.push(&pulled, &ImageName::parse(&back).unwrap(), None).await.unwrap();
    tokio::task::block_in_place(|| {
        daemon.docker(&["image", "rm", &name]);
        daemon.docker(&["pull", &back]);
        let digests = daemon.docker(&["image", "inspect", "--format", "{{join .RepoDigests \" \"}}", &back]);
        assert_eq!(digests.trim(), format!("{registry}/team/back@{digest}"));
    });
    tasks.cancel();
}
