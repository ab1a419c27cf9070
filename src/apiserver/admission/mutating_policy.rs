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
            let changed = params(&policy, &binding, request)
                .and_then(|params| params.into_iter().try_for_each(|param| self.mutate(&policy, param, request)));
            match changed {
                Err(problem) if policy.text("spec.failurePolicy") != "Ignore" => {
                    return Err(denial(&policy, &binding, &problem, request));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn mutate(&self, policy: &Value, param: Value, request: &mut Attributes<'_>) -> Result<(), String> {
        let mut scope = scope(request, param);
        scope.set_budget(MATCH_CONDITIONS);
        for condition in policy.items("spec.matchConditions") {
            if !self.expressions.holds(condition.text("expression"), &scope)? {
                return Ok(());
            }
        }
        scope.set_budget(BUDGET);
        for variable in policy.items("spec.variables") {
            scope.define(variable.text("name"), variable.text("expression"));
        }
        let mut object = request.object.clone().unwrap_or(Value::Null);
        for mutation in policy.items("spec.mutations") {
            self.apply(mutation, &mut object, &scope, request)?;
            scope.set("object", object.clone());
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
    ) -> Result<(), String> {
        let path = if mutation.text("patchType") == "JSONPatch" { "jsonPatch" } else { "applyConfiguration" };
        let text = mutation.at(path).text("expression").trim();
        let given = self
            .expressions
            .json(text, scope)
            .map_err(|problem| format!("expression '{text}' resulted in error: {problem}"))?;
        if path == "jsonPatch" {
            return json_patch(object, &given);
        }
        let (group, version, kind) = request.object_kind;
        let schema = Schema::of_kind(group, version, kind);
        if let Some(problem) = schema.as_ref().and_then(|schema| misfit(&given, schema)) {
            return Err(format!("error applying patch: failed to convert patch object to typed object: {problem}"));
        }
        let merged = match schema {
            Some(schema) => strategic::apply(object, &given, &schema),
            None => merge::apply(object, &given),
        };
        merged.map_err(|status| status.message)
    }
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

fn denial(policy: &Value, binding: &Value, problem: &str, request: &Attributes<'_>) -> Status {
    let message =
        format!("policy '{}' with binding '{}' denied request: {problem}", meta::name(policy), meta::name(binding));
    let cause = Cause { reason: String::new(), message: message.clone(), field: String::new() };
    let details = Details {
        name: request.name.to_string(),
        group: request.group.to_string(),
        kind: request.resource.to_string(),
        causes: vec![cause],
        ..Details::default()
    };
    Status { code: Reason::Forbidden.code(), ..Status::new(Reason::Invalid, message).details(details) }
}
