//! DefaultTolerationSeconds: a Pod stays five minutes on a Node that is not ready or not
//! reachable, unless it says otherwise.

use futures::future::BoxFuture;
use serde_json::json;

use super::service_account::push_spec;
use super::{Attributes, Operation, Plugin};
use crate::api::status::Status;
use crate::apiserver::kinds::json::Json;

const SECONDS: i64 = 300;

/// The plugin.
pub struct DefaultTolerationSeconds;

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let pod = request.is_pod(Operation::Create) || request.is_pod(Operation::Update);
        if let Some(pod) = request.object.as_mut().filter(|_| pod) {
            for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
                let said = pod.items("spec.tolerations").iter().any(|toleration| {
                    let key_fits = [key, ""].contains(&toleration.text("key"));
                    key_fits && ["NoExecute", ""].contains(&toleration.text("effect"))
                });
                if !said {
                    let toleration =
                        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS});
                    push_spec(pod, "tolerations", toleration);
                }
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
