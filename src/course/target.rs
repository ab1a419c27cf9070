//! The cluster that is graded: this playground, or another one given by its kubeconfig.
//!
//! In: a client of its API and, for a playground, one of its page (switches, the scheduler's
//! records). Out: objects, answers, and what was done. Errors name the cluster's own words.

use std::path::Path;
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::controls::Controls;
use super::exercise::SwitchState;
use crate::client;
use crate::client::page::Page;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::state::Playground;

/// How long a command in a container may take.
const EXEC: Duration = Duration::from_secs(10);
/// How long an API server may take to answer after a crash, and how often it is asked.
const ANSWERS: Duration = Duration::from_secs(60);
const ANSWERS_AGAIN: Duration = Duration::from_millis(20);

/// A cluster to grade.
pub struct Target {
    client: Client,
    controls: Option<Box<dyn Controls>>,
    clock: Clock,
    playground: Option<Playground>,
    /// A client over a socket, for what upgrades its connection.
    outside: OnceCell<Client>,
    /// What the cluster serves, as it said last; asked again for what is not in it, as custom kinds come and go.
    discovery: Mutex<Option<Discovery>>,
}

/// What the API server answered.
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The body: JSON where it is, else a string.
    pub body: Value,
}

impl Target {
    /// A cluster behind `client`; `controls` and `playground` are the playground's, where it is one.
    pub fn new(
        client: Client,
        controls: Option<Box<dyn Controls>>,
        clock: Clock,
        playground: Option<Playground>,
    ) -> Self {
        Target { client, controls, clock, playground, outside: OnceCell::new(), discovery: Mutex::new(None) }
    }

    /// A running playground.
    ///
    /// # Errors
    /// When its kubeconfig cannot be used.
    pub async fn playground(playground: &Playground, clock: Clock) -> Result<Self> {
        let client = client::from_playground(playground).await?;
        Ok(Target::new(client, Some(Box::new(Page::of(playground))), clock, Some(playground.clone())))
    }

    /// Another cluster, by kubeconfig and context.
    ///
    /// # Errors
    /// When they cannot be used.
    pub async fn other(kubeconfig: &Path, context: Option<&str>, clock: Clock) -> Result<Self> {
        let client = client::from_kubeconfig(kubeconfig, context).await?;
        Ok(Target::new(client, None, clock, None))
    }

    /// The API server's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The clock that waits use.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The kubeconfig that reaches it, where there is one.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.playground.as_ref().map(|playground| playground.kubeconfig.as_path())
    }

    /// The playground, which has images and a registry on this machine.
    ///
    /// # Errors
    /// When it is another cluster.
    pub fn own(&self) -> Result<&Playground> {
        self.playground.as_ref().ok_or_else(|| {
            Error::new("this cluster's images cannot be looked at", "only a playground keeps them on this machine")
                .hint("start one with `tutor serve`, and check without --context")
        })
    }

    /// What runs the playground's containers, and why; `None` for another cluster.
    ///
    /// # Errors
    /// When the playground does not answer.
    pub async fn runtime(&self) -> Result<Option<(String, String)>> {
        let Some(controls) = &self.controls else { return Ok(None) };
        let about = controls.about().await?;
        let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
        Ok(Some((text("runtime"), text("runtimeReason"))))
    }

    /// What a command prints in a Pod's container; the only one, when `container` is empty.
    ///
    /// # Errors
    /// The kubelet's refusal, or what a command that failed said.
    pub async fn exec(&self, place: (&str, &str, &str), words: &[String]) -> Result<String> {
        let connect = || async {
            match self.kubeconfig() {
                Some(path) => client::from_kubeconfig(path, None).await,
                None => Ok(self.client.clone()),
            }
        };
        let outside = self.outside.get_or_try_init(connect).await?.clone();
        let run = async move { client::run_in(outside, place, words).await };
        let ran = self.clock.timeout(EXEC, run).await;
        let failed = |why: String| Error::new(format!("{} in pod {} failed", words.join(" "), place.1), why);
        ran.map_err(|_| failed(format!("waited {} s", EXEC.as_secs())))?.map_err(failed)
    }

    /// Whether it is a playground, with switches and records.
    pub fn is_playground(&self) -> bool {
        self.controls.is_some()
    }

    /// A resource by its plural (`pods`, `deployments.apps`) or by its kind and group.
    ///
    /// # Errors
    /// When the cluster serves none of that name.
    pub async fn resource(&self, name: &str) -> Result<(ApiResource, ApiCapabilities)> {
        let (plural, group) = name.split_once('.').map_or((name, None), |(plural, group)| (plural, Some(group)));
        let found = self.served(|discovery| {
            let mut groups: Vec<_> =
                discovery.groups().filter(|g| group.is_none_or(|wanted| g.name() == wanted)).collect();
            groups.sort_by_key(|g| (!g.name().is_empty(), g.name().contains('.'), g.name().to_owned()));
            let mut resources = groups.iter().flat_map(|group| group.recommended_resources());
            resources.find(|(resource, _)| resource.plural == plural)
        });
        found.await?.ok_or_else(|| Error::new(format!("this cluster serves no resource {name}"), ""))
    }

    /// The resource of an object, by its apiVersion and kind.
    ///
    /// # Errors
    /// When the cluster does not serve that kind.
    pub async fn resource_of(&self, object: &Value) -> Result<(ApiResource, ApiCapabilities)> {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        let found = self.served(|discovery| discovery.resolve_gvk(&gvk)).await?;
        found.ok_or_else(|| {
            let why = "the apiVersion and kind of a manifest must be ones that `kubectl api-resources` lists";
            Error::new(format!("this cluster serves no {kind:?} in {api_version:?}"), why)
        })
    }

    /// Access to the objects of `resource`, in `namespace` where it has namespaces.
    pub fn api(&self, resource: &ApiResource, capabilities: &ApiCapabilities, namespace: &str) -> Api<DynamicObject> {
        match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, resource),
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Access to the place where `object` lives; `namespace` is for one that names none.
    ///
    /// # Errors
    /// When the cluster does not serve its kind.
    pub async fn api_of(&self, object: &Value, namespace: &str) -> Result<Api<DynamicObject>> {
        let (resource, capabilities) = self.resource_of(object).await?;
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str);
        Ok(self.api(&resource, &capabilities, own.unwrap_or(namespace)))
    }

    /// Applies one object, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn apply(&self, object: &Value, namespace: &str) -> Result<()> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let api = self.api_of(object, namespace).await?;
        let params = PatchParams::apply("tutor").force();
        let applied = api.patch(&name, &params, &Patch::Apply(object)).await;
        applied.map(|_| ()).map_err(|error| refused(format!("{kind}/{name} was refused"), error))
    }

    /// Sends one request to the API server; every HTTP status is an answer.
    ///
    /// # Errors
    /// When nothing answered.
    pub async fn request(&self, request: Request<Vec<u8>>) -> Result<Answer> {
        send(&self.client, request).await.map_err(|why| Error::new("the API server did not answer", why))
    }

    /// One request as somebody else, which whoever checks must be allowed to do; as oneself, when `user` is empty.
    ///
    /// # Errors
    /// When nothing answered.
    pub async fn ask_as(&self, user: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = build(method, path, body)?;
        if !user.is_empty() {
            let name =
                HeaderValue::from_str(user).map_err(|_| Error::new(format!("{user:?} is no user's name"), ""))?;
            request.headers_mut().insert("impersonate-user", name);
        }
        self.request(request).await
    }

    /// The answer to a GET of the API server.
    ///
    /// # Errors
    /// When nothing answered.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request(build(Method::GET, path, None)?).await
    }

    /// Pauses a loop of the playground, or lets it run.
    ///
    /// # Errors
    /// When it is not a playground, or has no such loop.
    pub async fn set_switch(&self, name: &str, state: SwitchState) -> Result<()> {
        self.controls()?.set_switch(name, state).await
    }

    /// The scheduler's last record of a Pod.
    ///
    /// # Errors
    /// When it is not a playground, or the scheduler has not looked at the Pod.
    pub async fn decision(&self, namespace: &str, name: &str) -> Result<Value> {
        self.controls()?.decision(namespace, name).await
    }

    /// Ends the playground in the middle of what it does, and waits until it answers again.
    ///
    /// # Errors
    /// When it is not a playground, or does not come back.
    pub async fn crash(&self) -> Result<()> {
        self.controls()?.crash(self.clock).await?;
        // Connections of before are dead; the first request may find one of them.
        let answers = async {
            while !self.get("/readyz").await.is_ok_and(|answer| answer.code == 200) {
                self.clock.sleep(ANSWERS_AGAIN).await;
            }
        };
        let answered = self.clock.timeout(ANSWERS, answers).await;
        answered.map_err(|_| Error::new("the API server did not come back", format!("waited {} s", ANSWERS.as_secs())))
    }

    fn controls(&self) -> Result<&dyn Controls> {
        self.controls.as_deref().ok_or_else(|| {
            Error::new("this cluster has no switches or records", "only a playground has them")
                .hint("start one with `tutor serve`, and check without --context")
        })
    }

    /// What `find` finds in what the cluster serves: in what it said last, else in what it says now.
    async fn served<T>(&self, find: impl Fn(&Discovery) -> Option<T>) -> Result<Option<T>> {
        let mut known = self.discovery.lock().await;
        if let Some(found) = known.as_ref().and_then(&find) {
            return Ok(Some(found));
        }
        let discovered = Discovery::new(self.client.clone()).run_aggregated().await;
        let discovered =
            discovered.map_err(|error| refused("the cluster did not say what it serves".to_owned(), error))?;
        let found = find(&discovered);
        *known = Some(discovered);
        Ok(found)
    }
}

impl Answer {
    /// A Status' message, or the body as it is.
    pub fn words(&self) -> String {
        match (self.body.get("message").and_then(Value::as_str), &self.body) {
            (Some(message), _) => message.to_owned(),
            (None, Value::String(text)) => text.trim().to_owned(),
            (None, other) => format!("HTTP {}: {other}", self.code),
        }
    }
}

/// A request with an optional JSON body.
///
/// # Errors
/// When the path is not one.
pub fn build(method: Method, path: &str, body: Option<&Value>) -> Result<Request<Vec<u8>>> {
    let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header("accept", "application/json");
    let request = if body.is_some() { request.header("content-type", "application/json") } else { request };
    request.body(bytes).map_err(|error| Error::new(format!("{path} is not a path"), error.to_string()))
}

/// A failed call, in the API server's words.
pub fn refused(what: String, error: kube::Error) -> Error {
    let why = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    Error::new(what, why)
}

async fn send(client: &Client, request: Request<Vec<u8>>) -> std::result::Result<Answer, String> {
    let (parts, body) = request.into_parts();
    let response = client.send(Request::from_parts(parts, body.into())).await.map_err(|error| error.to_string())?;
    let code = response.status().as_u16();
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.map_err(|error| error.to_string())?;
    let bytes = bytes.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into()));
    Ok(Answer { code, body })
}
