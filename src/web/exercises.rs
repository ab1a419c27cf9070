//! The buttons of an exercise: the same calls into the course that the command line makes.
//!
//! | call | answers |
//! |---|---|
//! | `GET exercises` | the course's list, with progress and the page each exercise is on |
//! | `POST exercises/NAME/start`, `…/reset` | `{"started": "fresh" or "again", "namespace"}` |
//! | `POST exercises/NAME/check` | a line of JSON a step as it ends, then one with the report or the error |
//! | `GET exercises/NAME/lines?from=N` | what an outside check (see `outside`) has said since its line N |
//! | `POST exercises/NAME/hint` | `{"say", "more"}`; `say` is null when no hint fits |
//! | `POST exercises/NAME/solution {"spoil"}` | `{"ways", "files"}` |
//!
//! What a check does to the cluster it also undoes, so a check runs to its end although the reader
//! closes the page; and one thing at a time is done with exercises.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use warp::Reply;
use warp::reply::Response;

use super::api::{body, reply};
use super::guard::{self, Asked};
use super::{Site, outside};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::course::book;
use crate::course::catalogue::{self, Catalogue};
use crate::course::controls::Controls;
use crate::course::exercise::{Exercise, SwitchState};
use crate::course::lifecycle::Started;
use crate::course::progress::ProgressFile;
use crate::course::session::{self, Spoil};
use crate::course::target::Target;
use crate::error::{Error, Result};

/// One thing at a time.
#[derive(Default)]
pub struct Desk(Arc<Mutex<()>>);

/// A button, and the exercise it is pressed for.
pub struct Call {
    verb: Verb,
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Check,
    Hint,
    Reset,
    Solution,
    Lines,
}

impl Call {
    /// `POST exercises/NAME/VERB`, and `GET exercises/NAME/lines`.
    pub fn of(method: &Method, call: &str) -> Option<Call> {
        let (name, verb) = call.strip_prefix("exercises/")?.split_once('/')?;
        let verb = match verb {
            "start" => Verb::Start,
            "check" => Verb::Check,
            "hint" => Verb::Hint,
            "reset" => Verb::Reset,
            "solution" => Verb::Solution,
            "lines" => Verb::Lines,
            _ => return None,
        };
        let wanted = if verb == Verb::Lines { Method::GET } else { Method::POST };
        (*method == wanted).then(|| Call { verb, name: name.to_owned() })
    }
}

/// Answers a button.
pub async fn answer_call(site: &Site, call: Call, asked: &Asked) -> Response {
    let exercise = match Catalogue::get().and_then(|catalogue| catalogue.find(&call.name)) {
        Ok(exercise) => exercise,
        Err(error) => return guard::failed(StatusCode::NOT_FOUND, &error),
    };
    match call.verb {
        Verb::Check if exercise.crashes() => reply(outside::begin(site, exercise)),
        Verb::Check => check(site, exercise),
        Verb::Lines => reply(outside::lines(site, exercise, asked)),
        Verb::Solution => reply(solution(site, exercise, asked)),
        verb => reply(apart(site, verb, exercise).await),
    }
}

/// Starts, resets or hints apart from the request, as a check does: it ends also when the reader
/// has gone.
async fn apart(site: &Site, verb: Verb, exercise: &'static Exercise) -> Result<Value> {
    let here = site.clone();
    site.apart("exercise", async move {
        let _turn = here.0.desk.0.lock().await;
        let (target, file) = (target(&here), progress_file(&here));
        match verb {
            Verb::Start => {
                session::begin(&target, exercise, &file).await.and_then(|started| begun(&here, started, exercise))
            }
            Verb::Reset => {
                session::reset(&target, exercise, &file).await.and_then(|started| begun(&here, started, exercise))
            }
            _ => hint(&target, exercise, &file).await,
        }
    })
    .await
}

/// `{"current", "passed", "total", "exercises"}`.
pub fn progress(site: &Site) -> Result<Value> {
    let progress = progress_file(site).read()?;
    let catalogue = Catalogue::get()?;
    let passed = catalogue.iter().filter(|exercise| progress.of(&exercise.name).passed.is_some()).count();
    Ok(json!({
        "current": progress.current,
        "passed": passed,
        "total": catalogue.iter().count(),
        "exercises": progress.exercises,
    }))
}

/// The files of an exercise that are edited, as paths in the terminal.
/// What the task names stands before what is there to be read, and what is made before the answers about it.
fn starting_files(exercise: &Exercise) -> Vec<String> {
    let task = catalogue::task(exercise).unwrap_or_default();
    let mut files = catalogue::folder(exercise, "start");
    files.sort_by_key(|(name, text)| (!task.contains(name.as_str()), text.contains("kind: ConfigMap")));
    files.into_iter().map(|(name, _)| format!("{}/{name}", exercise.name)).collect()
}

/// The course's list.
pub fn list(site: &Site) -> Result<Value> {
    let progress = progress_file(site).read()?;
    let pages = book::exercise_pages();
    let shown = |exercise: &Exercise| {
        let entry = progress.of(&exercise.name);
        json!({
            "name": exercise.name, "part": exercise.part, "title": exercise.title, "minutes": exercise.minutes,
            "teaches": exercise.teaches, "started": entry.started, "passed": entry.passed,
            "page": pages.get(&exercise.name), "namespace": exercise.namespace, "files": starting_files(exercise),
        })
    };
    let exercises: Vec<Value> = Catalogue::get()?.iter().map(shown).collect();
    Ok(json!({"current": progress.current, "exercises": exercises}))
}

fn begun(site: &Site, started: Started, exercise: &Exercise) -> Result<Value> {
    let home = site.0.terminals.home();
    home.begin(exercise).map_err(|fault| Error::new("the starting files cannot be written", fault.to_string()))?;
    let word = match started {
        Started::Fresh => "fresh",
        Started::Again => "again",
    };
    Ok(json!({"started": word, "namespace": exercise.namespace}))
}

async fn hint(target: &Target, exercise: &Exercise, file: &ProgressFile) -> Result<Value> {
    let shown = session::hint(target, exercise, file).await?;
    Ok(json!({"say": shown.as_ref().map(|shown| &shown.say), "more": shown.as_ref().map_or(0, |shown| shown.more)}))
}

fn solution(site: &Site, exercise: &Exercise, asked: &Asked) -> Result<Value> {
    let spoil = match body(asked, r#"{"spoil": true}"#)?["spoil"].as_bool() {
        Some(true) => Spoil::Yes,
        _ => Spoil::No,
    };
    let solution = session::solution(exercise, &progress_file(site), spoil)?;
    let named = |texts: &[(String, String)]| -> Value {
        texts.iter().map(|(name, text)| json!({"name": name, "text": text})).collect()
    };
    Ok(json!({"ways": named(&solution.ways), "files": named(&solution.files)}))
}

/// Streams a check's steps as lines of JSON. The check is a task of the playground, not of the
/// connection: it ends, and undoes what it did, also when nobody reads on.
fn check(site: &Site, exercise: &'static Exercise) -> Response {
    let (lines, received) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    let site = site.clone();
    site.0.tasks.clone().spawn("check", async move {
        // A reader who has gone misses the lines; nothing else does.
        let say = |line: Value| drop(lines.send(Ok(format!("{line}\n").into())));
        let _turn = site.0.desk.0.lock().await;
        let mut on_step = |step: &crate::course::check::StepReport| say(session::step_line(step));
        let checked = session::check(&target(&site), exercise, &progress_file(&site), &mut on_step).await;
        say(session::last_line(exercise, &checked));
    });
    let mut response = warp::reply::stream(UnboundedReceiverStream::new(received)).into_response();
    guard::dress(&mut response, StatusCode::OK, "application/x-ndjson");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn progress_file(site: &Site) -> ProgressFile {
    ProgressFile::new(&site.0.playground.state_dir)
}

/// This playground, graded from inside its own process.
fn target(site: &Site) -> Target {
    let cluster = site.0.cluster.clone();
    let client = cluster.client("tutor-check");
    Target::new(client, Some(Box::new(cluster)), site.0.clock, Some(site.0.playground.clone()))
}

impl Controls for Cluster {
    fn set_switch<'a>(&'a self, name: &'a str, state: SwitchState) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.turn_switch(name, state.as_str()) })
    }

    fn about(&self) -> BoxFuture<'_, Result<Value>> {
        Box::pin(async move { Ok(self.status()) })
    }

    fn crash(&self, _: Clock) -> BoxFuture<'_, Result<()>> {
        let inside = "this check runs inside of the playground, and would end with it";
        Box::pin(async move { Err(Error::new("the playground cannot be ended from here", inside)) })
    }

    fn decision<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move {
            Cluster::decision(self, namespace, name).ok_or_else(|| {
                let why = "it has not looked at that Pod since it started";
                Error::new(format!("the scheduler has no record of pod {namespace}/{name}"), why)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_is_a_post_with_a_name_and_a_verb() {
        let name = |method, call| Call::of(&method, call).map(|call| call.name);
        assert_eq!(name(Method::POST, "exercises/first-contact/check").as_deref(), Some("first-contact"));
        assert_eq!(name(Method::GET, "exercises/first-contact/check"), None);
        assert_eq!(name(Method::POST, "exercises/first-contact/delete"), None);
        assert_eq!(name(Method::POST, "exercises/first-contact"), None);
        assert_eq!(name(Method::POST, "exercises/first-contact/lines"), None);
        assert!(name(Method::GET, "exercises/first-contact/lines").is_some());
    }

    #[test]
    fn the_file_that_is_worked_on_first_stands_first() {
        let catalogue = Catalogue::get().unwrap();
        for (exercise, first) in
            [("what-is-shared", "pods.yaml"), ("controller-off", "prediction.yaml"), ("layer-order", "Dockerfile")]
        {
            assert_eq!(starting_files(catalogue.find(exercise).unwrap())[0], format!("{exercise}/{first}"));
        }
    }
}
