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

/// Refuses a Pod that does not fit beside the others: reason and message, in the kubelet's words.
pub fn refuse<'a>(
    pod: &PodView,
    others: impl Iterator<Item = &'a Amounts> + Clone,
    allocatable: &Amounts,
) -> Option<(String, String)> {
    let mut wanted = requests(pod);
    wanted.insert("pods".to_owned(), 1);
    wanted.into_iter().filter(|(_, requested)| *requested > 0).find_map(|(name, requested)| {
        let used: i64 = match name.as_str() {
            "pods" => others.clone().count() as i64,
            _ => others.clone().filter_map(|other| other.get(&name)).sum(),
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
        let other = requests(&pod);
        assert_eq!(refuse(&pod, std::iter::empty(), &allocatable), None);
        let (reason, message) = refuse(&pod, std::iter::once(&other), &allocatable).unwrap();
        assert_eq!(reason, "OutOfcpu");
        let words =
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1000, capacity: 1500";
        assert_eq!(message, words);
    }
}
