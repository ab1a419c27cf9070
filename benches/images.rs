//! Measures images: unpacking one, and sending one to and from the registry over loopback.
//!
//! `cargo bench --bench images`. Prints a table for `benches/README.md`, in MB a second of what the image holds
//! when packed and unpacked. What the machine does with the same bytes alone (a copy that is flushed, a bare hash)
//! is measured in the same run to compare with.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tutor::clock::Clock;
use tutor::images::{ImageName, Registries, Store, Stored};
use tutor::registry::{Content, Digest, Registry};
use tutor::tasks::TaskGroup;

/// What the image holds, in bytes.
const SIZE: usize = 100 << 20;
/// A file of it, in bytes: an image is many files of this order.
const FILE: usize = 256 << 10;
const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let plain = archive();
    let gzip = packed(&plain);
    println!("{} MB of files, {} MB as gzip, best of {ROUNDS}", plain.len() >> 20, gzip.len() >> 20);
    tell("a copy, flushed", plain.len(), best(|| copy(folder.path(), &plain)));
    tell("a hash (sha256)", plain.len(), best(|| _ = Sha256::digest(&plain)));
    tell("gunzip alone", plain.len(), best(|| unzip(&gzip)));
    for (what, layer) in [("unpacked, from tar", &plain), ("unpacked, from gzip", &gzip)] {
        let unpack = |round: usize| {
            let place = folder.path().join(format!("store-{round}"));
            let store = Store::open(&place).unwrap();
            let image = image(&store, &place, "big:1", layer, &plain);
            let begun = Instant::now();
            store.unpack(&image).unwrap();
            let took = begun.elapsed();
            fs::remove_dir_all(place).unwrap();
            took
        };
        tell(what, plain.len(), (0..ROUNDS).map(unpack).min().unwrap());
    }
    over_the_wire(folder.path(), &plain).await;
}

/// Pushes to a registry that has nothing, and pulls into a store that has nothing.
async fn over_the_wire(folder: &Path, plain: &[u8]) {
    let tasks = TaskGroup::new();
    let (mut pushes, mut pulls) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let place = folder.join(format!("wire-{round}"));
        let filter = Registry::open(&place.join("registry"), &tasks).unwrap().filter();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = ImageName::parse(&format!("{}/big:1", listener.local_addr().unwrap())).unwrap();
        let server = tasks.child();
        server.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
        let from = Store::open(&place.join("from")).unwrap();
        let stored = image(&from, &place.join("from"), "big:1", plain, plain);
        let registries = |store: Store| Registries::new(store, Clock::real(), &tasks).unwrap();
        let begun = Instant::now();
        registries(from).push(&stored, &name, None).await.unwrap();
        pushes.push(begun.elapsed());
        let to = registries(Store::open(&place.join("to")).unwrap());
        let begun = Instant::now();
        to.pull(&name, None).await.unwrap();
        pulls.push(begun.elapsed());
        server.cancel();
        fs::remove_dir_all(&place).unwrap();
    }
    tell("pushed to the registry", plain.len(), pushes.into_iter().min().unwrap());
    tell("pulled from the registry", plain.len(), pulls.into_iter().min().unwrap());
}

/// An archive of files whose bytes repeat about as much as programs' do.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let (mut state, mut bytes) = (1_u32, vec![0; FILE]);
    for number in 0..SIZE / FILE {
        for (at, byte) in bytes.iter_mut().enumerate() {
            if at % 4 == 0 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            }
            *byte = (state >> (24 - at % 2)) as u8;
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, format!("usr/lib/{number}"), &*bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// An image of one layer, in a store.
fn image(store: &Store, folder: &Path, name: &str, layer: &[u8], plain: &[u8]) -> Stored {
    let content = Content::open(folder).unwrap();
    let put = |bytes: &[u8]| content.write(bytes, None).unwrap();
    let config = put(json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/run"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(plain).to_string()]}})
    .to_string()
    .as_bytes());
    let layer = put(layer);
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest.to_string(), "size": config.size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.digest.to_string(), "size": layer.size}]});
    store.record(&ImageName::parse(name).unwrap(), &put(manifest.to_string().as_bytes()).digest).unwrap()
}

fn copy(folder: &Path, bytes: &[u8]) {
    let path = folder.join("copy");
    let mut file = File::create(&path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    fs::remove_file(path).unwrap();
}

fn unzip(gzip: &[u8]) {
    std::io::copy(&mut flate2::read::GzDecoder::new(gzip).take(u64::MAX), &mut std::io::sink()).unwrap();
}

fn best(mut what: impl FnMut()) -> Duration {
    let time = |_| {
        let begun = Instant::now();
        what();
        begun.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap()
}

fn tell(what: &str, bytes: usize, time: Duration) {
    let rate = bytes as f64 / 1e6 / time.as_secs_f64();
    println!("{what:<28} {:>8.0} ms {rate:>8.0} MB/s", time.as_secs_f64() * 1000.0);
}
