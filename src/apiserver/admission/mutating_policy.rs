//! MutatingAdmissionPolicy: changes written in CEL, kept as objects.
//!
//! A mutation gives the fields to merge into the object (`Object{…}`), or a list of JSON patch
//! operations. Each sees the object as those before it left it.
//! Source: `k8s.io/apiserver/pkg/admission/plugin/policy/mutating`.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::cel::{Expressions, Scope};
use super::patch_words;
use super::policy::{is_exempt, matches, params, scope};
use super::{Attributes, Operation, Plugin};
use crate::api::apply::misfit;
use crate::api::cel::meter::{BUDGET, MATCH_CONDITIONS};
use crate::api::decode;
use crate::api::meta;
use crate::api::patch::{self, merge, strategic};
use crate::api::schema::Schema;
use crate::api::status::{Cause, Details, Reason, Status};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;

const GROUP: &str = "admissionregistration.k8s.io";

/// The plugin, with the expressions it has compiled.
#[derive(Default)]
pub struct MutatingAdmissionPolicy {
    expressions: Expressions,
}

impl Plugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(self.change(request)))
    }
}

impl MutatingAdmissionPolicy {
    fn change(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        if is_exempt(request) || matches!(request.operation, Operation::Delete | Operation::Connect) {
            return Ok(());
        }
        for binding in request.objects.list(collection(GROUP, "mutatingadmissionpolicybindings"), "") {
            let name = binding.text("spec.policyName");
            let Some(policy) = request.objects.get(collection(GROUP, "mutatingadmissionpolicies"), "", name) else {
                continue;
            };
            let narrowed = binding.at("spec.matchResources");
            if !matches(policy.at("spec.matchConstraints"), request)
                || !narrowed.is_null() && !matches(narrowed, request)
            {
                continue;
            }
            let mut problems = Vec::new();
            match params(&policy, &binding, request) {
                Ok(params) => {
                    params.into_iter().try_for_each(|param| self.mutate(&policy, param, request, &mut problems))?
                }
                Err(problem) => problems.push(problem),
            }
            if !problems.is_empty() && policy.text("spec.failurePolicy") != "Ignore" {
                return Err(denial(&policy, &binding, &problems, request));
            }
        }
        Ok(())
    }

    /// Makes the policy's changes, one after the other. One that fails is passed over and told in `problems`.
    fn mutate(
        &self,
        policy: &Value,
        param: Value,
        request: &mut Attributes<'_>,
        problems: &mut Vec<String>,
    ) -> Result<(), Status> {
        let mut scope = scope(request, param);
        scope.set_budget(MATCH_CONDITIONS);
        match self.expressions.all_hold(policy.items("spec.matchConditions"), &scope) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(problem) => {
                problems.push(problem);
                return Ok(());
            }
        }
        scope.set_budget(BUDGET);
        for variable in policy.items("spec.variables") {
            scope.define(variable.text("name"), variable.text("expression"));
        }
        let mut object = request.object.clone().unwrap_or(Value::Null);
        for mutation in policy.items("spec.mutations") {
            match self.apply(mutation, &mut object, &scope, request) {
                Ok(()) => {
                    request.settle(&mut object);
                    scope.set("object", object.clone());
                }
                Err(Failed::Change(problem)) => problems.push(problem),
                Err(Failed::Whole(problem)) => return Err(Status::internal(problem)),
            }
        }
        request.object = Some(object);
        Ok(())
    }

    fn apply(
        &self,
        mutation: &Value,
        object: &mut Value,
        scope: &Scope,
        request: &Attributes<'_>,
    ) -> Result<(), Failed> {
        let path = if mutation.text("patchType") == "JSONPatch" { "jsonPatch" } else { "applyConfiguration" };
        let text = mutation.at(path).text("expression").trim();
        let given = self
            .expressions
            .json(text, scope)
            .map_err(|problem| Failed::Change(format!("expression '{text}' resulted in error: {problem}")))?;
        let (group, version, kind) = request.object_kind;
        let schema = Schema::of_kind(group, version, kind);
        if path == "jsonPatch" {
            let mut patched = object.clone();
            json_patch(&mut patched, &given).map_err(Failed::Change)?;
            if let Some(schema) = &schema {
                decode::check(&patched, schema).map_err(Failed::Whole)?;
            }
            *object = patched;
            return Ok(());
        }
        if let Some(problem) = schema.as_ref().and_then(|schema| misfit(&given, schema)) {
            let problem = format!("error applying patch: failed to convert patch object to typed object: {problem}");
            return Err(Failed::Change(problem));
        }
        let merged = match schema {
            Some(schema) => strategic::apply(object, &given, &schema),
            None => merge::apply(object, &given),
        };
        merged.map_err(|status| Failed::Change(status.message))
    }
}

/// Why a change was not made.
enum Failed {
    /// The change itself does not work: the policy says what becomes of that.
    Change(String),
    /// What came out is no object of its kind.
    Whole(String),
}

/// Applies operations one by one. A `test` that fails says that there is nothing to change.
fn json_patch(object: &mut Value, operations: &Value) -> Result<(), String> {
    let mut changed = object.clone();
    for operation in operations.as_array().into_iter().flatten() {
        if patch::json::apply(&mut changed, &json!([operation])).is_err() {
            let why = patch_words::why_not(operation, &changed);
            return why.map_or(Ok(()), |why| Err(format!("JSON Patch: {why}")));
        }
    }
    *object = changed;
    Ok(())
}

fn denial(policy: &Value, binding: &Value, problems: &[String], request: &Attributes<'_>) -> Status {
    let who = format!("policy '{}' with binding '{}' denied request", meta::name(policy), meta::name(binding));
    let messages: Vec<String> = problems.iter().map(|problem| format!("{who}: {problem}")).collect();
    let cause = |message: &String| Cause { reason: String::new(), message: message.clone(), field: String::new() };
    let details = Details {
        name: request.name.to_string(),
        group: request.group.to_string(),
        kind: request.resource.to_string(),
        causes: messages.iter().map(cause).collect(),
        ..Details::default()
    };
    let first = messages.into_iter().next().unwrap_or_default();
    Status { code: Reason::Forbidden.code(), ..Status::new(Reason::Invalid, first).details(details) }
}
