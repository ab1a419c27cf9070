//! The names of the cluster: which there are, and what they mean.
//!
//! In: Services and EndpointSlices. Out: a [`Zone`], and what it says of a name. Knows no packets
//! ([`super::server`] does). The names are Kubernetes' own. Source: kubernetes/dns,
//! docs/specification.md, version 1.1.0. Chapter: `book/src/inside/network.md`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::services;
use crate::client::ObjectKey;

/// The cluster's domain.
pub const DOMAIN: &str = "cluster.local";
/// The domain of addresses that are asked for their names.
const REVERSE: &str = "in-addr.arpa";

/// One thing that a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An address.
    A(Ipv4Addr),
    /// Another name for a name elsewhere (`ExternalName`).
    Cname(String),
    /// Where a port of a Service is.
    Srv {
        /// The port.
        port: u16,
        /// The name that has it.
        target: String,
    },
    /// The name of an address.
    Ptr(String),
    /// A text.
    Txt(String),
}

/// What the zone says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// It means this; nothing, if only longer names do.
    Records(Vec<&'a Record>),
    /// A Pod's address in words.
    Address(Ipv4Addr),
    /// There is no such name.
    Nothing,
    /// It is not a name of the cluster.
    NotOurs,
}

/// All names at one moment.
#[derive(Clone, Debug, Default)]
pub struct Zone(BTreeMap<String, Vec<Record>>);

impl Zone {
    /// The names of these objects.
    pub fn new(all: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> Zone {
        let mut zone = Zone::default();
        zone.add(format!("dns-version.{DOMAIN}"), Record::Txt("1.1.0".to_owned()));
        let sorted = services::by_service(slices);
        for service in all {
            let slices = sorted.get(&ObjectKey::of(&service.metadata)).map(Vec::as_slice).unwrap_or_default();
            zone.add_service(service, slices);
        }
        zone
    }

    fn add(&mut self, name: String, record: Record) {
        let records = self.0.entry(name.to_lowercase()).or_default();
        if !records.contains(&record) {
            records.push(record);
        }
    }

    fn add_service(&mut self, service: &Service, slices: &[&EndpointSlice]) {
        let Some(spec) = &service.spec else { return };
        let ObjectKey { namespace, name } = ObjectKey::of(&service.metadata);
        let name = format!("{name}.{namespace}.svc.{DOMAIN}");
        if spec.type_.as_deref() == Some("ExternalName") {
            if let Some(external) = &spec.external_name {
                self.add(name, Record::Cname(external.trim_end_matches('.').to_lowercase()));
            }
            return;
        }
        if spec.cluster_ip.as_deref() == Some("None") {
            slices.iter().for_each(|slice| self.add_headless(&name, slice));
            return;
        }
        for address in spec.cluster_ip.iter().filter_map(|address| address.parse().ok()) {
            self.add(name.clone(), Record::A(address));
            self.add(reverse(address), Record::Ptr(name.clone()));
        }
        for port in spec.ports.iter().flatten() {
            self.add_port(&name, port.name.as_deref(), port.protocol.as_deref(), port.port, &name);
        }
    }

    /// A Service without an address is the names of those behind it.
    fn add_headless(&mut self, name: &str, slice: &EndpointSlice) {
        for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| services::is_ready(endpoint)) {
            let Some(address) = endpoint.addresses.first().and_then(|address| address.parse().ok()) else { continue };
            let own = format!("{}.{name}", host(endpoint, address));
            self.add(name.to_owned(), Record::A(address));
            self.add(own.clone(), Record::A(address));
            self.add(reverse(address), Record::Ptr(own.clone()));
            for port in slice.ports.iter().flatten() {
                let number = port.port.unwrap_or_default();
                self.add_port(name, port.name.as_deref(), port.protocol.as_deref(), number, &own);
            }
        }
    }

    fn add_port(&mut self, service: &str, name: Option<&str>, protocol: Option<&str>, number: i32, target: &str) {
        let (Some(name), Ok(port)) = (name.filter(|name| !name.is_empty()), u16::try_from(number)) else { return };
        let protocol = protocol.unwrap_or("TCP").to_lowercase();
        self.add(format!("_{name}._{protocol}.{service}"), Record::Srv { port, target: target.to_owned() });
    }

    /// What a name means; `name` has no dot at its end.
    pub fn find(&self, name: &str) -> Found<'_> {
        let name = name.to_lowercase();
        let under = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !under(DOMAIN) && !under(REVERSE) {
            return Found::NotOurs;
        }
        if let Some(records) = self.0.get(&name) {
            return Found::Records(records.iter().collect());
        }
        if let Some(address) = pod_address(&name) {
            return Found::Address(address);
        }
        let longer = format!(".{name}");
        let has_longer = name == DOMAIN || name == format!("svc.{DOMAIN}") || name == format!("pod.{DOMAIN}");
        if has_longer || self.0.keys().any(|known| known.ends_with(&longer)) {
            return Found::Records(Vec::new());
        }
        Found::Nothing
    }
}

/// The first part of an endpoint's name.
fn host(endpoint: &Endpoint, address: Ipv4Addr) -> String {
    let own = endpoint.hostname.clone().filter(|name| !name.is_empty());
    own.unwrap_or_else(|| address.to_string().replace('.', "-"))
}

fn reverse(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.{REVERSE}")
}

/// `10-244-1-2.default.pod.cluster.local` is 10.244.1.2, whoever has it.
fn pod_address(name: &str) -> Option<Ipv4Addr> {
    let (words, namespace) = name.strip_suffix(&format!(".pod.{DOMAIN}"))?.split_once('.')?;
    (!namespace.contains('.')).then(|| words.replace('-', ".").parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(whole: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(whole).unwrap())
    }

    fn service(name: &str, spec: Value) -> Arc<Service> {
        read(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
    }

    fn zone() -> Zone {
        let ports = json!([{"name": "http", "port": 80}, {"port": 81}]);
        let all = [
            service("web", json!({"clusterIP": "10.96.0.7", "ports": ports})),
            service("db", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]})),
            service("far", json!({"type": "ExternalName", "externalName": "Example.com."})),
        ];
        let endpoints = json!([
            {"addresses": ["10.244.0.2"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.244.0.3"]},
            {"addresses": ["10.244.0.4"], "conditions": {"ready": false}},
        ]);
        let labels = json!({"kubernetes.io/service-name": "db"});
        let slice =
            read(json!({"metadata": {"name": "db-1", "namespace": "shop", "labels": labels}, "addressType": "IPv4",
            "endpoints": endpoints, "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}]}));
        Zone::new(&all, &[slice])
    }

    fn said(name: &str) -> String {
        match zone().find(name) {
            Found::Records(records) => {
                let words = |record: &&Record| match *record {
                    Record::A(address) => format!("A {address}"),
                    Record::Cname(name) => format!("CNAME {name}"),
                    Record::Srv { port, target } => format!("SRV {port} {target}"),
                    Record::Ptr(name) => format!("PTR {name}"),
                    Record::Txt(text) => format!("TXT {text}"),
                };
                records.iter().map(words).collect::<Vec<_>>().join(", ")
            }
            Found::Address(address) => format!("pod {address}"),
            Found::Nothing => "nothing".to_owned(),
            Found::NotOurs => "not ours".to_owned(),
        }
    }

    #[test]
    fn names_mean_what_the_specification_says() {
        for (name, meaning) in [
            ("web.shop.svc.cluster.local", "A 10.96.0.7"),
            ("WEB.Shop.svc.cluster.local", "A 10.96.0.7"),
            ("_http._tcp.web.shop.svc.cluster.local", "SRV 80 web.shop.svc.cluster.local"),
            ("7.0.96.10.in-addr.arpa", "PTR web.shop.svc.cluster.local"),
            ("db.shop.svc.cluster.local", "A 10.244.0.2, A 10.244.0.3"),
            ("db-0.db.shop.svc.cluster.local", "A 10.244.0.2"),
            ("10-244-0-3.db.shop.svc.cluster.local", "A 10.244.0.3"),
            (
                "_sql._tcp.db.shop.svc.cluster.local",
                "SRV 5432 db-0.db.shop.svc.cluster.local, SRV 5432 10-244-0-3.db.shop.svc.cluster.local",
            ),
            ("2.0.244.10.in-addr.arpa", "PTR db-0.db.shop.svc.cluster.local"),
            ("far.shop.svc.cluster.local", "CNAME example.com"),
            ("10-244-9-9.shop.pod.cluster.local", "pod 10.244.9.9"),
            ("dns-version.cluster.local", "TXT 1.1.0"),
        ] {
            assert_eq!(said(name), meaning, "{name}");
        }
    }

    #[test]
    fn names_that_are_not_there_are_told_from_names_that_are_only_part_of_others() {
        for (name, meaning) in [
            ("nobody.shop.svc.cluster.local", "nothing"),
            ("web.shop.svc.cluster.local.shop.svc.cluster.local", "nothing"),
            ("4.0.244.10.in-addr.arpa", "nothing"),
            ("shop.svc.cluster.local", ""),
            ("_tcp.web.shop.svc.cluster.local", ""),
            ("cluster.local", ""),
            ("example.com", "not ours"),
            ("notcluster.local", "not ours"),
            ("a.b-c.pod.cluster.local", "nothing"),
        ] {
            assert_eq!(said(name), meaning, "{name}");
        }
    }
}
