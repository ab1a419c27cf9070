//! Services, endpoints, ingresses and network policies.

use super::cell::{NONE, UNKNOWN, UNSET, count, each, first, labels, load_balancer, or, selector, size};
use super::{Context, Row, RowOf, cells};
use crate::api::meta;
use serde_json::Value;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    Some(match (group, plural) {
        ("", "services") => service,
        ("", "endpoints") => endpoints,
        ("discovery.k8s.io", "endpointslices") => endpoint_slice,
        ("networking.k8s.io", "ingresses") => ingress,
        ("networking.k8s.io", "ingressclasses") => ingress_class,
        ("networking.k8s.io", "networkpolicies") => network_policy,
        ("networking.k8s.io", "ipaddresses") => ip_address,
        ("networking.k8s.io", "servicecidrs") => service_cidr,
        _ => return None,
    })
}

fn texts(object: &Value, path: &[&str]) -> Vec<String> {
    meta::list(object, path).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn service(object: &Value, context: &Context<'_>) -> Row {
    let ports: Vec<String> = meta::list(object, &["spec", "ports"]).iter().map(service_port).collect();
    cells![
        meta::name(object),
        meta::text(object, &["spec", "type"]),
        or(meta::text(object, &["spec", "clusterIP"]), NONE),
        external_address(object),
        or(&ports.join(","), NONE),
        context.age(object),
        labels(object, &["spec", "selector"]),
    ]
}

fn service_port(port: &Value) -> String {
    let protocol = meta::text(port, &["protocol"]);
    match (count(port, &["port"]), count(port, &["nodePort"])) {
        (number, 0) => format!("{number}/{protocol}"),
        (number, node) => format!("{number}:{node}/{protocol}"),
    }
}

fn external_address(object: &Value) -> String {
    let external = texts(object, &["spec", "externalIPs"]).join(",");
    match meta::text(object, &["spec", "type"]) {
        "ClusterIP" | "NodePort" => or(&external, NONE).to_owned(),
        "LoadBalancer" => {
            let parts = [load_balancer(object), external];
            let known: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            or(&known.join(","), "<pending>").to_owned()
        }
        "ExternalName" => meta::text(object, &["spec", "externalName"]).to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

fn endpoints(object: &Value, context: &Context<'_>) -> Row {
    let mut shown = Vec::new();
    for subset in meta::list(object, &["subsets"]) {
        let addresses = each(subset, &["addresses"], "ip");
        let ports = meta::list(subset, &["ports"]);
        if ports.is_empty() {
            shown.extend(addresses.iter().map(|ip| (*ip).to_owned()));
        }
        for port in ports.iter().map(|port| count(port, &["port"])) {
            shown.extend(
                addresses.iter().map(
                    |ip| {
                        if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
                    },
                ),
            );
        }
    }
    cells![meta::name(object), or(&first(&shown, 3, ","), NONE), context.age(object)]
}

fn endpoint_slice(object: &Value, context: &Context<'_>) -> Row {
    let port = |port: &Value| match (meta::integer(port, &["port"]), port.get("name").and_then(Value::as_str)) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = meta::list(object, &["ports"]).iter().map(port).collect();
    let addresses = meta::list(object, &["endpoints"]).iter().flat_map(|endpoint| texts(endpoint, &["addresses"]));
    cells![
        meta::name(object),
        meta::text(object, &["addressType"]),
        or(&first(&ports, 3, ","), UNSET),
        or(&first(&addresses.collect::<Vec<_>>(), 3, ","), UNSET),
        context.age(object),
    ]
}

fn ingress(object: &Value, context: &Context<'_>) -> Row {
    let hosts = each(object, &["spec", "rules"], "host").into_iter().filter(|host| !host.is_empty());
    let hosts: Vec<String> = hosts.map(str::to_owned).collect();
    cells![
        meta::name(object),
        or(meta::text(object, &["spec", "ingressClassName"]), NONE),
        or(&first(&hosts, 3, ","), "*"),
        load_balancer(object),
        if size(object, &["spec", "tls"]) > 0 { "80, 443" } else { "80" },
        context.age(object),
    ]
}

fn ingress_class(object: &Value, context: &Context<'_>) -> Row {
    let of = |field| meta::text(object, &["spec", "parameters", field]);
    let parameters = match (of("kind"), of("apiGroup")) {
        ("", _) => NONE.to_owned(),
        (kind, "") => format!("{kind}/{}", of("name")),
        (kind, group) => format!("{kind}.{group}/{}", of("name")),
    };
    cells![context.name(object), meta::text(object, &["spec", "controller"]), parameters, context.age(object)]
}

fn network_policy(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), selector(object, &["spec", "podSelector"]), context.age(object)]
}

fn ip_address(object: &Value, _: &Context<'_>) -> Row {
    let of = |field| meta::text(object, &["spec", "parentRef", field]);
    let resource = match of("group") {
        "" => of("resource").to_owned(),
        group => format!("{}.{group}", of("resource")),
    };
    let parts = [resource.as_str(), of("namespace"), of("name")];
    let shown: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    cells![meta::name(object), or(&shown.join("/"), NONE)]
}

fn service_cidr(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), texts(object, &["spec", "cidrs"]).join(","), context.age(object)]
}
