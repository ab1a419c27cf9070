//! What is scaled: anything with a `scale` subresource, custom resources among them.
//!
//! Comes in: an autoscaler's `scaleTargetRef`. Goes out: the scale of what it names, and later the same scale
//! with another number. The group and the kind count; the version is the one that the server prefers. Errors are
//! sentences for conditions and events. Source: `k8s.io/client-go/scale`.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Refusal, get, put};
use crate::api::selector::{LabelSelector, Operator};
use crate::clock::Clock;

/// Source: client-go util/retry, DefaultRetry.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// A scale, and where it is.
#[derive(Clone, Debug)]
pub struct Target {
    path: String,
    /// For a refusal: `deployments web`.
    about: String,
    scale: Value,
    selector: Option<LabelSelector>,
}

/// A kind as one group serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `/apis/apps/v1`.
    base: String,
    /// `deployments`.
    plural: String,
    group: String,
}

impl Served {
    /// `deployments.apps`, or `pods`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

impl Target {
    /// Reads the scale of what an autoscaler of this namespace names.
    ///
    /// # Errors
    /// `no matches for kind "Deploymnt" in group "apps"`, or the server's words: `deployments.apps "web" not found`.
    pub async fn find(client: &Client, namespace: &str, to: &CrossVersionObjectReference) -> Result<Self, String> {
        let group = group_of(to.api_version.as_deref().unwrap_or_default())?;
        let served = serve(client, group, &to.kind).await?;
        let path = format!("{}/namespaces/{namespace}/{}/{}/scale", served.base, served.plural, to.name);
        let about = format!("{} {}", served.plural, to.name);
        let scale: Value = get(client, &path, &about).await.map_err(|refusal| refusal.words)?;
        let text = scale["status"]["selector"].as_str().filter(|text| !text.is_empty());
        let selector = text.map(selector).transpose().map_err(|why| {
            format!(
                "received an object from a /scale endpoint which was not convertible to autoscaling Scale: failed to \
                 parse target selector: {why}"
            )
        })?;
        Ok(Target { path, about, scale, selector })
    }

    /// How many are asked for.
    pub fn wanted(&self) -> i32 {
        number(&self.scale["spec"]["replicas"])
    }

    /// How many there are.
    pub fn running(&self) -> i32 {
        number(&self.scale["status"]["replicas"])
    }

    /// Which Pods they are, where the scale says so.
    pub fn selector(&self) -> Option<&LabelSelector> {
        self.selector.as_ref()
    }

    /// Asks for this many. When another writer was faster, the scale is read again and asked anew.
    ///
    /// # Errors
    /// The server's words.
    pub async fn rescale(&mut self, client: &Client, replicas: i32, clock: Clock) -> Result<(), String> {
        let mut tries = 1;
        loop {
            self.scale["spec"] = json!({ "replicas": replicas });
            let Refusal { code, words } = match put(client, &self.path, &self.scale, &self.about).await {
                Ok(_) => return Ok(()),
                Err(refusal) => refusal,
            };
            if code != 409 || tries == TRIES {
                return Err(words);
            }
            clock.sleep(PAUSE).await;
            if let Ok(newest) = get(client, &self.path, &self.about).await {
                self.scale = newest;
            }
            tries += 1;
        }
    }
}

/// A scale's selector. Go keeps it in a form that has no word for some operators.
fn selector(text: &str) -> Result<LabelSelector, String> {
    let selector = LabelSelector::parse(text)
        .map_err(|error| format!("couldn't parse the selector string \"{text}\": {}", error.0))?;
    for requirement in selector.requirements() {
        match requirement.operator {
            Operator::NotEquals => return Err("\"!=\" is not a valid label selector operator".into()),
            Operator::GreaterThan => return Err("\"gt\" isn't supported in label selectors".into()),
            Operator::LessThan => return Err("\"lt\" isn't supported in label selectors".into()),
            _ => {}
        }
    }
    Ok(selector)
}

fn number(value: &Value) -> i32 {
    value.as_i64().and_then(|number| number.try_into().ok()).unwrap_or_default()
}

/// The group of an apiVersion: `apps` of `apps/v1`, nothing of `v1`.
///
/// # Errors
/// `unexpected GroupVersion string: a/b/c`.
pub fn group_of(api_version: &str) -> Result<&str, String> {
    match api_version.split_once('/') {
        None => Ok(""),
        Some((_, version)) if version.contains('/') => Err(format!("unexpected GroupVersion string: {api_version}")),
        Some((group, _)) => Ok(group),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
    versions: Vec<Version>,
}

#[derive(Clone, Deserialize, PartialEq)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
}

/// The versions of a group, the preferred one first; none for an unknown group.
pub async fn versions(client: &Client, group: &str) -> Vec<String> {
    if group.is_empty() {
        return vec!["v1".into()];
    }
    let Ok(found) = get::<Group>(client, &format!("/apis/{group}"), group).await else { return Vec::new() };
    let first = found.preferred_version;
    let others = found.versions.into_iter().filter(|version| *version != first);
    std::iter::once(first.clone()).chain(others).map(|version| version.version).collect()
}

/// Where a kind is served.
///
/// # Errors
/// `no matches for kind "Deploymnt" in group "apps"`.
pub async fn serve(client: &Client, group: &str, kind: &str) -> Result<Served, String> {
    for version in versions(client, group).await {
        let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        // A version whose server is away has no kinds now.
        let Ok(list) = get::<Resources>(client, &base, group).await else { continue };
        let named = |resource: &Resource| resource.kind == kind && !resource.name.contains('/');
        if let Some(found) = list.resources.into_iter().find(named) {
            return Ok(Served { base, plural: found.name, group: group.to_owned() });
        }
    }
    Err(format!("no matches for kind {kind:?} in group {group:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scales_selector_is_one_that_go_has_words_for() {
        for (text, expected) in [
            ("app=web,tier in (a,b),!old", Ok("app=web,!old,tier in (a,b)")),
            ("a=b c", Err("couldn't parse the selector string \"a=b c\": found 'c', expected: ',' or 'end of string'")),
            ("a!=b", Err("\"!=\" is not a valid label selector operator")),
            ("a>1", Err("\"gt\" isn't supported in label selectors")),
        ] {
            let found = selector(text).map(|selector| selector.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn an_api_version_names_a_group() {
        assert_eq!(group_of("apps/v1"), Ok("apps"));
        assert_eq!(group_of("v1"), Ok(""));
        assert_eq!(group_of(""), Ok(""));
        assert_eq!(group_of("a/b/c"), Err("unexpected GroupVersion string: a/b/c".to_owned()));
    }
}
