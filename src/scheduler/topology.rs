//! Which domain of a topology each node is in: for every label key, the nodes by that label's value.
//!
//! In: nodes' labels as they come, change and go. Out: a node's domain as a small number, so that a
//! question about "Pods by zone" counts in an array and compares no texts. A domain's number is
//! reused once its last node is gone. Kept by the [`Snapshot`](super::snapshot::Snapshot).

use std::collections::HashMap;

use super::selector::Labels;
use super::snapshot::NodeIndex;

/// A domain's number among those of its key.
pub type DomainId = usize;

/// The domains of one label key: its values among the nodes.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    by_value: HashMap<String, DomainId>,
    /// How many nodes each domain has; 0 for a number that is free.
    sizes: Vec<usize>,
    free: Vec<DomainId>,
    /// By the node's place.
    of_node: Vec<Option<DomainId>>,
}

impl Topology {
    /// The node's domain; `None` without the label.
    pub fn domain(&self, node: NodeIndex) -> Option<DomainId> {
        self.of_node.get(node).copied().flatten()
    }

    /// The domain of a value, if a node has it.
    pub fn find(&self, value: &str) -> Option<DomainId> {
        self.by_value.get(value).copied()
    }

    /// The domains that have nodes.
    pub fn domains(&self) -> impl Iterator<Item = DomainId> {
        self.by_value.values().copied()
    }

    /// Every domain's number is less than this.
    pub fn bound(&self) -> usize {
        self.sizes.len()
    }

    fn add(&mut self, node: NodeIndex, value: &str) {
        let domain = match self.find(value) {
            Some(domain) => domain,
            None => {
                let domain = self.free.pop().unwrap_or(self.sizes.len());
                self.sizes.resize(self.sizes.len().max(domain + 1), 0);
                self.by_value.insert(value.to_owned(), domain);
                domain
            }
        };
        self.sizes[domain] += 1;
        self.of_node.resize(self.of_node.len().max(node + 1), None);
        self.of_node[node] = Some(domain);
    }

    fn remove(&mut self, node: NodeIndex, value: &str) {
        let Some(domain) = self.of_node.get_mut(node).and_then(Option::take) else { return };
        self.sizes[domain] -= 1;
        if self.sizes[domain] == 0 {
            self.by_value.remove(value);
            self.free.push(domain);
        }
    }
}

/// Every label key of the nodes, with its domains.
#[derive(Clone, Debug, Default)]
pub struct Topologies(HashMap<String, Topology>);

impl Topologies {
    /// The domains of a label key; `None` when no node has the label.
    pub fn get(&self, key: &str) -> Option<&Topology> {
        self.0.get(key)
    }

    /// A node's labels changed, from none or to none when it came or went.
    pub fn relabel(&mut self, node: NodeIndex, old: &Labels, new: &Labels) {
        for (key, value) in old.iter().filter(|(key, value)| new.get(*key) != Some(value)) {
            if let Some(topology) = self.0.get_mut(key) {
                topology.remove(node, value);
                if topology.by_value.is_empty() {
                    self.0.remove(key);
                }
            }
        }
        for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
            match self.0.get_mut(key) {
                Some(topology) => topology.add(node, value),
                None => self.0.entry(key.clone()).or_default().add(node, value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever labels come and go, two nodes share a domain exactly when they share the value.
        #[test]
        fn domains_are_those_of_the_labels(
            steps in prop::collection::vec((0..4usize, prop::option::of(0..3u8), prop::option::of(0..2u8)), 0..40)
        ) {
            let mut topologies = Topologies::default();
            let mut labels = vec![Labels::new(); 4];
            for (node, zone, rack) in steps {
                let given = [("zone", zone), ("rack", rack)];
                let new: Labels =
                    given.iter().filter_map(|(key, value)| Some((key.to_string(), (*value)?.to_string()))).collect();
                topologies.relabel(node, &labels[node], &new);
                labels[node] = new;
                for key in ["zone", "rack"] {
                    let topology = topologies.get(key);
                    let domain = |node: usize| topology.and_then(|topology| topology.domain(node));
                    for a in 0..4 {
                        prop_assert_eq!(domain(a).is_some(), labels[a].contains_key(key));
                        for b in 0..4 {
                            let same = labels[a].get(key) == labels[b].get(key);
                            prop_assert_eq!(domain(a) == domain(b), same);
                        }
                    }
                    let mut present: Vec<_> = (0..4).filter_map(domain).collect();
                    present.sort();
                    present.dedup();
                    let mut listed: Vec<_> = topology.iter().flat_map(|topology| topology.domains()).collect();
                    listed.sort();
                    prop_assert_eq!(present, listed);
                }
            }
        }
    }
}
