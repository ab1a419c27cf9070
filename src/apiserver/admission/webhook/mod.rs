//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook: servers that are asked before a write.
//!
//! In: the request and the configurations that are stored. Out: the object as the servers changed
//! it, their warnings, or a refusal. A server that cannot be asked is a refusal, or is passed over,
//! as its `failurePolicy` says. Webhooks never see the objects of `admissionregistration.k8s.io`:
//! a wrong one could not be mended. Source: `k8s.io/apiserver/pkg/admission/plugin/webhook`.

mod review;

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde_json::Value;

use self::review::{Phase, Verdict};
use super::authorizer::Asker;
use super::cel::{Expressions, Scope};
use super::policy::{is_exempt, request_value, rule_matches, selected};
use super::{Attributes, Plugin};
use crate::api::cel::meter::MATCH_CONDITIONS;
use crate::api::schema::Schema;
use crate::api::status::Status;
use crate::apiserver::backend::webhook::{Address, post};
use crate::apiserver::engine::bad_request;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;
use crate::clock::Clock;

const GROUP: &str = "admissionregistration.k8s.io";

/// The plugin that changes.
pub struct Mutating {
    hooks: Hooks,
}

/// The plugin that only looks.
pub struct Validating {
    hooks: Hooks,
}

impl Mutating {
    /// With time for its limits.
    pub fn new(clock: Clock) -> Mutating {
        Mutating { hooks: Hooks { phase: Phase::Mutating, clock, expressions: Expressions::default() } }
    }
}

impl Validating {
    /// With time for its limits.
    pub fn new(clock: Clock) -> Validating {
        Validating { hooks: Hooks { phase: Phase::Validating, clock, expressions: Expressions::default() } }
    }
}

impl Plugin for Mutating {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let hooks = configured(request, "mutatingwebhookconfigurations");
            let mut asked: Vec<&Value> = Vec::new();
            let mut again: Vec<&Value> = Vec::new();
            for hook in &hooks {
                if self.ask(hook, request).await? {
                    // Those before it that want to know are asked once more, now that the object changed.
                    again.extend(asked.iter().filter(|other| other.text("reinvocationPolicy") == "IfNeeded"));
                    asked.retain(|other| other.text("reinvocationPolicy") != "IfNeeded");
                }
                asked.push(hook);
            }
            for hook in again {
                self.ask(hook, request).await?;
            }
            Ok(())
        })
    }
}

impl Mutating {
    /// Asks one server; whether the object is another one now.
    async fn ask(&self, hook: &Value, request: &mut Attributes<'_>) -> Result<bool, Status> {
        let Some(verdict) = self.hooks.ask(hook, request).await? else { return Ok(false) };
        request.warnings.extend(verdict.warnings);
        if let Some(refusal) = verdict.refusal {
            return Err(refusal);
        }
        if verdict.patch.is_empty() {
            return Ok(false);
        }
        let (group, version, kind) = request.object_kind;
        let Some(object) = request.object.as_ref() else {
            let name = hook.text("name");
            return Err(Status::internal(format!(
                "admission webhook {name:?} attempted to modify the object, which is not supported for this operation"
            )));
        };
        let schema = Schema::of_kind(group, version, kind);
        let mut changed = review::patched(object, &verdict.patch, schema.as_deref()).map_err(Status::internal)?;
        request.settle(&mut changed);
        let before = request.object.replace(changed);
        Ok(before != request.object)
    }
}

impl Plugin for Validating {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let hooks = configured(request, "validatingwebhookconfigurations");
            // None waits for another: they are asked all at once.
            let asked = &*request;
            let verdicts = join_all(hooks.iter().map(|hook| self.hooks.ask(hook, asked))).await;
            let mut refusal = None;
            for verdict in verdicts {
                match verdict {
                    Ok(Some(verdict)) => {
                        request.warnings.extend(verdict.warnings);
                        refusal = refusal.or(verdict.refusal);
                    }
                    Ok(None) => {}
                    Err(status) => refusal = refusal.or(Some(status)),
                }
            }
            refusal.map_or(Ok(()), Err)
        })
    }
}

/// The webhooks of every configuration that take the request in, in order of the configurations' names.
fn configured(request: &Attributes<'_>, plural: &'static str) -> Vec<Value> {
    if is_exempt(request) {
        return Vec::new();
    }
    let configurations = request.objects.list(collection(GROUP, plural), "");
    let hooks = configurations.iter().flat_map(|configuration| configuration.items("webhooks"));
    let takes =
        |hook: &&Value| hook.items("rules").iter().any(|rule| rule_matches(rule, request)) && selected(hook, request);
    hooks.filter(takes).cloned().collect()
}

/// What both plugins share: how one server is asked.
struct Hooks {
    phase: Phase,
    clock: Clock,
    expressions: Expressions,
}

impl Hooks {
    /// Asks the server of one webhook; `None` when its conditions say no, or when it cannot be
    /// asked and that does not matter.
    ///
    /// # Errors
    /// 400 for a dry run of a server with side effects; 500 when it cannot be asked and that matters.
    async fn ask(&self, hook: &Value, request: &Attributes<'_>) -> Result<Option<Verdict>, Status> {
        let name = hook.text("name");
        let ignores = hook.text("failurePolicy") == "Ignore";
        match self.conditions(hook, request) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(_) if ignores => return Ok(None),
            Err(problem) => return Err(request.forbidden(&problem)),
        }
        if request.dry_run && !["None", "NoneOnDryRun"].contains(&hook.text("sideEffects")) {
            return Err(bad_request(format!("admission webhook {name:?} does not support dry run")));
        }
        match self.exchange(hook, request).await {
            Ok(verdict) => Ok(Some(verdict)),
            Err(_) if ignores => Ok(None),
            Err(problem) => Err(Status::internal(format!("failed calling webhook {name:?}: {problem}"))),
        }
    }

    fn conditions(&self, hook: &Value, request: &Attributes<'_>) -> Result<bool, String> {
        let conditions = hook.items("matchConditions");
        if conditions.is_empty() {
            return Ok(true);
        }
        let mut scope = Scope::default();
        scope.set_budget(MATCH_CONDITIONS);
        scope.set_asker(Asker::of(request));
        scope.set("object", request.object.clone().unwrap_or(Value::Null));
        scope.set("oldObject", request.old.cloned().unwrap_or(Value::Null));
        scope.set("request", request_value(request));
        self.expressions.all_hold(conditions, &scope)
    }

    async fn exchange(&self, hook: &Value, request: &Attributes<'_>) -> Result<Verdict, String> {
        let question =
            review::question(hook, request).map_err(|why| format!("could not create admission objects: {why}"))?;
        let seconds = hook.int("timeoutSeconds").unwrap_or(10);
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(10));
        let address = Address::of(hook.at("clientConfig"), limit);
        let address = address.map_err(|why| format!("could not get REST client: {why}"))?;
        let answer = post(&address, &question.review, request.objects, self.clock).await;
        let answer = answer.map_err(|why| format!("failed to call webhook: {why}"))?;
        review::verdict(hook.text("name"), &question, self.phase, &answer)
    }
}
