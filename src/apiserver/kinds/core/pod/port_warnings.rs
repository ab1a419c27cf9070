//! `Warning` headers about the ports of a Pod's containers, which share one network.

use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::apiserver::kinds::json::Json;

/// What is odd about the ports of all containers.
pub fn of(spec: &Value, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut seen: Vec<(String, &Value)> = Vec::new();
    for (at, port) in ports(spec, path) {
        let host = |port: &Value| port.int("hostPort").unwrap_or(0);
        if !port.text("hostIP").is_empty() && host(port) == 0 {
            warnings.push(format!("{at}: hostIP set without hostPort: {}", go_port(port)));
        }
        let same = |other: &Value| ["containerPort", "protocol"].iter().all(|field| other.at(field) == port.at(field));
        for (other_at, other) in seen.iter().filter(|(_, other)| same(other)) {
            let (one, two) = (port.text("hostIP"), other.text("hostIP"));
            let what = if one == two && host(port) == host(other) {
                "duplicate"
            } else if host(port) == 0 || host(other) == 0 {
                "overlapping"
            } else if host(port) == host(other) && one.is_empty() != two.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            warnings.push(format!("{at}: {what} port definition with {other_at}"));
        }
        seen.push((at, port));
    }
    for (index, (at, port)) in seen.iter().enumerate().filter(|(_, (_, port))| !port.text("name").is_empty()) {
        let name = port.text("name");
        if let Some((first, _)) = seen[..index].iter().find(|(_, other)| other.text("name") == name) {
            warnings.push(format!(
                "{at}: duplicate port name {name:?} with {first}, services and probes that select ports by name will use {first}"
            ));
        }
    }
    warnings
}

fn ports<'a>(spec: &'a Value, path: &'a str) -> impl Iterator<Item = (String, &'a Value)> {
    CONTAINER_LISTS.into_iter().flat_map(move |list| {
        spec.items(list).iter().enumerate().flat_map(move |(index, container)| {
            let ports = container.items("ports").iter().enumerate();
            ports.map(move |(at, port)| (format!("{path}.{list}[{index}].ports[{at}]"), port))
        })
    })
}

/// A port as Go prints a struct.
fn go_port(port: &Value) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        port.text("name"),
        port.int("hostPort").unwrap_or(0),
        port.int("containerPort").unwrap_or(0),
        port.text("protocol"),
        port.text("hostIP"),
    )
}
