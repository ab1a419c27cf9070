//! ImageLocality: a node that has the images starts the Pod sooner.
//!
//! Images count by size, scaled by how many nodes have them, so that one node with a rare image does
//! not draw every Pod.

use super::{MAX_SCORE, Prepared, PreparedScorer, Scorer};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::snapshot::{NodeIndex, Snapshot};

const MEGABYTE: i64 = 1024 * 1024;
const MIN_BYTES: i64 = 23 * MEGABYTE;
const MAX_BYTES_PER_CONTAINER: i64 = 1000 * MEGABYTE;

struct ImageLocality {
    /// The images that some node has, with the share of nodes that have them.
    images: Vec<(String, f64)>,
    max_bytes: i64,
}

/// Nothing to say when no node has any of the images.
pub fn scorer<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot, _nodes: &[NodeIndex]) -> PreparedScorer<'a> {
    let total = snapshot.nodes().len().max(1) as f64;
    let images = pod.images.iter().map(|image| normalized(image));
    let share = |image: String| {
        let count = snapshot.nodes_with_image(&image);
        (count > 0).then(|| (image, count as f64 / total))
    };
    let images: Vec<_> = images.filter_map(share).collect();
    if images.is_empty() {
        return Prepared::Skip;
    }
    Prepared::Ready(Box::new(ImageLocality { images, max_bytes: MAX_BYTES_PER_CONTAINER * pod.images.len() as i64 }))
}

impl Scorer for ImageLocality {
    fn score(&self, _index: NodeIndex, node: &NodeInfo) -> i64 {
        let here = self.images.iter().filter_map(|(image, share)| Some((node.images.get(image)?, share)));
        let bytes: i64 = here.map(|(bytes, share)| (*bytes as f64 * share) as i64).sum();
        MAX_SCORE * (bytes.clamp(MIN_BYTES, self.max_bytes) - MIN_BYTES) / (self.max_bytes - MIN_BYTES)
    }
}

/// A name without a tag means `:latest`.
fn normalized(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}
