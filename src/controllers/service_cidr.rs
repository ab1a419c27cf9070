//! Ranges of Service addresses: ready while they are wanted, and kept until no Service lives on them alone.
//!
//! Comes in: ServiceCIDRs and Services. Goes out: the finalizer `networking.k8s.io/service-cidr-finalizer` and
//! the condition `Ready`. Kubernetes asks the IPAddress objects who uses a range; here the Services
//! themselves say it. Source: kube-controller-manager, pkg/controller/servicecidrs.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::json;

use super::plan::{Action, Plan, STRATEGIC};
use super::pvc_protection::protect;
use super::runner::Room;
use crate::client::ObjectKey;

/// Source: servicecidrs_controller.go, ServiceCIDRProtectionFinalizer.
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// Time for the API server to learn that a range goes. Source: servicecidrs_controller.go, deletionGracePeriod.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// Starts the loop.
pub fn start(room: Room) {
    let (ranges, services) = (room.informer::<ServiceCIDR>(), room.informer::<Service>());
    // A change of one range may free another, and there are few.
    let known = ranges.clone();
    let every = move || known.all().iter().map(|range| ObjectKey::of(&range.metadata)).collect::<Vec<_>>();
    let again = every.clone();
    room.wake(&ranges, move |_| every());
    room.wake(&services, move |_| again());
    room.run("service-cidr-controller", 1, move |key, moment| {
        let Some(range) = ranges.get(key) else { return Plan::none() };
        reconcile(&range, &ranges.all(), &services.all(), moment.now)
    });
}

/// What a range needs done.
pub fn reconcile(range: &ServiceCIDR, all: &[Arc<ServiceCIDR>], services: &[Arc<Service>], now: Timestamp) -> Plan {
    let Some(leaves) = range.metadata.deletion_timestamp.as_ref().map(|time| time.0) else {
        let mut plan = protect(range, FINALIZER, || true);
        say(&mut plan, range, true, now);
        return plan;
    };
    if is_needed(range, all, services) {
        let mut plan = Plan::none();
        say(&mut plan, range, false, now);
        return plan;
    }
    let wait = leaves.checked_add(GRACE).unwrap_or(leaves).duration_since(now);
    if wait.is_positive() {
        let mut plan = Plan::none();
        plan.again(Duration::try_from(wait).unwrap_or_default());
        return plan;
    }
    protect(range, FINALIZER, || false)
}

/// Whether an address would be left without a range.
fn is_needed(range: &ServiceCIDR, all: &[Arc<ServiceCIDR>], services: &[Arc<Service>]) -> bool {
    let others: Vec<Block> =
        all.iter().filter(|other| other.metadata.name != range.metadata.name).flat_map(|other| blocks(other)).collect();
    let own = blocks(range);
    if own.iter().all(|block| others.iter().any(|other| other.contains_block(block))) {
        return false;
    }
    let specs = services.iter().filter_map(|service| service.spec.as_ref());
    let mut addresses = specs.flat_map(|spec| spec.cluster_ips.iter().flatten()).filter_map(|text| text.parse().ok());
    addresses.any(|address: IpAddr| {
        own.iter().any(|block| block.contains(address)) && !others.iter().any(|other| other.contains(address))
    })
}

/// Sets the condition, if it says something else.
fn say(plan: &mut Plan, range: &ServiceCIDR, ready: bool, now: Timestamp) {
    let (status, reason, message) = match ready {
        true => ("True", "", "Kubernetes Service CIDR is ready"),
        false => (
            "False",
            "Terminating",
            "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
        ),
    };
    let known = range.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut same = known.filter(|one| one.type_ == "Ready" && one.status == status && one.message == message);
    if same.next().is_some() {
        return;
    }
    let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
    let patch = json!({"status": {"conditions": [condition]}});
    plan.act(Action::patch::<ServiceCIDR>(&range.metadata, "status", STRATEGIC, patch));
}

/// Addresses that begin alike.
struct Block {
    network: IpAddr,
    bits: u32,
}

fn blocks(range: &ServiceCIDR) -> Vec<Block> {
    let cidrs = range.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    let read = |text: &String| {
        let (network, bits) = text.split_once('/')?;
        Some(Block { network: network.parse().ok()?, bits: bits.parse().ok()? })
    };
    cidrs.filter_map(read).collect()
}

impl Block {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = u32::from(network) ^ u32::from(address);
                differ.checked_shr(32 - self.bits.min(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = u128::from(network) ^ u128::from(address);
                differ.checked_shr(128 - self.bits.min(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    fn contains_block(&self, other: &Block) -> bool {
        self.bits <= other.bits && self.contains(other.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(name: &str, cidr: &str, leaves: bool) -> Arc<ServiceCIDR> {
        let gone = leaves.then_some("1970-01-01T00:00:00Z");
        let body = json!({"metadata": {"name": name, "deletionTimestamp": gone, "finalizers": [FINALIZER]},
            "spec": {"cidrs": [cidr]}});
        Arc::new(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn a_range_is_kept_for_as_long_as_an_address_has_no_other() {
        let body = json!({"metadata": {"name": "web"}, "spec": {"clusterIPs": ["10.97.0.5"]}});
        let services: Vec<Arc<Service>> = vec![Arc::new(serde_json::from_value(body).unwrap())];
        let second = range("second", "10.97.0.0/24", true);
        let at = |second_of: i64| Timestamp::from_second(second_of).unwrap();
        let plan = |others: &[Arc<ServiceCIDR>], services: &[Arc<Service>], now| {
            let all: Vec<_> = others.iter().cloned().chain([second.clone()]).collect();
            reconcile(&second, &all, services, now)
        };
        let blocked = plan(&[range("first", "10.96.0.0/16", false)], &services, at(60));
        assert_eq!(blocked.actions()[0].body["status"]["conditions"][0]["reason"], "Terminating");
        for (others, services) in [
            (vec![range("wide", "10.96.0.0/12", false)], &services[..]),
            (vec![range("first", "10.96.0.0/16", false)], &[][..]),
        ] {
            let early = plan(&others, services, at(4));
            assert_eq!((early.actions().len(), early.again_after), (0, Some(Duration::from_secs(6))));
            assert_eq!(plan(&others, services, at(10)).actions()[0].body["metadata"]["finalizers"], json!([]));
        }
    }

    #[test]
    fn a_range_that_is_wanted_is_ready_once() {
        let wanted = range("first", "10.96.0.0/16", false);
        let plan = reconcile(&wanted, std::slice::from_ref(&wanted), &[], Timestamp::UNIX_EPOCH);
        let condition = plan.actions()[0].body["status"]["conditions"][0].clone();
        assert_eq!(condition["status"], "True");
        let mut body = serde_json::to_value(&*wanted).unwrap();
        body["status"] = json!({"conditions": [condition]});
        let told: ServiceCIDR = serde_json::from_value(body).unwrap();
        assert_eq!(reconcile(&told, &[wanted], &[], Timestamp::UNIX_EPOCH), Plan::none());
    }
}
