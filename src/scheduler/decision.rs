//! The record of one scheduling decision: every node's verdict, every plugin's score.
//!
//! Made by `schedule`, read by everybody: the FailedScheduling event is [`Decision::message`], the
//! page draws [`Decision::nodes`], the checker asks [`Outcome`]. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A text inside a FailedScheduling message: `Insufficient cpu`.
pub type Reason = Cow<'static, str>;

/// A rule that can refuse a node or rank it; names are kube-scheduler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[allow(missing_docs, reason = "the names are kube-scheduler's own, each has its file in plugins/")]
pub enum Plugin {
    SchedulingGates,
    NodeName,
    NodeUnschedulable,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeBinding,
    PodTopologySpread,
    InterPodAffinity,
    DefaultPreemption,
    NodeResourcesBalancedAllocation,
    ImageLocality,
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How many plugins score; the order is [`SCORERS`].
pub const SCORER_COUNT: usize = 7;

/// The plugins that score and their weights, in kube-scheduler's default order.
pub const SCORERS: [(Plugin, i64); SCORER_COUNT] = [
    (Plugin::TaintToleration, 3),
    (Plugin::NodeAffinity, 2),
    (Plugin::NodeResourcesFit, 1),
    (Plugin::PodTopologySpread, 2),
    (Plugin::InterPodAffinity, 2),
    (Plugin::NodeResourcesBalancedAllocation, 1),
    (Plugin::ImageLocality, 1),
];

/// What each scorer gave a node, weight included, in the order of [`SCORERS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores(pub [i64; SCORER_COUNT]);

impl Scores {
    /// What the nodes are compared by.
    pub fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// One plugin's share; 0 for a plugin that does not score.
    pub fn of(&self, plugin: Plugin) -> i64 {
        SCORERS.iter().position(|(scorer, _)| *scorer == plugin).map_or(0, |at| self.0[at])
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(SCORER_COUNT))?;
        for ((plugin, _), score) in SCORERS.iter().zip(self.0) {
            map.serialize_entry(plugin, &score)?;
        }
        map.end()
    }
}

/// One node's answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "verdict", rename_all_fields = "camelCase")]
pub enum Verdict {
    /// Every filter let it pass.
    Fits {
        /// What each scorer gave it.
        scores: Scores,
        /// Their sum.
        total: i64,
    },
    /// The first filter that said no, and why.
    Rejected {
        /// The filter.
        by: Plugin,
        /// Its words; NodeResourcesFit can have several.
        reasons: Vec<Reason>,
        /// True when evicting other Pods could change the answer.
        preemptable: bool,
    },
}

/// A node and its answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NodeVerdict {
    /// The node's name.
    pub node: Arc<str>,
    /// Its answer.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "outcome", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// This node is to run the Pod.
    Chosen {
        /// The node with the highest total; ties are broken by the Pod's uid.
        node: Arc<str>,
    },
    /// No node may run it.
    Unschedulable,
    /// A scheduling gate is closed: the Pod was not looked at.
    Gated,
}

/// A Pod that has to go so that the preemptor fits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Victim {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid, so that a new Pod of the same name is not hit.
    pub uid: Arc<str>,
}

/// What DefaultPreemption found after no node fitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preemption {
    /// The node to nominate; `None` when evicting helps nowhere.
    pub node: Option<Arc<str>>,
    /// Who has to go there, least important first.
    pub victims: Vec<Victim>,
    /// Why the other nodes were no help, and how many gave that reason.
    pub reasons: BTreeMap<Reason, usize>,
    /// True when the Pod was not allowed to preempt; then the message says so.
    pub not_eligible: Option<Reason>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The Pod's namespace.
    pub namespace: Arc<str>,
    /// The Pod's name.
    pub name: Arc<str>,
    /// The Pod's uid.
    pub uid: Arc<str>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The nodes that were looked at. In a large cluster the search stops when enough fit.
    pub nodes: Vec<NodeVerdict>,
    /// How many nodes there were.
    pub node_count: usize,
    /// A reason that holds for all nodes at once, found before any was looked at.
    pub refused: Option<(Plugin, Reason)>,
    /// What preemption found, when it was tried.
    pub preemption: Option<Preemption>,
}

impl Decision {
    /// The node that was chosen, if one was.
    pub fn chosen(&self) -> Option<&Arc<str>> {
        match &self.outcome {
            Outcome::Chosen { node } => Some(node),
            Outcome::Unschedulable | Outcome::Gated => None,
        }
    }

    /// The plugins that refused some node: an event that could change their mind wakes the Pod.
    pub fn refused_by(&self) -> Vec<Plugin> {
        let mut plugins: Vec<Plugin> = self.refused.iter().map(|(plugin, _)| *plugin).collect();
        for node in &self.nodes {
            if let Verdict::Rejected { by, .. } = node.verdict
                && !plugins.contains(&by)
            {
                plugins.push(by);
            }
        }
        plugins
    }

    /// What the FailedScheduling event and the PodScheduled condition say, in Kubernetes' form:
    /// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …`
    pub fn message(&self) -> String {
        if self.node_count == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut message = format!("0/{} nodes are available: ", self.node_count);
        match &self.refused {
            Some((_, reason)) => message.push_str(reason),
            None => message.push_str(&histogram(&self.reason_counts())),
        }
        message.push('.');
        // One that found a node needs no words.
        if let Some(preemption) = self.preemption.as_ref().filter(|preemption| preemption.node.is_none()) {
            message.push_str(" preemption: ");
            match &preemption.not_eligible {
                Some(reason) => message.push_str(reason),
                None => {
                    let counts = histogram(&preemption.reasons);
                    message.push_str(&format!("0/{} nodes are available: {counts}.", self.node_count));
                }
            }
        }
        message
    }

    fn reason_counts(&self) -> BTreeMap<Reason, usize> {
        let mut counts = BTreeMap::new();
        for node in &self.nodes {
            if let Verdict::Rejected { reasons, .. } = &node.verdict {
                for reason in reasons {
                    *counts.entry(reason.clone()).or_insert(0) += 1;
                }
            }
        }
        counts
    }
}

/// `2 Insufficient cpu, 1 node(s) were unschedulable`, sorted as strings, numbers included.
fn histogram(counts: &BTreeMap<Reason, usize>) -> String {
    let mut parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(node: &str, by: Plugin, reasons: &[&'static str]) -> NodeVerdict {
        let reasons = reasons.iter().map(|reason| Cow::Borrowed(*reason)).collect();
        NodeVerdict { node: node.into(), verdict: Verdict::Rejected { by, reasons, preemptable: true } }
    }

    #[test]
    fn the_message_has_kubernetes_form() {
        let mut decision = Decision {
            namespace: "default".into(),
            name: "web".into(),
            uid: "u".into(),
            outcome: Outcome::Unschedulable,
            nodes: vec![
                rejected("a", Plugin::NodeResourcesFit, &["Insufficient cpu", "Insufficient memory"]),
                rejected("b", Plugin::NodeResourcesFit, &["Insufficient cpu"]),
                rejected("c", Plugin::TaintToleration, &["node(s) had untolerated taint(s)"]),
            ],
            node_count: 3,
            refused: None,
            preemption: None,
        };
        assert_eq!(
            decision.message(),
            "0/3 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
        );
        let reasons = BTreeMap::from([(Cow::Borrowed("Preemption is not helpful for scheduling"), 3)]);
        decision.preemption = Some(Preemption { reasons, ..Preemption::default() });
        assert!(decision.message().ends_with(
            "2 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
        ));
        assert_eq!(decision.refused_by(), [Plugin::NodeResourcesFit, Plugin::TaintToleration]);
        decision.preemption = Some(Preemption { node: Some("b".into()), ..Preemption::default() });
        assert!(decision.message().ends_with(", 2 Insufficient cpu."));
    }
}
