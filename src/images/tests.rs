//! Images as their users meet them: unpacked, saved and loaded, pushed and pulled, collected.

use std::fs;
use std::io::Write;

use serde_json::json;

use super::manifest::{OCI_CONFIG, OCI_MANIFEST};
use super::*;
use crate::clock::Clock;
use crate::registry::{Content, Digest, Registry};
use crate::tasks::TaskGroup;

fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image of these layers, each as it is to be stored, with what it is unpacked.
fn image(store: &Store, name: &str, layers: &[(Vec<u8>, Vec<u8>)]) -> Stored {
    let content = Content::open(store.content.folder()).unwrap();
    let put = |bytes: &[u8]| content.write(bytes, None).unwrap();
    let diff_ids: Vec<String> = layers.iter().map(|(_, plain)| Digest::of(plain).to_string()).collect();
    let config = put(json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/run"], "User": "7"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .as_bytes());
    let layers: Vec<_> = layers
        .iter()
        .map(|(packed, _)| {
            let written = put(packed);
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": written.digest.to_string(), "size": written.size})
        })
        .collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers,
        "config": {"mediaType": OCI_CONFIG, "digest": config.digest.to_string(), "size": config.size}});
    let manifest = put(manifest.to_string().as_bytes());
    store.record(&ImageName::parse(name).unwrap(), &manifest.digest).unwrap()
}

pub(super) fn simple(store: &Store, name: &str, text: &str) -> Stored {
    let plain = layer(&[("bin/run", text)]);
    image(store, name, &[(gzip(&plain), plain)])
}

pub(super) fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

#[test]
fn layers_are_unpacked_one_folder_each_or_flat_when_files_are_hidden() {
    let (_dir, store) = open();
    let (lower, upper) = (layer(&[("etc/a", "1"), ("etc/b", "1")]), layer(&[("etc/c", "2")]));
    let stacked = image(&store, "stacked", &[(gzip(&lower), lower.clone()), (upper.clone(), upper)]);
    let unpacked = store.unpack(&stacked).unwrap();
    assert_eq!((unpacked.layers.len(), unpacked.config.user.as_str()), (2, "7"));
    assert_eq!(fs::read_to_string(unpacked.layers[1].join("etc/c")).unwrap(), "2");
    let hiding = layer(&[("etc/.wh.a", "")]);
    let flat = image(&store, "flat", &[(gzip(&lower), lower), (gzip(&hiding), hiding)]);
    let unpacked = store.unpack(&flat).unwrap();
    assert_eq!(unpacked.layers.len(), 1);
    assert!(unpacked.layers[0].join("etc/b").exists() && !unpacked.layers[0].join("etc/a").exists());
}

#[test]
fn a_layer_that_is_not_what_it_should_be_leaves_nothing() {
    let (dir, store) = open();
    let (plain, other) = (layer(&[("a", "1")]), layer(&[("a", "2")]));
    let lying = image(&store, "lying", &[(gzip(&plain), other)]);
    let why = store.unpack(&lying).unwrap_err();
    assert!(why.why.contains("when unpacked, but should be"), "{}", why.why);
    let evil = layer(&[("ok", "1"), (".wh..", "")]);
    let evil = image(&store, "evil", &[(gzip(&evil), evil.clone())]);
    assert!(store.unpack(&evil).unwrap_err().why.contains("is refused"));
    assert!(fs::read_dir(dir.path().join("layers")).unwrap().next().is_none());
}

#[test]
fn what_is_saved_can_be_loaded_elsewhere() {
    let (_dir, store) = open();
    let saved = [simple(&store, "app:1", "one"), simple(&store, "localhost:5000/x/app:2", "two")];
    let mut bytes = Vec::new();
    save(&store, &saved, &mut bytes).unwrap();
    let (_dir, other) = open();
    let loaded = load(&other, bytes.as_slice()).unwrap();
    assert_eq!(
        loaded.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        ["docker.io/library/app:1", "localhost:5000/x/app:2"]
    );
    assert_eq!(loaded[0].config, saved[0].config);
    let root = &other.unpack(&loaded[1]).unwrap().layers[0];
    assert_eq!(fs::read_to_string(root.join("bin/run")).unwrap(), "two");
    assert!(load(&other, &b"nothing"[..]).is_err());
}

#[test]
fn content_goes_with_the_last_image_that_has_it() {
    let (dir, store) = open();
    let store = store.alone();
    let (first, second) = (simple(&store, "first", "1"), simple(&store, "second", "2"));
    store.unpack(&first).unwrap();
    store.remove(&first).unwrap();
    assert!(store.collect().unwrap() > 0);
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&second));
    assert!(fs::read_dir(dir.path().join("layers")).unwrap().next().is_none());
    assert!(store.unpack(&second).is_ok());
    let name = ImageName::parse("second").unwrap();
    assert_eq!(store.find(&name), Some(second));
    assert_eq!(store.find(&ImageName::parse("first").unwrap()), None);
}

#[tokio::test]
async fn an_image_goes_to_a_registry_and_comes_back() {
    let tasks = TaskGroup::new();
    let clock = Clock::real();
    let served = tempfile::tempdir().unwrap();
    let filter = Registry::open(served.path(), &tasks).unwrap().filter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
    let (_dir, store) = open();
    let sent = simple(&store, "app", "over and back");
    let name = ImageName::parse(&format!("{address}/team/app:3")).unwrap();
    let registries = Registries::new(store, clock, &tasks).unwrap();
    let digest = registries.push(&sent, &name, None).await.unwrap();
    let (_dir, other) = open();
    let registries = Registries::new(other.clone(), clock, &tasks).unwrap();
    let pulled = registries.pull(&name, None).await.unwrap();
    assert_eq!((pulled.manifest.clone(), pulled.id()), (digest.to_string(), format!("{address}/team/app@{digest}")));
    let root = &other.unpack(&pulled).unwrap().layers[0];
    assert_eq!(fs::read_to_string(root.join("bin/run")).unwrap(), "over and back");
    let missing = ImageName::parse(&format!("{address}/team/app:9")).unwrap();
    let why = registries.pull(&missing, None).await.unwrap_err();
    assert!(why.why.ends_with("team/app:9: not found"), "{}", why.why);
    tasks.cancel();
}
