//! Programs written with client-go and controller-runtime (`tests/clients/go`): what operators,
//! dashboards and every Go tool do with a cluster.

use crate::served::{CLIENTGO, with_tools};

/// Runs one of the program's commands; how many facts it found to hold.
fn facts(command: &str, environment: &[(&str, &str)]) -> Option<usize> {
    let play = with_tools(&[CLIENTGO])?;
    Some(play.holds(play.tool(CLIENTGO).arg(command).envs(environment.iter().copied())).len())
}

#[test]
fn informers_that_stream_their_lists_end_equal_to_a_fresh_list() {
    let Some(facts) = facts("informers", &[("KUBE_FEATURE_WatchListClient", "true")]) else { return };
    assert_eq!(facts, 12);
}

#[test]
fn informers_that_list_and_then_watch_end_equal_to_a_fresh_list() {
    let Some(facts) = facts("informers", &[("KUBE_FEATURE_WatchListClient", "false")]) else { return };
    assert_eq!(facts, 12);
}

#[test]
fn every_client_of_client_go_sees_the_same_cluster() {
    let Some(facts) = facts("clients", &[]) else { return };
    assert_eq!(facts, 8);
}

#[test]
fn typed_apply_configurations_share_an_object() {
    let Some(facts) = facts("apply", &[]) else { return };
    assert_eq!(facts, 5);
}

#[test]
fn candidates_lead_one_after_another() {
    let Some(facts) = facts("election", &[]) else { return };
    assert_eq!(facts, 2);
}

#[test]
fn an_operator_of_controller_runtime_follows_its_objects() {
    let Some(facts) = facts("manager", &[]) else { return };
    assert_eq!(facts, 1);
}

#[test]
fn streams_reach_a_pod_over_every_transport() {
    let Some(facts) = facts("exec", &[]) else { return };
    assert_eq!(facts, 5);
}
