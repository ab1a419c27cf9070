//! A partition: a node that runs on, and that nobody reaches any more.
//!
//! In: a node's name, and whether its cable is in. Out: its kubelet's line to the API server is cut, and the API server's to
//! it; where Pods have packets, those between its Pods and all others are lost. The node and its Pods go on: they
//! do not know. Chapter: `book/src/inside/network.md`.

use std::collections::BTreeSet;
use std::fmt;

use super::Cluster;
use crate::error::{Error, Result};

/// Whether a node's cable is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Link {
    Joined,
    Cut,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Joined => "joined",
            Link::Cut => "cut off",
        })
    }
}

impl Cluster {
    /// Pulls a node's cable, or puts it back in. A node that loses its power keeps its cable as it is.
    ///
    /// # Errors
    /// When there is no such node, or its cable is so already.
    pub fn set_link(&self, node: &str, link: Link) -> Result<()> {
        if self.link(node)? == link {
            return Err(Error::new(format!("{node} is {link} already"), ""));
        }
        self.0.nodes.line(node).set(link == Link::Joined);
        if let Some(machine) = &self.0.machine {
            machine.cut_off(self.cut_off());
        }
        Ok(())
    }

    /// Whether a node's cable is in.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn link(&self, node: &str) -> Result<Link> {
        let unknown = || Error::new(format!("no node is called {node}"), "").hint("see them: kubectl get nodes");
        self.node(node).ok_or_else(unknown)?;
        Ok(if self.0.nodes.line(node).is_cut() { Link::Cut } else { Link::Joined })
    }

    /// The nodes that are cut off.
    pub fn cut_off(&self) -> BTreeSet<String> {
        let lines = self.0.nodes.1.read();
        lines.iter().filter(|(_, line)| line.is_cut()).map(|(node, _)| node.clone()).collect()
    }
}
