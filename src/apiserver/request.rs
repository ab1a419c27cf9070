//! What a request asks for, read from its path and query alone, as Kubernetes' `RequestInfo` does.
//!
//! In: method, path, query. Out: verb, group, version, resource, subresource, namespace, name. Never
//! looks at headers or body, and does not know which resources exist.

use http::Method;

use super::auth::{Action, selected_fields};

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource (`/api/v1/pods`), and is not a path like `/healthz`.
    pub is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the
    /// lower-case method for other paths.
    pub verb: &'static str,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name of the resource.
    pub resource: String,
    /// What comes after the object's name, up to the next slash.
    pub subresource: String,
    /// What comes after the subresource (`/proxy/<rest>`), with its leading slash.
    pub rest: String,
    /// Whether the path says `watch`, as in old days.
    pub watch_path: bool,
    /// Namespace, or empty.
    pub namespace: String,
    /// Object name, or empty.
    pub name: String,
    /// Whether the path has the name, and not a selector.
    pub named: bool,
    /// The whole path.
    pub path: String,
    /// What a list or a watch is narrowed to.
    pub fields: Vec<(String, String)>,
}

impl RequestInfo {
    /// Reads method, path and query.
    pub fn parse(method: &Method, path: &str, query: &[(String, String)]) -> RequestInfo {
        let decoded = decode(path);
        let mut info = RequestInfo { path: decoded.clone(), verb: plain_verb(method), ..RequestInfo::default() };
        let mut parts = decoded.trim_matches('/').split('/');
        match parts.next() {
            Some("api") => {}
            Some("apis") => match parts.next() {
                Some(group) => info.group = group.to_string(),
                None => return info,
            },
            _ => return info,
        }
        let Some(version) = parts.next() else { return info };
        info.version = version.to_string();
        let mut rest: Vec<&str> = parts.collect();
        if rest.is_empty() {
            return info;
        }
        info.is_resource = true;
        info.verb = resource_verb(method);
        if rest[0] == "watch" && rest.len() > 1 {
            info.verb = "watch";
            info.watch_path = true;
            rest.remove(0);
        }
        info.place(&rest, path);
        info.refine(query);
        info
    }

    /// Namespace, resource, name and subresource. `namespaces/x` is an object, `namespaces/x/pods`
    /// a resource in it, `namespaces/x/status` a subresource of the object.
    fn place(&mut self, rest: &[&str], path: &str) {
        let mut rest = rest;
        if rest[0] == "namespaces" && rest.len() > 1 {
            self.namespace = rest[1].to_string();
            if rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
                rest = &rest[2..];
            }
        }
        self.resource = rest[0].to_string();
        self.name = rest.get(1).copied().unwrap_or_default().to_string();
        self.named = !self.name.is_empty();
        self.subresource = rest.get(2).copied().unwrap_or_default().to_string();
        if !self.subresource.is_empty() {
            let marker = format!("/{}/{}", self.name, self.subresource);
            self.rest = path.find(&marker).map(|at| path[at + marker.len()..].to_string()).unwrap_or_default();
        }
    }

    /// Reads without a name are lists, and watches when the query says so; deletes without a name
    /// are of the collection. A list narrowed to one name is authorized for that name.
    fn refine(&mut self, query: &[(String, String)]) {
        let watch = query.iter().any(|(key, value)| key == "watch" && is_true(value));
        if self.name.is_empty() {
            match self.verb {
                "get" if watch => self.verb = "watch",
                "get" => self.verb = "list",
                "delete" => self.verb = "deletecollection",
                _ => {}
            }
        }
        if matches!(self.verb, "list" | "watch" | "deletecollection") && self.name.is_empty() {
            let selector = query.iter().find(|(key, _)| key == "fieldSelector").map(|(_, value)| value.as_str());
            self.fields = selector.map(selected_fields).unwrap_or_default();
            let name = self.fields.iter().find(|(field, _)| field == "metadata.name").map(|(_, name)| name.clone());
            self.name = name.unwrap_or_default();
        }
    }

    /// What authorization asks about.
    pub fn action(&self) -> Action {
        Action {
            verb: self.verb.to_string(),
            group: self.group.clone(),
            version: self.version.clone(),
            resource: self.resource.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            path: if self.is_resource { String::new() } else { self.path.clone() },
            fields: self.fields.clone(),
        }
    }
}

/// Go's idea of a true query value: everything but the known words for false.
pub fn is_true(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

fn plain_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// The query's pairs, decoded, in order.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// `%41` → `A`; what is no escape stays.
pub fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_string();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_kubernetes_reads_them() {
        let table = [
            ("GET", "/api/v1/namespaces/a/pods", "", "list", "pods", "", "a", ""),
            ("GET", "/api/v1/namespaces/a/pods/p", "", "get", "pods", "", "a", "p"),
            ("GET", "/api/v1/namespaces/a/pods/p/log", "", "get", "pods", "log", "a", "p"),
            ("GET", "/api/v1/namespaces/a", "", "get", "namespaces", "", "a", "a"),
            ("PUT", "/api/v1/namespaces/a/finalize", "", "update", "namespaces", "finalize", "a", "a"),
            ("GET", "/api/v1/namespaces", "watch=1", "watch", "namespaces", "", "", ""),
            ("GET", "/api/v1/nodes", "watch=false", "list", "nodes", "", "", ""),
            ("GET", "/api/v1/pods", "fieldSelector=metadata.name%3Dx", "list", "pods", "", "", "x"),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments", "", "deletecollection", "deployments", "", "a", ""),
            ("GET", "/healthz", "", "get", "", "", "", ""),
        ];
        for (method, path, query, verb, resource, subresource, namespace, name) in table {
            let info = RequestInfo::parse(&method.parse().unwrap(), path, &pairs(query));
            let read = (info.verb, &*info.resource, &*info.subresource, &*info.namespace, &*info.name);
            assert_eq!(read, (verb, resource, subresource, namespace, name), "{method} {path}");
        }
        let info = RequestInfo::parse(&Method::GET, "/api/v1/namespaces/a/pods/p/proxy/x/y", &[]);
        assert_eq!(info.rest, "/x/y");
    }
}
