//! What a node checks before it takes a Pod in: that it really fits.
//!
//! The scheduler checked already, but a Pod can be bound by hand. Pure. Out: the reason and the words
//! the Pod fails with. Source: kubelet, `predicateAdmitHandler`. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::pod::{PodView, Role};
use crate::api::quantity::Quantity;

/// Amounts by resource name: CPU in thousandths, the rest in units.
pub type Amounts = BTreeMap<String, i64>;

/// Reads an amount in the unit of its resource; what cannot be read is 0.
pub fn amount(name: &str, text: &str) -> i64 {
    let Ok(quantity) = Quantity::parse(text) else { return 0 };
    if name == "cpu" { quantity.milli_value() } else { quantity.value() }
}

/// What a Pod asks for: its main containers and sidecars, or its hungriest init container.
pub fn requests(pod: &PodView) -> Amounts {
    let (mut running, mut starting) = (Amounts::new(), Amounts::new());
    for (container, role) in pod.containers() {
        let own = container_requests(container);
        if role == Role::Init {
            for (name, wanted) in own {
                let sidecars = running.get(&name).copied().unwrap_or(0);
                let most = starting.entry(name).or_insert(0);
                *most = (*most).max(wanted + sidecars);
            }
        } else {
            own.into_iter().for_each(|(name, wanted)| *running.entry(name).or_insert(0) += wanted);
        }
    }
    for (name, most) in starting {
        let sum = running.entry(name).or_insert(0);
        *sum = (*sum).max(most);
    }
    for (name, extra) in pod.spec.overhead.iter().flatten() {
        *running.entry(name.clone()).or_insert(0) += amount(name, &extra.0);
    }
    running
}

fn container_requests(container: &Container) -> Amounts {
    let requests = container.resources.iter().filter_map(|resources| resources.requests.as_ref()).flatten();
    requests.map(|(name, wanted)| (name.clone(), amount(name, &wanted.0))).collect()
}

/// What a Pod takes of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    amounts: Amounts,
    ports: Vec<HostPort>,
}

/// A port of the node itself: address, protocol and number.
type HostPort = (String, String, i32);

impl Taken {
    /// What this Pod takes.
    pub fn by(pod: &PodView) -> Taken {
        let ports =
            pod.containers().filter(|(_, role)| *role != Role::Init).flat_map(|(it, _)| it.ports.iter().flatten());
        let host_ports = ports.filter_map(|port| {
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| ANY.to_owned());
            Some((
                ip,
                port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                port.host_port.filter(|port| *port > 0)?,
            ))
        });
        Taken { ports: host_ports.collect(), amounts: requests(pod) }
    }

    /// The two want the same port of the node.
    fn clashes(&self, other: &Taken) -> bool {
        let same_ip = |a: &str, b: &str| a == b || a == ANY || b == ANY;
        let same = |a: &HostPort, b: &HostPort| (&a.1, a.2) == (&b.1, b.2) && same_ip(&a.0, &b.0);
        self.ports.iter().any(|own| other.ports.iter().any(|port| same(own, port)))
    }
}

/// Every address of the node.
const ANY: &str = "0.0.0.0";

/// Refuses a Pod that does not fit beside the others: reason and message, in the kubelet's words.
pub fn refuse<'a>(
    pod: &PodView,
    others: impl Iterator<Item = &'a Taken> + Clone,
    allocatable: &Amounts,
) -> Option<(String, String)> {
    let taken = Taken::by(pod);
    lacks(&taken, others.clone(), allocatable).or_else(|| {
        let words =
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        let clash = others.clone().any(|other| taken.clashes(other));
        clash.then(|| ("NodePorts".to_owned(), words.to_owned()))
    })
}

fn lacks<'a>(
    taken: &Taken,
    others: impl Iterator<Item = &'a Taken> + Clone,
    allocatable: &Amounts,
) -> Option<(String, String)> {
    let mut wanted = taken.amounts.clone();
    // An extended resource that the node does not count is counted elsewhere, by the scheduler.
    wanted.retain(|name, _| !name.contains('/') || allocatable.contains_key(name));
    wanted.insert("pods".to_owned(), 1);
    wanted.into_iter().filter(|(_, requested)| *requested > 0).find_map(|(name, requested)| {
        let used: i64 = match name.as_str() {
            "pods" => others.clone().count() as i64,
            _ => others.clone().filter_map(|other| other.amounts.get(&name)).sum(),
        };
        let capacity = allocatable.get(&name).copied().unwrap_or(0);
        (requested > capacity - used).then(|| {
            let words = format!(
                "Pod was rejected: Node didn't have enough resource: {name}, requested: {requested}, used: {used}, \
                 capacity: {capacity}"
            );
            (format!("OutOf{name}"), words)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_that_does_not_fit_is_refused_in_the_kubelets_words() {
        let pod: PodView = serde_json::from_value(json!({"spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": "1"}}}]}}))
        .unwrap();
        let allocatable = Amounts::from([("cpu".to_owned(), 1500), ("pods".to_owned(), 2)]);
        let other = Taken::by(&pod);
        assert_eq!(refuse(&pod, std::iter::empty(), &allocatable), None);
        let (reason, message) = refuse(&pod, std::iter::once(&other), &allocatable).unwrap();
        assert_eq!(reason, "OutOfcpu");
        let words =
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1000, capacity: 1500";
        assert_eq!(message, words);
    }

    #[test]
    fn what_the_node_does_not_count_is_no_reason() {
        let pod: PodView = serde_json::from_value(json!({"spec": {"containers": [
            {"name": "c", "resources": {"requests": {"example.com/dongle": "1"}}}]}}))
        .unwrap();
        let pods = ("pods".to_owned(), 2);
        assert_eq!(refuse(&pod, std::iter::empty(), &Amounts::from([pods.clone()])), None);
        let none = Amounts::from([pods, ("example.com/dongle".to_owned(), 0)]);
        assert!(refuse(&pod, std::iter::empty(), &none).is_some());
    }

    #[test]
    fn a_port_of_the_node_is_had_once() {
        let wants = |ip: &str, protocol: &str| -> PodView {
            let port = json!({"containerPort": 80, "hostPort": 80, "hostIP": ip, "protocol": protocol});
            serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "ports": [port]}]}})).unwrap()
        };
        let allocatable = Amounts::from([("pods".to_owned(), 9)]);
        let there = Taken::by(&wants("127.0.0.1", "TCP"));
        for (ip, protocol, refused) in
            [("127.0.0.1", "TCP", true), ("", "TCP", true), ("127.0.0.2", "TCP", false), ("127.0.0.1", "UDP", false)]
        {
            let answer = refuse(&wants(ip, protocol), std::iter::once(&there), &allocatable);
            assert_eq!(answer.map(|(reason, _)| reason), refused.then(|| "NodePorts".to_owned()), "{ip} {protocol}");
        }
    }
}
