//! Does things to the cluster: for `start`, for a step of a check, for a solution or a mutant.
//!
//! What a check does to the whole cluster (cordons, switches) is written down and undone when it
//! ends, whether it passed or not. Errors are in the API server's own words.

use std::collections::BTreeMap;
use std::time::Duration;

use cel::Value as Cel;
use http::{Method, Request};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::catalogue;
use super::exercise::{Action, Exercise, PatchAction, RequestAction, SwitchState, Victim};
use super::explain;
use super::expression::{Expression, Variables, to_json};
use super::flood::Flood;
use super::folder::Folder;
use super::images;
use super::observer::Observer;
use super::script::{self, Script};
use super::target::{Target, refused};
use crate::api::cel::to_cel;
use crate::error::{Error, Result};

/// How long an `until` among actions may take.
const UNTIL: Duration = Duration::from_secs(60);

/// Does actions, and can undo those that reach beyond the exercise's namespace.
pub struct Performer<'t> {
    target: &'t Target,
    exercise: &'t Exercise,
    cordoned: Vec<String>,
    switched: Vec<String>,
    scripts: Vec<Script>,
    folder: Option<Folder>,
}

impl<'t> Performer<'t> {
    /// One that has done nothing yet.
    pub fn new(target: &'t Target, exercise: &'t Exercise) -> Self {
        Performer { target, exercise, cordoned: Vec::new(), switched: Vec::new(), scripts: Vec::new(), folder: None }
    }

    /// Does `actions` in order; stops at the first that fails.
    ///
    /// # Errors
    /// The cluster's refusal, or an expression without a value.
    pub async fn perform(&mut self, observer: &mut Observer<'_>, actions: &[Action]) -> Result<()> {
        for action in actions {
            observer.refresh();
            self.one(observer, action).await?;
        }
        observer.refresh();
        Ok(())
    }

    /// Undoes what reached beyond the namespace.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn undo(&mut self) -> Result<()> {
        self.scripts.clear();
        self.folder = None;
        for node in std::mem::take(&mut self.cordoned) {
            self.set_unschedulable(&node, Value::Null).await?;
        }
        for name in std::mem::take(&mut self.switched) {
            let state = self.exercise.switches.get(&name).copied().unwrap_or(SwitchState::Running);
            self.target.set_switch(&name, state).await?;
        }
        Ok(())
    }

    async fn one(&mut self, observer: &mut Observer<'_>, action: &Action) -> Result<()> {
        match action {
            Action::Apply(file) => self.apply_file(&observer.variables, file).await,
            Action::Delete(what) => self.delete(objects(observer, what).await?).await,
            Action::Cordon(nodes) => self.cordon(names(observer, nodes).await?).await,
            Action::Uncordon(nodes) => self.uncordon(names(observer, nodes).await?).await,
            Action::Drain(nodes) => {
                let nodes = names(observer, nodes).await?;
                self.drain(observer, nodes).await
            }
            Action::Patch(patch) => self.patch(observer, patch).await,
            Action::Request(request) => self.request(observer, request).await,
            Action::Switch(states) => self.switch(states).await,
            Action::Remember(values) => remember(observer, values).await,
            Action::Crash(Victim::Playground) => self.target.crash().await,
            Action::Flood(flood) => {
                observer.flood = Some(Flood::start(self.target, flood)?);
                Ok(())
            }
            Action::Run(file) => self.run(file),
            Action::Shell(file) => self.shell(file).await,
            Action::Image(words) => {
                let words: Vec<String> = words.iter().map(|word| filled(word, &observer.variables)).collect();
                let target = self.target;
                images::command(target, &self.folder()?.exercise, &words).await
            }
            Action::Until(expression) => self.until(observer, expression).await,
            Action::Wait(span) => {
                self.target.clock().sleep(span.0).await;
                Ok(())
            }
        }
    }

    async fn apply_file(&self, known: &Variables, file: &str) -> Result<()> {
        let text = filled(&catalogue::file(self.exercise, file)?, known);
        apply_text(self.target, file, &text, &self.exercise.namespace).await
    }

    async fn delete(&self, objects: Vec<Value>) -> Result<()> {
        for object in objects {
            let name = name_of(&object);
            let api = self.target.api_of(&object, &self.exercise.namespace).await?;
            match api.delete(&name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(refused(format!("{name} could not be deleted"), error)),
            }
        }
        Ok(())
    }

    async fn cordon(&mut self, nodes: Vec<String>) -> Result<()> {
        for node in nodes {
            self.set_unschedulable(&node, Value::Bool(true)).await?;
            self.cordoned.push(node);
        }
        Ok(())
    }

    async fn uncordon(&mut self, nodes: Vec<String>) -> Result<()> {
        for node in nodes {
            self.set_unschedulable(&node, Value::Null).await?;
            self.cordoned.retain(|cordoned| *cordoned != node);
        }
        Ok(())
    }

    async fn drain(&mut self, observer: &mut Observer<'_>, nodes: Vec<String>) -> Result<()> {
        self.cordon(nodes.clone()).await?;
        let pods = objects(observer, &Expression::compile("pods()").map_err(|why| Error::new(why, ""))?).await?;
        let node_of = |pod: &Value| pod.pointer("/spec/nodeName").and_then(Value::as_str).map(str::to_owned);
        let there = pods.into_iter().filter(|pod| node_of(pod).is_some_and(|node| nodes.contains(&node)));
        self.delete(there.collect()).await
    }

    async fn set_unschedulable(&self, node: &str, to: Value) -> Result<()> {
        let (resource, capabilities) = self.target.resource("nodes").await?;
        let api = self.target.api(&resource, &capabilities, "");
        let patch = json!({"spec": {"unschedulable": to}});
        let patched = api.patch(node, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.map(|_| ()).map_err(|error| refused(format!("node {node} could not be cordoned"), error))
    }

    async fn patch(&self, observer: &mut Observer<'_>, patch: &PatchAction) -> Result<()> {
        for object in objects(observer, &patch.what).await? {
            let name = name_of(&object);
            let api = self.target.api_of(&object, &self.exercise.namespace).await?;
            let patched = api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch.with)).await;
            patched.map_err(|error| refused(format!("{name} could not be patched"), error))?;
        }
        Ok(())
    }

    async fn request(&self, observer: &mut Observer<'_>, action: &RequestAction) -> Result<()> {
        let path = action.path.replace("{namespace}", &self.exercise.namespace);
        let bodies = match (&action.each, &action.body_from) {
            (Some(each), _) => objects(observer, each).await?.iter().map(|body| Some(body.to_string())).collect(),
            (None, Some(expression)) => vec![Some(to_json(&value(observer, expression).await?).to_string())],
            (None, None) => vec![action.body.as_ref().map(|body| filled(&body.to_string(), &observer.variables))],
        };
        let mut answers = Vec::new();
        for body in bodies {
            let answer = self.target.request(request_of(action, &path, body)?).await?;
            let says = answer.words();
            if answer.code >= 300 && action.keep.is_none() {
                return Err(Error::new(format!("{} {path} was refused", action.method), says));
            }
            answers.push(json!({"code": answer.code, "body": answer.body, "says": says}));
        }
        if let Some(name) = &action.keep {
            let kept = if action.each.is_some() { Value::Array(answers) } else { answers.swap_remove(0) };
            observer.variables.insert(name.clone(), to_cel(&kept));
        }
        Ok(())
    }

    async fn switch(&mut self, states: &BTreeMap<String, SwitchState>) -> Result<()> {
        for (name, state) in states {
            self.target.set_switch(name, *state).await?;
            self.switched.push(name.clone());
        }
        Ok(())
    }

    fn run(&mut self, file: &str) -> Result<()> {
        let text = catalogue::file(self.exercise, file)?;
        self.scripts.push(Script::start(file, &text, self.target.kubeconfig(), &self.exercise.namespace)?);
        Ok(())
    }

    async fn shell(&mut self, file: &str) -> Result<()> {
        let text = catalogue::file(self.exercise, file)?;
        let (target, namespace) = (self.target, &self.exercise.namespace);
        script::run_to_end(file, &text, target.own()?, self.folder()?, namespace, target.clock()).await
    }

    fn folder(&mut self) -> Result<&Folder> {
        match &mut self.folder {
            Some(folder) => Ok(folder),
            none => Ok(none.insert(Folder::new(self.exercise)?)),
        }
    }

    async fn until(&self, observer: &mut Observer<'_>, expression: &Expression) -> Result<()> {
        let wait = async {
            while !observer.is_true(expression).await {
                observer.changed().await;
            }
        };
        if self.target.clock().timeout(UNTIL, wait).await.is_ok() {
            return Ok(());
        }
        let found = explain::found(observer, expression).await;
        Err(Error::new(format!("waited {} s for {}", UNTIL.as_secs(), expression.source()), found))
    }
}

/// Applies every document of a YAML or JSON text, in `namespace` where it names none.
///
/// # Errors
/// When the text is not YAML (with line and column), or the API server refuses an object.
pub async fn apply_text(target: &Target, file: &str, text: &str, namespace: &str) -> Result<()> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| Error::new(format!("{file} is not YAML"), error.to_string()))?;
    for document in documents.iter().filter(|document| !document.is_null()) {
        match document.get("items").and_then(Value::as_array) {
            Some(items) => {
                for item in items {
                    target.apply(item, namespace).await?;
                }
            }
            None => target.apply(document, namespace).await?,
        }
    }
    Ok(())
}

fn request_of(action: &RequestAction, path: &str, body: Option<String>) -> Result<Request<Vec<u8>>> {
    let method = Method::from_bytes(action.method.as_bytes())
        .map_err(|_| Error::new(format!("{} is not an HTTP method", action.method), ""))?;
    let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
    if body.is_some() {
        request = request.header("content-type", &action.content_type);
    }
    if let Some(component) = &action.component {
        request = request.header("user-agent", component);
    }
    let bytes = body.map(String::into_bytes).unwrap_or_default();
    request.body(bytes).map_err(|error| Error::new(format!("{path} is no path"), error.to_string()))
}

/// A text with the texts that are known in place of `{name}`.
fn filled(text: &str, variables: &Variables) -> String {
    let known = variables.iter().filter_map(|(name, value)| match value {
        Cel::String(value) => Some((name, value)),
        _ => None,
    });
    known.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

async fn remember(observer: &mut Observer<'_>, values: &BTreeMap<String, Expression>) -> Result<()> {
    for (name, expression) in values {
        let value = value(observer, expression).await?;
        observer.variables.insert(name.clone(), value);
    }
    Ok(())
}

async fn value(observer: &mut Observer<'_>, expression: &Expression) -> Result<Cel> {
    observer.value(expression).await.map_err(|why| Error::new(format!("`{}` has no value", expression.source()), why))
}

/// The objects an expression gives: one, or a list of them.
async fn objects(observer: &mut Observer<'_>, expression: &Expression) -> Result<Vec<Value>> {
    match value(observer, expression).await? {
        Cel::List(items) => Ok(items.iter().map(to_json).collect()),
        one => Ok(vec![to_json(&one)]),
    }
}

/// The names an expression gives: of objects, or as strings.
async fn names(observer: &mut Observer<'_>, expression: &Expression) -> Result<Vec<String>> {
    let values = objects(observer, expression).await?;
    Ok(values.iter().map(|value| value.as_str().map_or_else(|| name_of(value), str::to_owned)).collect())
}

fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}
