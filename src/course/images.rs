//! The images of a playground's machine and of its registry, as an exercise sees them.
//!
//! In: names, paths, the words of `tutor image`. Out: what an image is made of, what the registry answers,
//! and what was done. An exercise's images are under the repository of its own name, as its objects are in
//! the namespace of its name: `reset` removes both. Chapter: `book/src/inside/exercises.md`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::process::Command;

use super::exercise::Exercise;
use super::target::{Answer, Target};
use crate::cluster::{LOGIN, REGISTRY};
use crate::error::{Error, Result};
use crate::images::{Credentials, ImageName, Logins, Store, Stored};
use crate::state::Playground;

/// How long one `tutor image …` may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the registry may take to answer.
const ANSWERS: Duration = Duration::from_secs(10);
/// What is read of an answer.
const MOST_BYTES: usize = 4 << 20;
/// The lines of a failed command that are told.
const LAST_LINES: usize = 6;

/// What an image on this machine is made of; null when there is none of that name.
///
/// `{name, digest, sizeBytes, addedBytes, layers: [{digest, sizeBytes}], config, history}`; `addedBytes` is without
/// the layers of the course's own images.
///
/// # Errors
/// When this is no playground, or its images cannot be read.
pub fn look(target: &Target, name: &str) -> Result<Value> {
    let store = store(target.own()?)?;
    let parsed = ImageName::parse(name).map_err(|why| Error::new(format!("{name} is no image's name"), why))?;
    let Some(image) = store.find(&parsed) else { return Ok(Value::Null) };
    let file = store.config(&image)?;
    let sizes = store.layer_sizes(&image)?;
    let course: Vec<String> = store
        .list()?
        .into_iter()
        .filter(|other| ImageName::parse(&other.name).is_ok_and(|name| crate::images::is_course(&name)))
        .flat_map(|other| other.layers)
        .collect();
    let layers: Vec<Value> =
        image.layers.iter().zip(&sizes).map(|(digest, size)| json!({"digest": digest, "sizeBytes": size})).collect();
    let added: u64 =
        image.layers.iter().zip(&sizes).filter(|(digest, _)| !course.contains(digest)).map(|(_, size)| size).sum();
    let history: Vec<String> = file.history.iter().filter_map(|step| step.created_by.clone()).collect();
    Ok(json!({"name": image.name, "digest": image.manifest, "sizeBytes": image.size_bytes, "addedBytes": added,
        "layers": layers, "config": file.config, "history": history}))
}

/// What the playground's registry answers to a GET.
///
/// # Errors
/// When this is no playground, or nothing answered.
pub async fn registry(target: &Target, path: &str) -> Result<Answer> {
    ask(target, &(target.own()?.registry.clone(), None), Method::GET, path).await
}

/// `tutor image …` on this playground's images, in a folder; the private registry knows who asks.
///
/// # Errors
/// What the command said.
pub async fn command(target: &Target, folder: &Path, words: &[String]) -> Result<()> {
    let playground = target.own()?;
    let what = format!("tutor image {}", words.join(" "));
    let cannot = |why: std::io::Error| Error::new(format!("{what} cannot be run"), why.to_string());
    let running = Command::new(std::env::current_exe().map_err(cannot)?)
        .arg("image")
        .args(words)
        .current_dir(folder)
        .env("TUTOR_STATE_DIR", &playground.state_dir)
        .env("DOCKER_CONFIG", playground.state_dir.join(LOGIN).parent().unwrap_or(&playground.state_dir))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = target.clock().timeout(PATIENCE, running).await;
    let ended = ended
        .map_err(|_| Error::new(format!("{what} did not end"), format!("waited {} s", PATIENCE.as_secs())))?
        .map_err(cannot)?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(Error::new(format!("{what} failed"), last_lines(&ended.stderr))),
    }
}

/// The end of what a command said, on one line.
pub fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("; ")
}

/// Removes an exercise's images from this machine and from its registry.
///
/// # Errors
/// When a folder cannot be written, or the registry does not answer.
pub async fn forget(target: &Target, exercise: &Exercise) -> Result<()> {
    let Some(playground) = target.own().ok().filter(|_| exercise.uses_images()) else { return Ok(()) };
    let store = store(playground)?;
    for image in own(&store, exercise)? {
        store.remove(&image)?;
    }
    for place in registries(playground) {
        for tag in tags(target, &place, exercise).await? {
            ask(target, &place, Method::DELETE, &format!("/v2/{}/manifests/{tag}", exercise.name)).await?;
        }
    }
    Ok(())
}

/// An image that an exercise left, if there is one.
///
/// # Errors
/// As [`forget`].
pub async fn left(target: &Target, exercise: &Exercise) -> Result<Option<String>> {
    let Some(playground) = target.own().ok().filter(|_| exercise.uses_images()) else { return Ok(None) };
    if let Some(image) = own(&store(playground)?, exercise)?.first() {
        return Ok(Some(image.name.clone()));
    }
    for place in registries(playground) {
        if let Some(tag) = tags(target, &place, exercise).await?.first() {
            return Ok(Some(format!("{}/{}:{tag}", place.0, exercise.name)));
        }
    }
    Ok(None)
}

fn store(playground: &Playground) -> Result<Store> {
    Store::open(&playground.state_dir.join(REGISTRY))
}

/// The images of this machine whose repository is the exercise's, on whichever registry.
fn own(store: &Store, exercise: &Exercise) -> Result<Vec<Stored>> {
    let is_own = |image: &Stored| {
        ImageName::parse(&image.name).is_ok_and(|name| {
            let repository = name.repository.strip_prefix("library/").unwrap_or(&name.repository);
            repository == exercise.name
        })
    };
    Ok(store.list()?.into_iter().filter(is_own).collect())
}

/// The playground's registries: the open one, and the private one with who may ask.
fn registries(playground: &Playground) -> Vec<(String, Option<Credentials>)> {
    let private = login(playground).map(|(registry, user)| (registry, Some(user)));
    [(playground.registry.clone(), None)].into_iter().chain(private).collect()
}

/// The private registry and its user, where there is one.
pub fn login(playground: &Playground) -> Option<(String, Credentials)> {
    let logins = Logins::at(&playground.state_dir.join(LOGIN));
    let registry = logins.registries().next()?.to_owned();
    logins.find(&registry).map(|user| (registry, user))
}

/// The exercise's tags in a registry; none when it has no such repository.
async fn tags(target: &Target, place: &(String, Option<Credentials>), exercise: &Exercise) -> Result<Vec<String>> {
    let answer = ask(target, place, Method::GET, &format!("/v2/{}/tags/list", exercise.name)).await?;
    let tags = answer.body["tags"].as_array().into_iter().flatten();
    Ok(tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
}

async fn ask(target: &Target, place: &(String, Option<Credentials>), method: Method, path: &str) -> Result<Answer> {
    let (registry, user) = place;
    let unanswered = |why: String| {
        Error::new(format!("the registry at {registry} does not answer"), why)
            .hint("see whether the playground runs: tutor status")
    };
    let mut request =
        Request::builder().method(method).uri(format!("http://{registry}{path}")).header(header::ACCEPT, "*/*");
    if let Some(user) = user {
        request = request.header(header::AUTHORIZATION, user.basic());
    }
    let request = request.body(Full::new(Bytes::new())).map_err(|why| unanswered(why.to_string()))?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let asked = async {
        let response = client.request(request).await.map_err(|why| why.to_string())?;
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.map_err(|why| why.to_string())?;
        Ok::<_, String>(Answer { code, body: serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null) })
    };
    let asked = target.clock().timeout(ANSWERS, asked).await;
    asked.map_err(|_| unanswered(format!("waited {} s", ANSWERS.as_secs())))?.map_err(unanswered)
}
