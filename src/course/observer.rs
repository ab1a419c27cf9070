//! Evaluates expressions against a living cluster: fetches what they need, and tells when to look
//! again.
//!
//! Objects are listed once and kept fresh by watches; the rest (the journal, the scheduler's
//! record, logs) has no watch, so an expression that used it is looked at again on every change
//! and a few times a second. Nothing runs in the background but a flood of requests: watches are read while somebody
//! waits.

use std::sync::Arc;
use std::time::Duration;

use cel::Value as Cel;
use futures::future::{Either, FutureExt};
use futures::stream::{BoxStream, SelectAll, StreamExt};
use http::Method;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use parking_lot::Mutex;
use serde_json::Value;

use super::expression::{Expression, Variables};
use super::flood::Flood;
use super::images;
use super::rights;
use super::target::Target;
use super::world::{Question, Source, Wanted, World};
use crate::api::cel::to_cel;
use crate::client::trace;

/// How often to look again at what no watch covers.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// An expression can need what it only finds out from what it needed before, to this depth.
const DEPTH: usize = 8;

/// Why to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Objects changed.
    Objects,
    /// Something that no watch covers may have.
    LookAgain,
}

type Changes = BoxStream<'static, (Arc<Watched>, Result<Event<DynamicObject>, watcher::Error>)>;

/// What a watch is of.
struct Watched {
    source: Source,
    resource: ApiResource,
}

/// One view of one cluster, from one exercise's namespace.
pub struct Observer<'t> {
    target: &'t Target,
    world: Arc<Mutex<World>>,
    changes: SelectAll<Changes>,
    refill: Vec<(Source, Value)>,
    asked: bool,
    /// What `remember` kept.
    pub variables: Variables,
    /// The users that ask meanwhile, if a check began with them.
    pub flood: Option<Flood>,
}

impl<'t> Observer<'t> {
    /// A view that knows nothing yet.
    pub fn new(target: &'t Target, namespace: &str) -> Self {
        let mut variables = Variables::from([("here".to_owned(), Cel::from(namespace))]);
        if let Ok(playground) = target.own() {
            variables.insert("registry".to_owned(), Cel::from(playground.registry.as_str()));
            if let Some((registry, user)) = images::login(playground) {
                variables.insert("privateRegistry".to_owned(), Cel::from(registry.as_str()));
                let user = serde_json::json!({"username": user.username, "password": user.password});
                variables.insert("login".to_owned(), to_cel(&user));
            }
        }
        Observer {
            target,
            world: Arc::new(Mutex::new(World::new(namespace))),
            changes: SelectAll::new(),
            refill: Vec::new(),
            asked: false,
            variables,
            flood: None,
        }
    }

    /// Forgets everything but what was remembered, so that what is seen next is not older than
    /// what was done last.
    pub fn refresh(&mut self) {
        let namespace = self.world.lock().namespace.clone();
        *self.world.lock() = World::new(&namespace);
        self.changes = SelectAll::new();
        self.refill.clear();
        self.asked = false;
    }

    /// The value of an expression now.
    ///
    /// # Errors
    /// Why it has none, in words.
    pub async fn value(&mut self, expression: &Expression) -> Result<Cel, String> {
        self.asked |= self.world.lock().forget_answers();
        for _ in 0..DEPTH {
            self.world.lock().wanted.clear();
            let value = expression.evaluate(&self.world, &self.variables);
            let wanted = std::mem::take(&mut self.world.lock().wanted);
            if wanted.is_empty() {
                return value;
            }
            for wanted in wanted {
                self.fetch(wanted).await?;
            }
        }
        Err("the expression needs too much, one thing after another".to_owned())
    }

    /// Whether an expression is true now; false also while it has no value.
    pub async fn is_true(&mut self, expression: &Expression) -> bool {
        self.value(expression).await == Ok(Cel::Bool(true))
    }

    /// Waits until something that the last expressions looked at may have changed.
    pub async fn changed(&mut self) -> Change {
        let clock = self.target.clock();
        let again = match self.asked {
            true => Either::Left(clock.sleep(LOOK_AGAIN)),
            false => Either::Right(futures::future::pending()),
        };
        let mut next = tokio::select! {
            Some(change) = self.changes.next() => Some(change),
            () = again => return Change::LookAgain,
            else => return Change::LookAgain,
        };
        while let Some((watched, event)) = next {
            self.take(&watched, event);
            next = self.changes.next().now_or_never().flatten();
        }
        Change::Objects
    }

    async fn fetch(&mut self, wanted: Wanted) -> Result<(), String> {
        match wanted {
            Wanted::Objects(source) => self.watch(source).await,
            Wanted::Answer(question) => {
                self.asked = true;
                let answer = match (&question, &self.flood) {
                    (Question::Flood, Some(flood)) => Ok(to_cel(&flood.tally())),
                    _ => ask(self.target, &question).await,
                };
                self.world.lock().learn(question, answer);
                Ok(())
            }
        }
    }

    async fn watch(&mut self, source: Source) -> Result<(), String> {
        let (resource, capabilities) =
            self.target.resource(&source.resource).await.map_err(|error| error.to_string())?;
        let api = self.target.api(&resource, &capabilities, &source.namespace);
        let watched = Arc::new(Watched { source, resource });
        let key = Arc::clone(&watched);
        let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
        let mut changes: Changes = events.map(move |event| (Arc::clone(&key), event)).boxed();
        let plural = &watched.resource.plural;
        while !self.world.lock().holds(&watched.source) {
            match changes.next().await {
                Some((_, Err(error))) => return Err(format!("{plural} cannot be listed: {error}")),
                Some((watched, event)) => self.take(&watched, event),
                None => return Err(format!("{plural} cannot be watched")),
            }
        }
        self.changes.push(changes);
        Ok(())
    }

    /// Takes in one event; a broken watch is started again by the watcher, with a new list.
    fn take(&mut self, watched: &Watched, event: Result<Event<DynamicObject>, watcher::Error>) {
        let Watched { source, resource } = watched;
        match event {
            Ok(Event::Init) => self.refill.retain(|(other, _)| other != source),
            Ok(Event::InitApply(object)) => self.refill.push((source.clone(), json(&object, resource))),
            Ok(Event::InitDone) => {
                let refill = std::mem::take(&mut self.refill).into_iter();
                let (mine, others): (Vec<_>, Vec<_>) = refill.partition(|(other, _)| other == source);
                self.refill = others;
                self.world.lock().replace(source, &resource.plural, mine.into_iter().map(|(_, object)| object));
            }
            Ok(Event::Apply(object)) => self.world.lock().put(source, &resource.plural, &json(&object, resource)),
            Ok(Event::Delete(object)) => {
                let (namespace, name) = (object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
                self.world.lock().remove(source, namespace.unwrap_or_default(), name.unwrap_or_default());
            }
            Err(error) => tracing::debug!(%error, resource = resource.plural, "watch ended"),
        }
    }
}

/// The record of writes that fit a query, oldest first.
async fn recorded(target: &Target, query: &str) -> Result<Vec<Value>, String> {
    let answer = target.get(&format!("/tutor/writes?{query}")).await.map_err(|error| error.to_string())?;
    match answer.body.get("items").and_then(Value::as_array) {
        Some(items) => Ok(items.clone()),
        None => Err(format!("there is no record of writes: {}", answer.words())),
    }
}

/// A write with `who`: its writer, as a trace names it.
fn with_writer(mut write: Value) -> Value {
    if let Ok(known) = serde_json::from_value::<trace::Write>(write.clone()) {
        write["who"] = known.who().into();
    }
    write
}

async fn ask(target: &Target, question: &Question) -> Result<Cel, String> {
    match question {
        Question::Writes { resource, namespace, name } => {
            let query = format!("resource={resource}&namespace={namespace}&name={name}");
            let writes = recorded(target, &query).await?;
            // Only since the namespace was made: an object of an earlier start is another one.
            let born = recorded(target, &format!("resource=namespaces&name={namespace}")).await?;
            let born = born.iter().filter(|write| write["verb"] == "create").filter_map(revision).max().unwrap_or(0);
            let recent = writes.into_iter().filter(|write| revision(write).is_some_and(|at| at > born));
            Ok(to_cel(&recent.map(with_writer).collect()))
        }
        Question::Decision { namespace, name } => {
            let decision = target.decision(namespace, name).await;
            decision.map(|value| to_cel(&value)).map_err(|error| error.to_string())
        }
        Question::Logs { namespace, pod, container } => {
            let query = if container.is_empty() { String::new() } else { format!("?container={container}") };
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log{query}");
            let answer = target.get(&path).await.map_err(|error| error.to_string())?;
            match (answer.code, &answer.body) {
                (200, Value::String(text)) => Ok(Cel::from(text.as_str())),
                (200, other) => Ok(Cel::from(other.to_string())),
                _ => Err(answer.words()),
            }
        }
        Question::Exec { namespace, pod, container, words } => {
            let said = target.exec((namespace, pod, container), words).await;
            said.map(|said| Cel::from(said.as_str())).map_err(|error| error.to_string())
        }
        Question::Image(name) => {
            images::look(target, name).map(|image| to_cel(&image)).map_err(|error| error.to_string())
        }
        Question::Registry(path) => {
            let answer = images::registry(target, path).await.map_err(|error| error.to_string())?;
            Ok(to_cel(&serde_json::json!({"code": answer.code, "body": answer.body})))
        }
        Question::Flood => Err("no flood has begun".to_owned()),
        Question::Get { path, user } => {
            let answer = target.ask_as(user, Method::GET, path, None).await.map_err(|error| error.to_string())?;
            Ok(to_cel(&serde_json::json!({"code": answer.code, "body": answer.body})))
        }
        Question::May { user, namespace, deeds } => {
            let allowed = rights::allowed(target, user, namespace, deeds).await?;
            Ok(to_cel(&serde_json::json!(allowed)))
        }
    }
}

/// An object as JSON. An item of a list does not say its kind, as the list does; it gets it here.
fn json(object: &DynamicObject, resource: &ApiResource) -> Value {
    let mut object = serde_json::to_value(object).unwrap_or(Value::Null);
    for (key, value) in [("apiVersion", &resource.api_version), ("kind", &resource.kind)] {
        if object.get(key).is_none() {
            object[key] = Value::String(value.clone());
        }
    }
    object
}

fn revision(write: &Value) -> Option<i64> {
    write["revision"].as_i64()
}
