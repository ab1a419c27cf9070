//! ValidatingAdmissionPolicy: refusals written in CEL, kept as objects.
//!
//! A policy says what it looks at and what must hold; a binding puts it to work, perhaps with
//! parameters. Source: `k8s.io/apiserver/pkg/admission/plugin/policy/validating`.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::authorizer::Asker;
use super::cel::{Expressions, Scope};
use super::{Attributes, Operation, Plugin};
use crate::api::cel::meter::{BUDGET, MATCH_CONDITIONS, OUT_OF_BUDGET};
use crate::api::meta;
use crate::api::status::{Cause, Reason, Status};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::selectors;
use crate::apiserver::objects::collection;

const GROUP: &str = "admissionregistration.k8s.io";

/// The plugin, with the expressions it has compiled.
#[derive(Default)]
pub struct ValidatingAdmissionPolicy {
    expressions: Expressions,
}

impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(self.check(request)))
    }
}

/// One thing a policy found.
struct Denial {
    message: String,
    reason: Reason,
    /// Refused whatever the binding says is done about findings.
    always: bool,
}

impl Denial {
    fn new(message: String, reason: Reason) -> Denial {
        Denial { message, reason, always: false }
    }
}

/// The longest text of a `messageExpression` that is told, in bytes.
const MESSAGE_MAX: usize = 5 * 1024;

impl ValidatingAdmissionPolicy {
    fn check(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        // Policies do not apply to themselves: a wrong one could not be mended.
        if is_exempt(request) {
            return Ok(());
        }
        let mut refusal = None;
        let bindings = request.objects.list(collection(GROUP, "validatingadmissionpolicybindings"), "");
        for binding in bindings {
            let name = binding.text("spec.policyName");
            let Some(policy) = request.objects.get(collection(GROUP, "validatingadmissionpolicies"), "", name) else {
                continue;
            };
            if !matches(policy.at("spec.matchConstraints"), request) {
                continue;
            }
            let narrowed = binding.at("spec.matchResources");
            if !narrowed.is_null() && !matches(narrowed, request) {
                continue;
            }
            let denials = self.evaluate(&policy, &binding, request);
            let found = self.act(&policy, &binding, denials, request);
            // The first decides; the others still warn.
            refusal = refusal.or(found);
        }
        refusal.map_or(Ok(()), Err)
    }

    fn act(
        &self,
        policy: &Value,
        binding: &Value,
        denials: Vec<Denial>,
        request: &mut Attributes<'_>,
    ) -> Option<Status> {
        let mut refusal = None;
        let acts = |action: &str| binding.items("spec.validationActions").iter().any(|own| own == action);
        for denial in denials {
            let who = format!("'{}' with binding '{}'", meta::name(policy), meta::name(binding));
            if acts("Warn") && !denial.always {
                request
                    .warnings
                    .push(format!("Validation failed for ValidatingAdmissionPolicy {who}: {}", denial.message));
            }
            if refusal.is_none() && (acts("Deny") || denial.always) {
                let text = format!("ValidatingAdmissionPolicy {who} denied request: {}", denial.message);
                let mut status = request.forbidden(&text);
                status.reason = Some(denial.reason);
                status.code = denial.reason.code();
                if let Some(details) = &mut status.details {
                    details.causes.push(Cause { reason: String::new(), message: text, field: String::new() });
                }
                refusal = Some(status);
            }
        }
        refusal
    }

    fn evaluate(&self, policy: &Value, binding: &Value, request: &Attributes<'_>) -> Vec<Denial> {
        let fails = policy.text("spec.failurePolicy") != "Ignore";
        let failed = |message: String| fails.then(|| Denial::new(message, Reason::Invalid));
        let params = match params(policy, binding, request) {
            Ok(params) => params,
            Err(message) => return failed(message).map(|found| Denial { always: true, ..found }).into_iter().collect(),
        };
        let mut denials = Vec::new();
        for param in params {
            let scope = scope(request, param);
            match self.evaluate_one(policy, scope, fails) {
                Ok(found) => denials.extend(found),
                Err(message) => denials.extend(failed(message)),
            }
        }
        denials
    }

    fn evaluate_one(&self, policy: &Value, mut scope: Scope, fails: bool) -> Result<Vec<Denial>, String> {
        scope.set_budget(MATCH_CONDITIONS);
        if !self.expressions.all_hold(policy.items("spec.matchConditions"), &scope)? {
            return Ok(Vec::new());
        }
        scope.set_budget(BUDGET);
        for variable in policy.items("spec.variables") {
            scope.define(variable.text("name"), variable.text("expression"));
        }
        let validations = policy.items("spec.validations");
        let mut verdicts = Vec::with_capacity(validations.len());
        for validation in validations {
            match self.expressions.holds(validation.text("expression").trim(), &scope) {
                Err(problem) if problem == OUT_OF_BUDGET => return Err(problem),
                verdict => verdicts.push(verdict),
            }
        }
        // The rest has nobody to ask about permissions. Messages may cost what the validations left.
        scope.drop_asker();
        let messages = self.messages(validations, &scope);
        let judged = validations.iter().zip(verdicts).enumerate();
        let mut denials: Vec<Denial> = judged
            .filter_map(|(at, (validation, verdict))| {
                let told = messages.as_ref().map(|messages| messages[at].as_deref());
                denial(validation, verdict, told, fails)
            })
            .collect();
        scope.set_budget(BUDGET);
        for annotation in policy.items("spec.auditAnnotations") {
            // Nobody keeps an audit log here; but what cannot be told to it is a failure all the same.
            match self.expressions.text(annotation.text("valueExpression").trim(), &scope) {
                Err(problem) if problem == OUT_OF_BUDGET => return Err(problem),
                Err(message) if fails => {
                    let message = in_error(annotation.text("valueExpression"), &message);
                    denials.push(Denial { always: true, ..Denial::new(message, Reason::Invalid) });
                }
                _ => {}
            }
        }
        Ok(denials)
    }

    /// What each validation's `messageExpression` says, whatever became of the validation.
    ///
    /// # Errors
    /// When they cost too much together.
    fn messages(&self, validations: &[Value], scope: &Scope) -> Result<Vec<Option<String>>, String> {
        let told = |validation: &Value| match validation.text("messageExpression").trim() {
            "" => Ok(None),
            said => match self.expressions.text(said, scope) {
                Err(problem) if problem == OUT_OF_BUDGET => Err(problem),
                Ok(Some(text)) if text.len() <= MESSAGE_MAX && !text.contains('\n') => Ok(Some(text)),
                _ => Ok(None),
            },
        };
        validations.iter().map(told).collect()
    }
}

/// `expression 'x' resulted in error: why`; a wrong type says so by itself.
fn in_error(expression: &str, why: &str) -> String {
    match why.starts_with("valueExpression ") {
        true => why.to_string(),
        false => format!("expression '{}' resulted in error: {why}", expression.trim()),
    }
}

/// What a validation comes to, and its message in words.
fn denial(
    validation: &Value,
    verdict: Result<bool, String>,
    told: Result<Option<&str>, &String>,
    fails: bool,
) -> Option<Denial> {
    let text = validation.text("expression").trim();
    let failed = |message: String| fails.then(|| Denial::new(message, Reason::Invalid));
    match (verdict, told) {
        (Err(problem), _) => failed(in_error(text, &problem)),
        (Ok(_), Err(problem)) => failed(format!("failed messageExpression: {problem}")),
        (Ok(true), _) => None,
        (Ok(false), Ok(told)) => {
            let reason = match validation.text("reason") {
                "Forbidden" => Reason::Forbidden,
                "Unauthorized" => Reason::Unauthorized,
                "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
                _ => Reason::Invalid,
            };
            let plain = || match validation.text("message") {
                "" => format!("failed expression: {text}"),
                message => message.trim().to_string(),
            };
            Some(Denial::new(told.map_or_else(plain, str::to_string), reason))
        }
    }
}

/// The parameters a binding refers to; one null when the policy takes none.
pub fn params(policy: &Value, binding: &Value, request: &Attributes<'_>) -> Result<Vec<Value>, String> {
    let kind = policy.at("spec.paramKind");
    let reference = binding.at("spec.paramRef");
    if kind.is_null() || reference.is_null() {
        return Ok(vec![Value::Null]);
    }
    let (group, version) = kind.text("apiVersion").split_once('/').unwrap_or(("", kind.text("apiVersion")));
    let found: Vec<Arc<Value>> = match request.objects.resource_of(group, version, kind.text("kind")) {
        None => Vec::new(),
        Some((plural, namespaced)) => {
            let namespace = match (namespaced, reference.text("namespace")) {
                (false, _) => "",
                (true, "") => request.namespace,
                (true, own) => own,
            };
            let list = request.objects.list_named(group, &plural, namespace);
            let name = reference.text("name");
            let wanted = |object: &Arc<Value>| {
                if name.is_empty() {
                    selectors::matches(reference.at("selector"), object.at("metadata.labels"))
                } else {
                    meta::name(object) == name
                }
            };
            list.into_iter().filter(wanted).collect()
        }
    };
    if found.is_empty() {
        return match reference.text("parameterNotFoundAction") {
            "Allow" => Ok(Vec::new()),
            _ => Err("failed to configure binding: no params found for policy binding with `Deny` \
                      parameterNotFoundAction"
                .to_string()),
        };
    }
    Ok(found.into_iter().map(|object| (*object).clone()).collect())
}

/// What expressions see.
pub fn scope(request: &Attributes<'_>, params: Value) -> Scope {
    let namespace = request.objects.get(collection("", "namespaces"), "", request.namespace);
    let mut scope = Scope::default();
    scope.set_asker(Asker::of(request));
    scope.set("object", request.object.clone().unwrap_or(Value::Null));
    scope.set("oldObject", request.old.cloned().unwrap_or(Value::Null));
    scope.set("params", params);
    scope.set("namespaceObject", namespace.map_or(Value::Null, |found| (*found).clone()));
    scope.set("request", request_value(request));
    scope
}

/// The request as expressions and webhooks see it, without its objects.
pub fn request_value(request: &Attributes<'_>) -> Value {
    let (group, version, kind) = request.object_kind;
    let resource = json!({"group": request.group, "version": request.version, "resource": request.resource});
    let mut user = json!({
        "username": request.user.name, "uid": request.user.uid, "groups": request.user.groups,
        "extra": request.user.extra,
    });
    without_empty(&mut user);
    let mut told = json!({
        "kind": {"group": group, "version": version, "kind": kind}, "resource": resource,
        "subResource": request.subresource, "requestSubResource": request.subresource,
        "name": request.name, "namespace": request.namespace,
    });
    without_empty(&mut told);
    told["requestKind"] = told["kind"].clone();
    told["requestResource"] = resource;
    told["operation"] = json!(operation(request));
    told["userInfo"] = user;
    told["dryRun"] = json!(request.dry_run);
    if let Some(options) = &request.options {
        told["options"] = options.clone();
    }
    told
}

/// An AdmissionRequest leaves out what is empty: an expression that reads it finds no such key.
fn without_empty(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| {
            *value != ""
                && !value.as_array().is_some_and(Vec::is_empty)
                && !value.as_object().is_some_and(Map::is_empty)
        });
    }
}

fn operation(request: &Attributes<'_>) -> &'static str {
    match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// Whether policies and webhooks pass a request over: a wrong one could not be mended otherwise.
pub fn is_exempt(request: &Attributes<'_>) -> bool {
    request.group == GROUP
}

/// Whether `matchConstraints` or `matchResources` takes the request in.
pub fn matches(constraints: &Value, request: &Attributes<'_>) -> bool {
    let rules = |field: &str| constraints.items(field).iter().any(|rule| rule_matches(rule, request));
    if !constraints.items("resourceRules").is_empty() && !rules("resourceRules") || rules("excludeResourceRules") {
        return false;
    }
    selected(constraints, request)
}

/// Whether `namespaceSelector` and `objectSelector` take the request in.
pub fn selected(constraints: &Value, request: &Attributes<'_>) -> bool {
    let by_namespace = constraints.at("namespaceSelector");
    if !selectors::is_empty(by_namespace) {
        let own = match (request.is("", "namespaces"), &request.object) {
            (true, Some(object)) => object.at("metadata.labels").clone(),
            _ => {
                let found = request.objects.get(collection("", "namespaces"), "", request.namespace);
                found.map_or(Value::Null, |namespace| namespace.at("metadata.labels").clone())
            }
        };
        let outside = request.namespace.is_empty() && !request.is("", "namespaces");
        if !outside && !selectors::matches(by_namespace, &own) {
            return false;
        }
    }
    let by_object = constraints.at("objectSelector");
    let labels = |object: Option<&Value>| {
        object.is_some_and(|object| selectors::matches(by_object, object.at("metadata.labels")))
    };
    selectors::is_empty(by_object) || labels(request.object.as_ref()) || labels(request.old)
}

/// Whether a rule of resources and operations takes the request in.
pub fn rule_matches(rule: &Value, request: &Attributes<'_>) -> bool {
    let has = |field: &str, wanted: &str| rule.items(field).iter().any(|own| own == "*" || own == wanted);
    let operation = operation(request);
    let resource = match request.subresource {
        "" => request.resource.to_string(),
        sub => format!("{}/{sub}", request.resource),
    };
    let resource_fits = rule.items("resources").iter().filter_map(Value::as_str).any(|own| {
        own == "*/*"
            || own == resource
            || own == "*" && request.subresource.is_empty()
            || own.strip_suffix("/*").is_some_and(|start| start == request.resource)
            || own.strip_prefix("*/").is_some_and(|end| !end.is_empty() && end == request.subresource)
    });
    let scope = match rule.text("scope") {
        "Cluster" => request.namespace.is_empty(),
        "Namespaced" => !request.namespace.is_empty(),
        _ => true,
    };
    let names = rule.items("resourceNames");
    has("operations", operation)
        && has("apiGroups", request.group)
        && has("apiVersions", request.version)
        && resource_fits
        && scope
        && (names.is_empty() || names.iter().any(|name| name == request.name))
}
