//! Priority: a Pod's priority is the number its PriorityClass stands for.

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::kinds::json::{Json, copy, put};
use crate::apiserver::objects::collection;

const GROUP: &str = "scheduling.k8s.io";

/// The plugin.
pub struct Priority;

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if request.is_pod(Operation::Update) {
                if let (Some(pod), Some(old)) = (&mut request.object, request.old) {
                    for path in ["spec.priority", "spec.preemptionPolicy"] {
                        if !pod.has(path) && old.has(path) {
                            copy(pod, old, path);
                        }
                    }
                }
                return Ok(());
            }
            if !request.is_pod(Operation::Create) {
                return Ok(());
            }
            let Some(pod) = request.object.as_ref() else { return Ok(()) };
            let asked = pod.text("spec.priorityClassName").to_string();
            let class = if asked.is_empty() { default_class(request) } else { named(request, &asked).await? };
            let value = class.as_ref().and_then(|class| class.int("value")).unwrap_or(0);
            let policy = class.as_ref().map_or("", |class| class.text("preemptionPolicy")).to_string();
            if let Some(own) = pod.int("spec.priority")
                && own != value
            {
                return Err(request.forbidden(&format!(
                    "the integer value of priority ({own}) must not be provided in pod spec; priority admission \
                     controller computed {value} from the given PriorityClass name"
                )));
            }
            let policy = if policy.is_empty() { "PreemptLowerPriority".to_string() } else { policy };
            if pod.has("spec.preemptionPolicy") && pod.text("spec.preemptionPolicy") != policy {
                let own = pod.text("spec.preemptionPolicy").to_string();
                return Err(request.forbidden(&format!(
                    "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission \
                     controller computed {policy} from the given PriorityClass name"
                )));
            }
            let default_name = class.as_ref().map(|class| meta::name(class).to_string());
            if let Some(pod) = &mut request.object {
                put(pod, "spec.priority", value);
                put(pod, "spec.preemptionPolicy", policy);
                if let Some(name) = default_name {
                    put(pod, "spec.priorityClassName", name);
                }
            }
            Ok(())
        })
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(one_default(request)))
    }
}

async fn named(request: &Attributes<'_>, name: &str) -> Result<Option<Value>, Status> {
    let classes = collection(GROUP, "priorityclasses");
    if let Some(found) = request.objects.get(classes, "", name) {
        return Ok(Some((*found).clone()));
    }
    match request.objects.get_live(classes, "", name).await? {
        Some(found) => Ok(Some(found)),
        None => Err(request.forbidden(&format!("no PriorityClass with name {name} was found"))),
    }
}

/// The class marked as default; of several, the lowest.
fn default_class(request: &Attributes<'_>) -> Option<Value> {
    let classes = request.objects.list(collection(GROUP, "priorityclasses"), "");
    let marked = classes.iter().filter(|class| class.flag("globalDefault"));
    marked.min_by_key(|class| class.int("value").unwrap_or(0)).map(|class| (**class).clone())
}

fn one_default(request: &Attributes<'_>) -> Result<(), Status> {
    if !request.is(GROUP, "priorityclasses") || request.operation == Operation::Delete {
        return Ok(());
    }
    let Some(class) = request.object.as_ref().filter(|class| class.flag("globalDefault")) else { return Ok(()) };
    match default_class(request) {
        Some(other) if meta::name(&other) != meta::name(class) => Err(request.forbidden(&format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            meta::name(&other)
        ))),
        _ => Ok(()),
    }
}
