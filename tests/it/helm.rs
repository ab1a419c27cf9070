//! Real helm 4, with a chart of our own (`tests/clients/helm`): hooks, a custom resource, access
//! rules, a release that fails and comes back.

use serde_json::Value;

use crate::served::{HELM, KUBECTL, Printed, Served, split, with_tools};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/helm");

impl Served {
    /// Runs helm with these words; `CHART` among them is the chart.
    fn helm(&self, words: &str) -> Printed {
        self.run(self.tool(HELM).args(split(&words.replace("CHART", CHART))), "")
    }

    /// Runs helm, which must succeed; what it printed.
    #[track_caller]
    fn helms(&self, words: &str) -> String {
        let printed = self.helm(words);
        assert_eq!(printed.code, 0, "helm {words}: {printed:#?}");
        printed.out
    }

    /// The statuses of a release's revisions, oldest first.
    fn history(&self, release: &str) -> Vec<String> {
        let revisions: Value = serde_json::from_str(&self.helms(&format!("history {release} -o json"))).unwrap();
        revisions.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
    }

    /// A field of the release's Deployment.
    fn deployment(&self, path: &str) -> String {
        self.does(&format!("get deployment demo -o jsonpath={{{path}}}"))
    }
}

fn with_helm() -> Option<Served> {
    with_tools(&[HELM, KUBECTL])
}

#[test]
fn a_chart_is_installed_upgraded_rolled_back_and_uninstalled() {
    let Some(play) = with_helm() else { return };
    let installed = play.helms("install demo CHART --wait --timeout 140s");
    assert!(installed.contains("STATUS: deployed"), "{installed}");
    assert!(installed.contains("demo serves a model of 12 layers with 2 servers."), "{installed}");
    assert_eq!(play.deployment(".status.readyReplicas"), "2");
    assert_eq!(
        play.does("get job demo-prepare -o jsonpath={.status.succeeded}"),
        "1",
        "the hook before the install ran"
    );
    assert_eq!(play.does("get model demo -o jsonpath={.spec.precision}"), "bf16", "the chart's own kind is served");
    let list = play.helms("list");
    assert!(list.contains("demo") && list.contains("models-0.1.0"), "{list}");

    play.helms("upgrade demo CHART --set replicas=3 --set settings.batch=16 --wait --timeout 140s");
    assert_eq!(play.deployment(".status.readyReplicas"), "3");
    assert_eq!(play.does("get configmap demo -o jsonpath={.data.batch}"), "16");
    play.does("wait job/demo-upgraded --for=condition=Complete --timeout=140s");
    assert!(play.helms("get values demo").contains("replicas: 3"));
    assert!(play.helms("get manifest demo").contains("kind: Deployment"));
    assert!(play.helms("status demo").contains("==> v1/Deployment"));

    assert!(play.helms("test demo --timeout 140s").contains("Phase:          Succeeded"));
    play.helms("rollback demo 1 --wait --timeout 140s");
    assert_eq!(play.deployment(".spec.replicas"), "2");
    assert_eq!(play.does("get configmap demo -o jsonpath={.data.batch}"), "8");
    assert_eq!(play.history("demo"), ["superseded", "superseded", "deployed"]);

    play.helms("uninstall demo --wait --timeout 140s");
    let kinds = "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,models";
    assert_eq!(play.does(&format!("get {kinds} -l app.kubernetes.io/instance=demo -o name")), "");
    assert_eq!(play.kubectl("get job demo-farewell").code, 1, "the last hook is removed when it has ended well");
    assert!(play.does("get crds").contains("models.charts.tutor.dev"), "helm keeps a chart's kinds");
}

#[test]
fn a_release_that_fails_comes_back_by_itself() {
    let Some(play) = with_helm() else { return };
    play.helms("install demo CHART --wait --timeout 140s");
    let broken =
        "upgrade demo CHART --set image=tutor/web:missing --set deadline=2 --rollback-on-failure --timeout 140s";
    let failed = play.helm(broken);
    assert!(failed.err.contains("has been rolled back due to rollback-on-failure being set"), "{failed:#?}");
    assert!(failed.err.contains("Progress deadline exceeded"), "{failed:#?}");
    assert_eq!(play.history("demo"), ["superseded", "failed", "deployed"]);
    assert_eq!(play.deployment(".spec.template.spec.containers[0].image"), "tutor/web:1");
    assert_eq!(play.deployment(".status.readyReplicas"), "2");
}

#[test]
fn what_the_server_refuses_helm_tells() {
    let Some(play) = with_helm() else { return };
    play.helms("install demo CHART");
    let faulty = play.helm("upgrade demo CHART --set model.layers=0");
    let words = "Model.charts.tutor.dev \"demo\" is invalid: spec.layers: Invalid value: 0: spec.layers in body should be greater than or equal to 1";
    assert!(faulty.err.contains(words), "{faulty:#?}");
    play.does("scale deployment demo --replicas=5");
    let conflict = play.helm("upgrade demo CHART --set replicas=1");
    let words = "conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas";
    assert!(conflict.err.contains(words), "{conflict:#?}");
    play.helms("upgrade demo CHART --set replicas=1 --force-conflicts");
    assert_eq!(play.deployment(".spec.replicas"), "1");
    let stranger = play.helm("list --kube-as-user somebody");
    assert!(stranger.err.contains("User \"somebody\" cannot list resource \"secrets\""), "{stranger:#?}");
    let rehearsed = play.helms("template other CHART --dry-run=server --no-hooks");
    assert!(rehearsed.contains("kind: Deployment"), "{rehearsed}");
    assert_eq!(play.kubectl("get deployment other").code, 1);
}

#[test]
fn a_release_moves_from_the_client_side_to_the_server_side() {
    let Some(play) = with_helm() else { return };
    play.helms("install demo CHART --server-side=false --wait --timeout 140s");
    play.helms("upgrade demo CHART --set replicas=3 --wait --timeout 140s");
    let owner = "get deployment demo --show-managed-fields -o 'jsonpath={.metadata.managedFields[?(@.manager==\"helm\")].operation}'";
    assert_eq!(play.does(owner), "Update");
    assert!(play.helms("get metadata demo").contains("APPLY_METHOD: client-side apply"));
    play.helms("rollback demo 1 --wait --timeout 140s");
    assert_eq!(play.deployment(".spec.replicas"), "2");
    play.helms("upgrade demo CHART --set replicas=4 --server-side=true");
    assert_eq!(play.does(owner), "Apply");
    assert_eq!(play.deployment(".spec.replicas"), "4");
    play.helms("uninstall demo");
}
