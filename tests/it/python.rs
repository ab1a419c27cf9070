//! The official Python client and a kopf operator (`tests/clients/python`): what notebooks,
//! pipelines and small operators do with a cluster.

use crate::served::{PYTHON, with_tools};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python");

/// Runs a script; how many facts it found to hold.
fn facts(script: &str) -> Option<usize> {
    let play = with_tools(&[PYTHON])?;
    Some(play.holds(play.tool(PYTHON).arg(format!("{SCRIPTS}/{script}"))).len())
}

#[test]
fn the_python_client_works_with_the_cluster() {
    let Some(facts) = facts("client.py") else { return };
    assert_eq!(facts, 12);
}

#[test]
fn a_kopf_operator_follows_its_objects() {
    let Some(facts) = facts("operated.py") else { return };
    assert_eq!(facts, 8);
}
