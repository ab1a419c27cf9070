//! `authorizer` in CEL: may somebody do something? The chain
//! `authorizer.group('apps').resource('deployments').namespace('x').check('delete').allowed()`.
//!
//! In: who asks and the request at hand. Out: functions in a CEL context. Each link of the chain is
//! an opaque value that holds what has been said so far; `check` decides.
//! Source: `k8s.io/apiserver/pkg/cel/library/authz.go`.

use std::collections::HashMap;
use std::sync::Arc;

use cel::extractors::This;
use cel::objects::{Key, Map, Opaque};
use cel::{Context, ExecutionError, Value as Cel};

use super::{Attributes, Authorizer};
use crate::api::names::NameRule;
use crate::apiserver::auth::{Action, Decision, User};

/// Who asks, whom, and about which request.
#[derive(Clone)]
pub struct Asker {
    authorizer: Arc<dyn Authorizer>,
    user: User,
    request: Action,
}

impl Asker {
    /// The one of a request under admission.
    pub fn of(request: &Attributes<'_>) -> Asker {
        let action = Action {
            group: request.group.to_string(),
            version: request.version.to_string(),
            resource: request.resource.to_string(),
            subresource: request.subresource.to_string(),
            namespace: request.namespace.to_string(),
            name: request.name.to_string(),
            ..Action::default()
        };
        Asker { authorizer: request.authorizer.clone(), user: request.user.clone(), request: action }
    }

    /// Gives a context the variable `authorizer` and what can be asked of it.
    pub fn add_to(&self, context: &mut Context<'_, '_>) {
        let own = Question { user: self.user.clone(), action: self.request.clone() };
        let fields = HashMap::from([(Key::from("requestResource"), Cel::Opaque(Arc::new(own)))]);
        context.add_variable_from_value("authorizer", Cel::Map(Map { map: Arc::new(fields) }));
        self.add_starts(context);
        add_narrowings(context);
        self.add_check(context);
    }

    /// What `authorizer` itself, or one for a service account, can be asked.
    fn add_starts(&self, context: &mut Context<'_, '_>) {
        type Start = fn(&mut Action, String);
        let starts: [(&str, Start); 2] =
            [("path", |action, path| action.path = path), ("group", |action, group| action.group = group)];
        for (name, say) in starts {
            let user = self.user.clone();
            let begin = move |This(this): This<Cel>, text: Arc<String>| {
                let mut question = match &this {
                    Cel::Opaque(opaque) => Question { action: Action::default(), ..question(opaque)?.clone() },
                    _ => Question { user: user.clone(), action: Action::default() },
                };
                say(&mut question.action, text.to_string());
                Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(question)))
            };
            // Only a name declared twice is an error; these are new to the environment.
            let _ = context.add_function(name, begin);
        }
        let account = |This(_): This<Cel>, namespace: Arc<String>, name: Arc<String>| {
            let wrong = |what: &str| Err(ExecutionError::function_error("serviceAccount", what));
            if !NameRule::Subdomain.check(&name, false).is_empty() {
                return wrong("Invalid service account name");
            }
            if !NameRule::Label.check(&namespace, false).is_empty() {
                return wrong("Invalid service account namespace");
            }
            let user = format!("system:serviceaccount:{namespace}:{name}");
            let own = format!("system:serviceaccounts:{namespace}");
            let groups = ["system:serviceaccounts", own.as_str(), "system:authenticated"];
            let question = Question { user: User::new(&user, &groups), action: Action::default() };
            Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(question)))
        };
        let _ = context.add_function("serviceAccount", account);
    }

    fn add_check(&self, context: &mut Context<'_, '_>) {
        let authorizer = self.authorizer.clone();
        let check = move |This(this): This<Arc<dyn Opaque>>, verb: Arc<String>| {
            let Question { user, mut action } = question(&this)?.clone();
            action.verb = verb.to_string();
            let verdict = match authorizer.decide(&user, &action) {
                Decision::Allow(reason) => Verdict { allowed: true, reason },
                Decision::NoOpinion(reason) => Verdict { allowed: false, reason },
            };
            Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(verdict)))
        };
        let _ = context.add_function("check", check);
        let _ = context.add_function("allowed", |This(this): This<Arc<dyn Opaque>>| {
            Ok::<Cel, ExecutionError>(verdict(&this)?.allowed.into())
        });
        let _ = context.add_function("reason", |This(this): This<Arc<dyn Opaque>>| {
            Ok::<Cel, ExecutionError>(verdict(&this)?.reason.clone().into())
        });
        let _ = context.add_function("errored", |This(_): This<Arc<dyn Opaque>>| false);
        let _ = context.add_function("error", |This(_): This<Arc<dyn Opaque>>| String::new());
    }
}

/// What narrows a question about a resource.
fn add_narrowings(context: &mut Context<'_, '_>) {
    type Say = fn(&mut Action, String);
    // Roles know no selectors: what selects allows and refuses nothing.
    let narrowings: [(&str, Say); 6] = [
        ("fieldSelector", |_, _| {}),
        ("labelSelector", |_, _| {}),
        ("resource", |action, text| action.resource = text),
        ("subresource", |action, text| action.subresource = text),
        ("namespace", |action, text| action.namespace = text),
        ("name", |action, text| action.name = text),
    ];
    for (name, say) in narrowings {
        let narrow = move |This(this): This<Arc<dyn Opaque>>, text: Arc<String>| {
            let mut question = question(&this)?.clone();
            say(&mut question.action, text.to_string());
            Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(question)))
        };
        let _ = context.add_function(name, narrow);
    }
}

/// What is asked so far.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    user: User,
    action: Action,
}

impl Opaque for Question {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.ResourceCheck"
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    allowed: bool,
    reason: String,
}

impl Opaque for Verdict {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

fn question(opaque: &Arc<dyn Opaque>) -> Result<&Question, ExecutionError> {
    opaque.downcast_ref().ok_or_else(|| no_overload(opaque))
}

fn verdict(opaque: &Arc<dyn Opaque>) -> Result<&Verdict, ExecutionError> {
    opaque.downcast_ref().ok_or_else(|| no_overload(opaque))
}

fn no_overload(opaque: &Arc<dyn Opaque>) -> ExecutionError {
    ExecutionError::FunctionError {
        function: opaque.runtime_type_name().to_string(),
        message: "no such overload".into(),
    }
}
