//! The `networking.k8s.io` group.

pub mod ingress;
pub mod ingressclass;
pub mod ipaddress;
pub mod networkpolicy;
pub mod servicecidr;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "Ingress" => &ingress::STRATEGY,
        "IngressClass" => &ingressclass::STRATEGY,
        "IPAddress" => &ipaddress::STRATEGY,
        "NetworkPolicy" => &networkpolicy::STRATEGY,
        "ServiceCIDR" => &servicecidr::STRATEGY,
        _ => return None,
    })
}
