//! The containers of a Pod or a template, with what they do now.

use serde_json::Value;

use super::super::super::print::go_value;
use super::text::{Text, shown, texts, when};
use crate::api::meta;
use crate::api::quantity::Quantity;

/// Containers under a title. `pod`: the Pod they run in, for their states and the fields they refer to.
pub(super) fn write(
    text: &mut Text,
    title: &str,
    containers: &[Value],
    statuses: &[Value],
    pod: Option<&Value>,
    space: &str,
) {
    let none = if containers.is_empty() { " <none>" } else { "" };
    text.line(0, format!("{space}{title}:{none}"));
    for container in containers {
        let name = meta::text(container, &["name"]);
        let status = statuses.iter().find(|status| meta::text(status, &["name"]) == name);
        let indent = if space.is_empty() { "" } else { " " };
        text.line(1, format!("{indent}{name}:"));
        basics(text, container, status);
        words(text, "Command", &texts(container, &["command"]));
        words(text, "Args", &texts(container, &["args"]));
        if let Some(status) = status {
            state(text, "State", status.get("state").unwrap_or(&Value::Null));
            let last = status.get("lastState").unwrap_or(&Value::Null);
            if last.get("terminated").is_some_and(|ended| !ended.is_null()) {
                state(text, "Last State", last);
            }
            let ready = meta::get(status, &["ready"]) == Some(&Value::Bool(true));
            text.field(2, "Ready", if ready { "True" } else { "False" });
            text.field(2, "Restart Count", meta::integer(status, &["restartCount"]).unwrap_or(0));
        }
        resources(text, 2, container.get("resources").unwrap_or(&Value::Null));
        for (field, title) in
            [("livenessProbe", "Liveness"), ("readinessProbe", "Readiness"), ("startupProbe", "Startup")]
        {
            if let Some(wanted) = container.get(field).filter(|wanted| !wanted.is_null()) {
                text.field(2, title, probe(wanted));
            }
        }
        environment_from(text, container);
        environment(text, container, pod);
        mounts(text, container);
    }
}

fn basics(text: &mut Text, container: &Value, status: Option<&Value>) {
    if let Some(status) = status {
        text.field(2, "Container ID", meta::text(status, &["containerID"]));
    }
    text.field(2, "Image", meta::text(container, &["image"]));
    if let Some(status) = status {
        text.field(2, "Image ID", meta::text(status, &["imageID"]));
    }
    for (field, one, many) in [("containerPort", "Port", "Ports"), ("hostPort", "Host Port", "Host Ports")] {
        let port = |port: &Value| {
            let number = meta::integer(port, &[field]).unwrap_or(0);
            let name = meta::text(port, &["name"]);
            let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
            format!("{number}/{}{name}", meta::text(port, &["protocol"]))
        };
        let ports: Vec<String> = meta::list(container, &["ports"]).iter().map(port).collect();
        match ports.len() {
            0 => text.field(2, one, "<none>"),
            1 => text.field(2, one, &ports[0]),
            _ => text.field(2, many, ports.join(", ")),
        }
    }
    let profile = meta::get(container, &["securityContext", "seccompProfile"]).filter(|profile| !profile.is_null());
    if let Some(profile) = profile {
        text.field(2, "SeccompProfile", meta::text(profile, &["type"]));
        if meta::text(profile, &["type"]) == "Localhost" {
            text.field(3, "LocalhostProfile", meta::text(profile, &["localhostProfile"]));
        }
    }
}

fn words(text: &mut Text, title: &str, words: &[&str]) {
    if words.is_empty() {
        return;
    }
    text.line(2, format!("{title}:"));
    words.iter().flat_map(|word| word.split('\n')).for_each(|line| text.line(3, line));
}

fn state(text: &mut Text, title: &str, state: &Value) {
    let part = |name: &str| state.get(name).filter(|part| !part.is_null());
    if let Some(running) = part("running") {
        text.field(2, title, "Running");
        text.field(3, "Started", when(running.get("startedAt")));
    } else if let Some(ended) = part("terminated") {
        text.field(2, title, "Terminated");
        for (field, name) in [("reason", "Reason"), ("message", "Message")] {
            if !meta::text(ended, &[field]).is_empty() {
                text.field(3, name, meta::text(ended, &[field]));
            }
        }
        text.field(3, "Exit Code", meta::integer(ended, &["exitCode"]).unwrap_or(0));
        if let Some(signal) = meta::integer(ended, &["signal"]).filter(|signal| *signal > 0) {
            text.field(3, "Signal", signal);
        }
        text.field(3, "Started", when(ended.get("startedAt")));
        text.field(3, "Finished", when(ended.get("finishedAt")));
    } else {
        text.field(2, title, "Waiting");
        let reason = part("waiting").map_or("", |waiting| meta::text(waiting, &["reason"]));
        if !reason.is_empty() {
            text.field(3, "Reason", reason);
        }
    }
}

/// Limits and requests.
pub(super) fn resources(text: &mut Text, level: usize, resources: &Value) {
    for (field, title) in [("limits", "Limits"), ("requests", "Requests")] {
        let Some(map) = meta::map(resources, &[field]).filter(|map| !map.is_empty()) else { continue };
        text.line(level, format!("{title}:"));
        let mut names: Vec<&String> = map.keys().collect();
        names.sort();
        names.into_iter().for_each(|name| text.field(level + 1, name, go_value(&map[name])));
    }
}

fn probe(probe: &Value) -> String {
    let number = |field: &str| meta::integer(probe, &[field]).unwrap_or(0);
    let times = format!(
        "delay={}s timeout={}s period={}s successThreshold={} failureThreshold={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold"),
    );
    let part = |name: &str| probe.get(name).filter(|part| !part.is_null());
    if let Some(exec) = part("exec") {
        return format!("exec [{}] {times}", texts(exec, &["command"]).join(" "));
    }
    if let Some(get) = part("httpGet") {
        let (scheme, host) = (meta::text(get, &["scheme"]).to_lowercase(), meta::text(get, &["host"]));
        let path = meta::text(get, &["path"]);
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        return format!("http-get {scheme}://{host}:{}{slash}{path} {times}", shown(get, &["port"]));
    }
    if let Some(socket) = part("tcpSocket") {
        return format!("tcp-socket {}:{} {times}", meta::text(socket, &["host"]), shown(socket, &["port"]));
    }
    if let Some(grpc) = part("grpc") {
        let (port, service) = (meta::integer(grpc, &["port"]).unwrap_or(0), meta::text(grpc, &["service"]));
        return format!("grpc <pod>:{port} {service} {times}");
    }
    format!("unknown {times}")
}

fn environment_from(text: &mut Text, container: &Value) {
    let sources = meta::list(container, &["envFrom"]);
    if sources.is_empty() {
        return;
    }
    text.line(2, "Environment Variables from:");
    for source in sources {
        let (kind, from) = match (source.get("configMapRef"), source.get("secretRef")) {
            (Some(from), _) if !from.is_null() => ("ConfigMap", from),
            (_, Some(from)) => ("Secret", from),
            _ => ("", &Value::Null),
        };
        let optional = meta::get(from, &["optional"]) == Some(&Value::Bool(true));
        let prefix = match meta::text(source, &["prefix"]) {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        text.line(3, format!("{}\t{kind}{prefix}\tOptional: {optional}", meta::text(from, &["name"])));
    }
}

fn environment(text: &mut Text, container: &Value, pod: Option<&Value>) {
    let variables = meta::list(container, &["env"]);
    text.line(2, if variables.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for variable in variables {
        let name = meta::text(variable, &["name"]);
        let Some(source) = variable.get("valueFrom").filter(|source| !source.is_null()) else {
            for (at, line) in meta::text(variable, &["value"]).split('\n').enumerate() {
                text.line(3, if at == 0 { format!("{name}:\t{line}") } else { format!("\t{line}") });
            }
            continue;
        };
        let part = |field: &str| source.get(field).filter(|part| !part.is_null());
        if let Some(field) = part("fieldRef") {
            let path = meta::text(field, &["fieldPath"]);
            let value = pod.map(|pod| field_value(pod, path)).unwrap_or_default();
            text.line(3, format!("{name}:\t{value} ({}:{path})", meta::text(field, &["apiVersion"])));
        } else if let Some(field) = part("resourceFieldRef") {
            let resource = meta::text(field, &["resource"]);
            let mut value = resource_value(container, field);
            if value == "0" && matches!(resource, "limits.cpu" | "limits.memory") {
                value = "node allocatable".into();
            }
            text.line(3, format!("{name}:\t{value} ({resource})"));
        } else {
            let (key, place) = match (part("secretKeyRef"), part("configMapKeyRef")) {
                (Some(key), _) => (key, "in secret"),
                (_, Some(key)) => (key, "of config map"),
                _ => continue,
            };
            let optional = meta::get(key, &["optional"]) == Some(&Value::Bool(true));
            let (from, own) = (meta::text(key, &["name"]), meta::text(key, &["key"]));
            text.line(3, format!("{name}:\t<set to the key '{own}' {place} '{from}'>\tOptional: {optional}"));
        }
    }
}

/// What `fieldRef` reads of a Pod.
fn field_value(pod: &Value, path: &str) -> String {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let field = map.trim_start_matches("metadata.");
        return meta::get(pod, &["metadata", field, key]).and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    // The real one reads no more than the metadata here: the rest stays empty.
    match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" => {
            meta::text(pod, &["metadata", path.trim_start_matches("metadata.")]).to_owned()
        }
        _ => String::new(),
    }
}

fn resource_value(container: &Value, field: &Value) -> String {
    let resource = meta::text(field, &["resource"]);
    let Some((list, name)) = resource.split_once('.') else { return String::new() };
    let amount = meta::get(container, &["resources", list, name]).and_then(Value::as_str).unwrap_or("0");
    let Ok(amount) = Quantity::parse(amount) else { return String::new() };
    let divisor = meta::text(field, &["divisor"]);
    let divisor = Quantity::parse(divisor).ok().filter(|divisor| !divisor.is_zero());
    let divisor = divisor.unwrap_or_else(|| Quantity::from_units(1, crate::api::quantity::Format::DecimalSi));
    let (amount, divisor) = match name {
        "cpu" => (amount.milli_value(), divisor.milli_value()),
        _ => (amount.value(), divisor.value()),
    };
    amount.div_ceil_of(divisor)
}

/// Whole units, rounded up, as text.
trait DivideUp {
    fn div_ceil_of(self, by: i64) -> String;
}

impl DivideUp for i64 {
    fn div_ceil_of(self, by: i64) -> String {
        let by = by.max(1);
        ((self + by - 1) / by).to_string()
    }
}

fn mounts(text: &mut Text, container: &Value) {
    let mut mounts: Vec<&Value> = meta::list(container, &["volumeMounts"]).iter().collect();
    mounts.sort_by_key(|mount| meta::text(mount, &["mountPath"]).to_owned());
    text.line(2, if mounts.is_empty() { "Mounts:\t<none>" } else { "Mounts:" });
    for mount in &mounts {
        let read_only = meta::get(mount, &["readOnly"]) == Some(&Value::Bool(true));
        let mut how = vec![if read_only { "ro".to_owned() } else { "rw".to_owned() }];
        if !meta::text(mount, &["subPath"]).is_empty() {
            how.push(format!("path={}", super::super::super::failure::quote(meta::text(mount, &["subPath"]))));
        }
        text.line(
            3,
            format!("{} from {} ({})", meta::text(mount, &["mountPath"]), meta::text(mount, &["name"]), how.join(",")),
        );
    }
    let devices = meta::list(container, &["volumeDevices"]);
    if !devices.is_empty() {
        text.line(2, if mounts.is_empty() { "Devices:\t<none>" } else { "Devices:" });
        for device in devices {
            text.line(3, format!("{} from {}", meta::text(device, &["devicePath"]), meta::text(device, &["name"])));
        }
    }
}
