//! Evidence for a failing step: what the cluster itself says about the Pods and workloads in the
//! exercise's namespace.
//!
//! In: a target and a namespace. Out: a few facts, each with where it is from: a container's
//! state, a Pod's condition, the scheduler's record, a Warning event. Facts only: what to do about
//! them is the exercise.

use serde::Serialize;
use serde_json::Value;

use super::target::Target;

/// The most facts of one kind; a learner reads them all.
const MOST: usize = 4;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Where it is from: `event`, `status`, `scheduler`.
    pub source: &'static str,
    /// The object it is about: `pod/web-1`.
    pub about: String,
    /// The fact, in the cluster's words.
    pub text: String,
}

/// What there is to say about the namespace now. A cluster that does not answer gives none.
pub async fn gather(target: &Target, namespace: &str) -> Vec<Evidence> {
    let pods = list(target, "pods", namespace).await;
    let mut facts: Vec<Evidence> = pods.iter().flat_map(container_facts).take(MOST).collect();
    for pod in pods.iter().filter(|pod| text(pod, "/spec/nodeName").is_empty()).take(MOST) {
        if let Some(condition) = condition(pod, "PodScheduled") {
            facts.push(Evidence {
                source: "status",
                about: about("pod", pod),
                text: text(condition, "/message").to_owned(),
            });
        }
    }
    facts.extend(list(target, "deployments", namespace).await.iter().flat_map(failed_conditions).take(MOST));
    facts.extend(warnings(&list(target, "events", namespace).await));
    facts.retain(|fact| !fact.text.is_empty());
    facts
}

async fn list(target: &Target, resource: &str, namespace: &str) -> Vec<Value> {
    let group = if resource == "deployments" { "/apis/apps/v1" } else { "/api/v1" };
    let Ok(answer) = target.get(&format!("{group}/namespaces/{namespace}/{resource}")).await else {
        return Vec::new();
    };
    answer.body.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn container_facts(pod: &Value) -> Vec<Evidence> {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let fact = |status: &Value| {
        let name = text(status, "/name");
        let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
        let words = if let Some(waiting) = status.pointer("/state/waiting") {
            format!("container {name} is waiting: {} {}", text(waiting, "/reason"), text(waiting, "/message"))
        } else if let Some(ended) = status.pointer("/state/terminated") {
            let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
            format!("container {name} ended with code {code}: {}", text(ended, "/reason"))
        } else if status.get("ready") == Some(&Value::Bool(false)) {
            format!("container {name} runs and is not ready")
        } else {
            return None;
        };
        let restarted = if restarts > 0 { format!(" (restarted {restarts} times)") } else { String::new() };
        Some(Evidence { source: "status", about: about("pod", pod), text: format!("{}{restarted}", words.trim_end()) })
    };
    statuses.map(|statuses| statuses.iter().filter_map(fact).collect()).unwrap_or_default()
}

fn failed_conditions(object: &Value) -> Vec<Evidence> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let failed = conditions.iter().filter(|condition| text(condition, "/status") == "False");
    let fact = |condition: &Value| Evidence {
        source: "status",
        about: about("deployment", object),
        text: format!("{} is False: {}", text(condition, "/type"), text(condition, "/message")),
    };
    failed.map(fact).collect()
}

/// The last Warning events, newest first, each text once.
fn warnings(events: &[Value]) -> Vec<Evidence> {
    let time = |event: &Value| {
        let last = text(event, "/lastTimestamp");
        if last.is_empty() { text(event, "/eventTime").to_owned() } else { last.to_owned() }
    };
    let mut warnings: Vec<&Value> = events.iter().filter(|event| text(event, "/type") == "Warning").collect();
    warnings.sort_by_key(|event| std::cmp::Reverse(time(event)));
    let mut facts: Vec<Evidence> = Vec::new();
    for event in warnings {
        let kind = text(event, "/involvedObject/kind").to_lowercase();
        let about = format!("{kind}/{}", text(event, "/involvedObject/name"));
        let said = format!("{}: {}", text(event, "/reason"), text(event, "/message"));
        if facts.len() < MOST && !facts.iter().any(|fact| fact.text == said) {
            facts.push(Evidence { source: "event", about, text: said });
        }
    }
    facts
}

fn condition<'a>(object: &'a Value, wanted: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| text(condition, "/type") == wanted)
}

fn about(kind: &str, object: &Value) -> String {
    format!("{kind}/{}", text(object, "/metadata/name"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_tell_why_they_do_not_run() {
        let pod = json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [
            {"name": "c", "restartCount": 3, "ready": false,
             "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}},
            {"name": "d", "restartCount": 0, "ready": true, "state": {"running": {}}}]}});
        let facts = container_facts(&pod);
        assert_eq!(facts.len(), 1);
        assert_eq!(facts[0].text, "container c is waiting: CrashLoopBackOff back-off 40s (restarted 3 times)");
    }

    #[test]
    fn warnings_come_newest_first_and_once() {
        let event = |time: &str, message: &str, kind: &str| {
            json!({"type": kind, "lastTimestamp": time, "reason": "R", "message": message,
                "involvedObject": {"kind": "Pod", "name": "a"}})
        };
        let events = [
            event("1", "old", "Warning"),
            event("3", "new", "Warning"),
            event("2", "new", "Warning"),
            event("4", "fine", "Normal"),
        ];
        let said: Vec<String> = warnings(&events).into_iter().map(|fact| fact.text).collect();
        assert_eq!(said, ["R: new", "R: old"]);
    }
}
