//! What a container sees of the cluster: variables from ConfigMaps, Secrets and the Pod itself.
//!
//! In: the Pod, through `client/` its ConfigMaps and Secrets. Out: resolved variables (files are in `volumes`).
//! A missing source is an error in Kubernetes' words, and the start is tried again later.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, ResourceFieldSelector, Secret};
use kube::Api;

use super::pod::PodView;
use super::tokens::PodTokens;
use crate::api::quantity::Quantity;

/// Reads a Pod's sources, each at most once.
pub struct Sources<'a> {
    pub(super) client: &'a kube::Client,
    pub(super) pod: &'a PodView,
    ip: &'a str,
    host_ip: &'a str,
    read: BTreeMap<(Kind, String), Option<Data>>,
    /// Those that the Pod has; `None`: volumes get no tokens now.
    pub(super) tokens: Option<&'a mut PodTokens>,
    pub(super) now: Timestamp,
    /// True once a request failed, which says nothing about what is there.
    pub(super) unread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }
}

/// Bytes by key.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

impl<'a> Sources<'a> {
    /// The sources of a Pod with this address, on a node with that one.
    pub fn new(client: &'a kube::Client, pod: &'a PodView, ip: &'a str, host_ip: &'a str) -> Self {
        let (read, tokens, now) = (BTreeMap::new(), None, Timestamp::UNIX_EPOCH);
        Sources { client, pod, ip, host_ip, read, tokens, now, unread: false }
    }

    /// With tokens in volumes: those that the Pod has, and new ones where at this time they are due.
    pub fn with_tokens(self, tokens: &'a mut PodTokens, now: Timestamp) -> Self {
        Sources { tokens: Some(tokens), now, ..self }
    }

    /// The container's variables, in order, `$(NAME)` put in.
    ///
    /// # Errors
    /// A source that has to be there is not: the words of CreateContainerConfigError.
    pub async fn variables(&mut self, container: &Container) -> Result<Vec<(String, String)>, String> {
        let mut variables: Vec<(String, String)> = Vec::new();
        for from in container.env_from.iter().flatten() {
            let prefix = from.prefix.as_deref().unwrap_or_default();
            let (kind, name, optional) = match (&from.config_map_ref, &from.secret_ref) {
                (Some(source), _) => (Kind::ConfigMap, &source.name, source.optional),
                (None, Some(source)) => (Kind::Secret, &source.name, source.optional),
                (None, None) => continue,
            };
            for (key, value) in self.get(kind, name, optional == Some(true)).await?.unwrap_or_default() {
                variables.push((format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned()));
            }
        }
        for variable in container.env.iter().flatten() {
            let value = match &variable.value_from {
                None => Some(put_in(variable.value.as_deref().unwrap_or_default(), &variables)),
                Some(source) => self.value(source, container).await?,
            };
            if let Some(value) = value {
                variables.retain(|(name, _)| *name != variable.name);
                variables.push((variable.name.clone(), value));
            }
        }
        Ok(variables)
    }

    async fn value(&mut self, source: &EnvVarSource, container: &Container) -> Result<Option<String>, String> {
        let (kind, name, key, optional) = match (&source.config_map_key_ref, &source.secret_key_ref) {
            (Some(from), _) => (Kind::ConfigMap, &from.name, &from.key, from.optional),
            (None, Some(from)) => (Kind::Secret, &from.name, &from.key, from.optional),
            (None, None) => {
                let field = source.field_ref.as_ref().map(|field| self.field(&field.field_path));
                let resource = source.resource_field_ref.as_ref();
                return Ok(field.or_else(|| resource.map(|it| resource_field(container, it))));
            }
        };
        let optional = optional == Some(true);
        let data = self.get(kind, name, optional).await?;
        match data.and_then(|data| data.get(key).cloned()) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            None if optional => Ok(None),
            None => {
                let (kind, namespace) =
                    (if kind == Kind::Secret { "Secret" } else { "ConfigMap" }, self.pod.namespace());
                Err(format!("couldn't find key {key} in {kind} {namespace}/{name}"))
            }
        }
    }

    /// A ConfigMap's or Secret's data; `None` when it is missing and may be.
    pub(super) async fn get(&mut self, kind: Kind, name: &str, optional: bool) -> Result<Option<Data>, String> {
        let key = (kind, name.to_owned());
        if !self.read.contains_key(&key) {
            let data = self.fetch(kind, name).await;
            self.unread |= data.is_err();
            let data = data?;
            self.read.insert(key.clone(), data);
        }
        match self.read.get(&key).cloned().flatten() {
            None if !optional => Err(format!("{} \"{name}\" not found", kind.name())),
            data => Ok(data),
        }
    }

    async fn fetch(&self, kind: Kind, name: &str) -> Result<Option<Data>, String> {
        let (client, namespace) = (self.client.clone(), self.pod.namespace());
        let failed = |error: kube::Error| error.to_string();
        match kind {
            Kind::ConfigMap => {
                let found = Api::<ConfigMap>::namespaced(client, namespace).get_opt(name).await.map_err(failed)?;
                Ok(found.map(|map| {
                    let text = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
                    let binary = map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
                    text.chain(binary).collect()
                }))
            }
            Kind::Secret => {
                let found = Api::<Secret>::namespaced(client, namespace).get_opt(name).await.map_err(failed)?;
                Ok(found.map(|it| it.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect()))
            }
        }
    }

    /// What the downward API says of a field.
    pub(super) fn field(&self, path: &str) -> String {
        let meta = &self.pod.metadata;
        let entry = |map: &Option<BTreeMap<String, String>>, key: &str| {
            map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default()
        };
        let inside = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
        if let Some(key) = inside("metadata.labels['") {
            return entry(&meta.labels, key);
        }
        if let Some(key) = inside("metadata.annotations['") {
            return entry(&meta.annotations, key);
        }
        let all = |map: &Option<BTreeMap<String, String>>| {
            let lines =
                map.iter().flatten().map(|(key, value)| format!("{key}={}", serde_json::Value::from(value.as_str())));
            lines.collect::<Vec<_>>().join("\n")
        };
        match path {
            "metadata.labels" => all(&meta.labels),
            "metadata.annotations" => all(&meta.annotations),
            "metadata.name" => self.pod.name().to_owned(),
            "metadata.namespace" => self.pod.namespace().to_owned(),
            "metadata.uid" => self.pod.uid().to_owned(),
            "spec.nodeName" => self.pod.spec.node_name.clone().unwrap_or_default(),
            "spec.serviceAccountName" => self.pod.spec.service_account_name.clone().unwrap_or_default(),
            "status.podIP" | "status.podIPs" => self.ip.to_owned(),
            "status.hostIP" | "status.hostIPs" => self.host_ip.to_owned(),
            _ => String::new(),
        }
    }
}

/// What the downward API says of a container's resources, in units of the divisor, rounded up.
pub(super) fn resource_field(container: &Container, field: &ResourceFieldSelector) -> String {
    let resources = container.resources.as_ref();
    let list = if field.resource.starts_with("limits.") {
        resources.and_then(|resources| resources.limits.as_ref())
    } else {
        resources.and_then(|resources| resources.requests.as_ref())
    };
    let name = field.resource.split_once('.').map_or("", |(_, name)| name);
    let millis = |text: &str| Quantity::parse(text).map_or(0, |quantity| quantity.milli_value());
    let value = list.and_then(|list| list.get(name)).map_or(0, |amount| millis(&amount.0));
    let divisor = field.divisor.as_ref().map_or(0, |divisor| millis(&divisor.0));
    let divisor = if divisor <= 0 { 1000 } else { divisor };
    ((value + divisor - 1) / divisor).to_string()
}

/// Puts `$(NAME)` in; `$$(NAME)` and unknown names stay as they are.
pub fn put_in(text: &str, variables: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let inside = rest.strip_prefix("$(").and_then(|rest| rest.split_once(')'));
        match inside.and_then(|(name, after)| Some((variables.iter().find(|(known, _)| known == name)?, after))) {
            Some(((_, value), after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::put_in;

    #[test]
    fn variables_are_put_in_as_documented() {
        let variables = [("HOST".to_owned(), "db".to_owned())];
        for (text, expected) in
            [("$(HOST):80", "db:80"), ("$$(HOST)", "$(HOST)"), ("$(NO)", "$(NO)"), ("$HOST", "$HOST"), ("5$", "5$")]
        {
            assert_eq!(put_in(text, &variables), expected);
        }
    }
}
