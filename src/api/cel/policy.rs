//! What an admission policy's expressions may name, and what types those names have.
//!
//! In: a policy's variables, and, where they are known, the schemas of the objects it judges. Out: what is
//! wrong with an expression before any object is judged. A policy is accepted with objects of any type;
//! afterwards its expressions are looked at again with the kinds it matches ([`warnings`]), which
//! finds `object.spec.replica`. Source: `k8s.io/apiserver/pkg/admission/plugin/{cel,policy/validating}`.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::check::{Declared, FAILED, Fields, Known, Scope, Type, check};
use super::escape;
use crate::api::resource;
use crate::api::schema::{self, Schema, SchemaRef};

/// The most letters, elements or entries of what a request brings.
const MOST: u64 = 3 * 1024 * 1024;
/// The most kinds that a policy is looked at with. Source: typechecking.go, maxTypesToCheck.
const MOST_KINDS: usize = 10;

/// What expressions may name.
#[derive(Clone, Debug)]
pub struct Names {
    object: Declared,
    params: Option<Declared>,
    /// `None`: there are no variables here.
    defined: Option<HashMap<String, Declared>>,
    has_authorizer: bool,
}

impl Names {
    /// Of a policy that has parameters, or none, and judges objects of any type.
    pub fn new(has_params: bool) -> Names {
        let any = || Declared::plain(Type::Dyn);
        Names { object: any(), params: has_params.then(any), defined: Some(HashMap::new()), has_authorizer: true }
    }

    /// The same without `variables`, as the conditions of a policy or of a webhook see it.
    pub fn without_variables(has_params: bool) -> Names {
        Names { defined: None, ..Names::new(has_params) }
    }

    /// The same without `authorizer`, as what makes messages sees it.
    pub fn without_authorizer(&self) -> Names {
        Names { has_authorizer: false, ..self.clone() }
    }

    /// Adds a variable, which may use those before it and has the type that its expression gives.
    ///
    /// # Errors
    /// Why its expression has no value.
    pub fn define(&mut self, name: &str, text: &str) -> Result<(), String> {
        let checked = check(text, &self.scope(false));
        let kind = checked.as_ref().map_or(Type::Dyn, |verdict| verdict.kind.clone());
        self.defined.get_or_insert_default().insert(name.to_string(), Declared::plain(kind));
        checked.map(drop)
    }

    fn scope(&self, builds_patches: bool) -> Scope {
        let of_authorizer = |name: &str| Declared::plain(Type::read(&format!("kubernetes.authorization.{name}")));
        let mut all = vec![
            ("object", self.object.clone()),
            ("oldObject", self.object.clone()),
            ("request", request()),
            ("namespaceObject", namespace()),
        ];
        if self.has_authorizer {
            all.push(("authorizer", of_authorizer("Authorizer")));
            all.push(("authorizer.requestResource", of_authorizer("ResourceCheck")));
        }
        let variables = |known: &HashMap<_, _>| Declared::object("kubernetes.variables", Known(known.clone()));
        all.extend(self.defined.as_ref().map(|known| ("variables", variables(known))));
        all.extend(self.params.clone().map(|kind| ("params", kind)));
        Scope { builds_patches, ..Scope::of(&all) }
    }
}

/// Compiles an expression that must give a `wanted` (`bool`, `string`, `Object`, `list(JSONPatch)`), as far as
/// can be told without a value.
///
/// # Errors
/// Why not, as Kubernetes says it.
pub fn check_gives(text: &str, wanted: &str, names: &Names) -> Result<(), String> {
    let verdict = check(text, &names.scope(wanted.contains(char::is_uppercase)))?;
    let found = verdict.kind.to_string();
    if found != wanted {
        return Err(format!("must evaluate to {wanted} but got {found}"));
    }
    verdict.fault.map_or(Ok(()), Err)
}

/// What is wrong with a policy's expressions, given the types of the kinds it matches: where, and the words.
pub fn warnings(policy: &Value) -> Vec<(String, String)> {
    let kinds = kinds(policy);
    let list = |path: &str| policy.pointer(path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let param = policy.pointer("/spec/paramKind").filter(|param| param.is_object()).map(|param| {
        let (group, version) = resource::parse_api_version(param["apiVersion"].as_str().unwrap_or_default());
        let schema = Schema::of_kind(group, version, param["kind"].as_str().unwrap_or_default());
        schema.and_then(|schema| type_of(&schema, "Params")).unwrap_or(Declared::plain(Type::Dyn))
    });
    let scopes: Vec<(String, Names)> = kinds
        .iter()
        .map(|(group, version, kind, schema)| {
            let object = type_of(schema, kind).unwrap_or(Declared::plain(Type::Dyn));
            let mut names =
                Names { object, params: param.clone(), defined: Some(HashMap::new()), has_authorizer: true };
            for variable in list("/spec/variables") {
                let text = |key: &str| variable[key].as_str().unwrap_or_default();
                // What is wrong with a variable shows where it is used.
                let _ = names.define(text("name"), text("expression"));
            }
            (format!("{group}/{version}, Kind={kind}"), names)
        })
        .collect();
    let mut found = Vec::new();
    for (index, validation) in list("/spec/validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let Some(text) = validation[field].as_str().filter(|text| !text.is_empty()) else { continue };
            let faults = scopes.iter().filter_map(|(kind, names)| {
                let fault = check(text, &names.scope(false)).err()?;
                Some(format!("{kind}: {}\n", fault.trim_start_matches(FAILED)))
            });
            let faults: Vec<String> = faults.collect();
            if !faults.is_empty() {
                found.push((format!("spec.validations[{index}].{field}"), faults.join("\n")));
            }
        }
    }
    found
}

/// The built-in kinds that a policy names, without wildcards, in order.
fn kinds(policy: &Value) -> Vec<(String, String, String, SchemaRef)> {
    let rules = policy.pointer("/spec/matchConstraints/resourceRules").and_then(Value::as_array);
    let mut keys = BTreeSet::new();
    for rule in rules.into_iter().flatten() {
        let texts = |field: &str| -> Vec<&str> {
            rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (groups, versions) = (texts("apiGroups"), texts("apiVersions"));
        if groups.iter().chain(&versions).any(|text| text.contains('*')) {
            continue;
        }
        let plain = texts("resources").into_iter().filter(|text| !text.contains(['*', '/']));
        let plurals: Vec<&str> = plain.collect();
        for known in resource::builtin() {
            if groups.contains(&&*known.group)
                && versions.contains(&&*known.version)
                && plurals.contains(&&*known.plural)
            {
                keys.insert((known.group.to_string(), known.version.to_string(), known.kind.to_string()));
            }
        }
    }
    let kinds = keys.into_iter().take(MOST_KINDS);
    kinds
        .filter_map(|(group, version, kind)| {
            let schema = Schema::of_kind(&group, &version, &kind)?;
            Some((group, version, kind, schema))
        })
        .collect()
}

/// The type of a built-in definition's value, called `name`; `None`: expressions cannot see it.
fn type_of(schema: &SchemaRef, name: &str) -> Option<Declared> {
    let plain = |kind| Declared::sized(kind, MOST);
    Some(match schema.kind() {
        schema::Type::Boolean => plain(Type::Bool),
        schema::Type::Int32 | schema::Type::Int64 => plain(Type::Int),
        schema::Type::Number => plain(Type::Double),
        schema::Type::String | schema::Type::Duration => plain(Type::Text),
        schema::Type::Bytes => plain(Type::Bytes),
        schema::Type::Time | schema::Type::MicroTime => plain(Type::Timestamp),
        schema::Type::IntOrString => plain(Type::Dyn),
        schema::Type::List => Declared::list(type_of(&schema.items_ref()?, &format!("{name}.@idx"))?, MOST),
        schema::Type::Map => Declared::map(type_of(&schema.items_ref()?, &format!("{name}.@elem"))?, MOST),
        schema::Type::Object | schema::Type::RawExtension | schema::Type::FieldsV1 => {
            Declared::object(name, Definition(schema.clone(), name.to_string()))
        }
        _ => return None,
    })
}

/// The fields of a definition, each read when it is asked for: definitions may hold themselves.
#[derive(Debug)]
struct Definition(SchemaRef, String);

impl Fields for Definition {
    fn field(&self, name: &str) -> Option<Declared> {
        let field = self.0.fields().iter().find(|field| escape(&field.name).as_deref() == Some(name))?;
        type_of(&field.schema_ref(), &format!("{}.{name}", self.1))
    }
}

fn object(name: &str, fields: &[(&str, Declared)]) -> Declared {
    let fields = fields.iter().map(|(name, kind)| ((*name).to_string(), kind.clone()));
    Declared::object(format!("kubernetes.{name}"), Known(fields.collect()))
}

fn text() -> Declared {
    Declared::sized(Type::Text, MOST)
}

fn texts() -> Declared {
    Declared::list(text(), MOST)
}

fn request() -> Declared {
    let of_kind = object("GroupVersionKind", &[("group", text()), ("version", text()), ("kind", text())]);
    let of_resource = object("GroupVersionResource", &[("group", text()), ("version", text()), ("resource", text())]);
    let user = object(
        "UserInfo",
        &[("username", text()), ("uid", text()), ("groups", texts()), ("extra", Declared::map(texts(), MOST))],
    );
    object(
        "AdmissionRequest",
        &[
            ("kind", of_kind.clone()),
            ("resource", of_resource.clone()),
            ("subResource", text()),
            ("requestKind", of_kind),
            ("requestResource", of_resource),
            ("requestSubResource", text()),
            ("name", text()),
            ("namespace", text()),
            ("operation", text()),
            ("userInfo", user),
            ("dryRun", Declared::plain(Type::Bool)),
            ("options", Declared::plain(Type::Dyn)),
        ],
    )
}

fn namespace() -> Declared {
    let by_key = || Declared::map(text(), MOST);
    let (time, number) = (Declared::plain(Type::Timestamp), Declared::plain(Type::Int));
    let condition = object(
        "NamespaceCondition",
        &[
            ("status", text()),
            ("type", text()),
            ("lastTransitionTime", time.clone()),
            ("message", text()),
            ("reason", text()),
        ],
    );
    let metadata = object(
        "NamespaceMetadata",
        &[
            ("name", text()),
            ("generateName", text()),
            ("namespace", text()),
            ("labels", by_key()),
            ("annotations", by_key()),
            ("UID", text()),
            ("creationTimestamp", time.clone()),
            ("deletionGracePeriodSeconds", number.clone()),
            ("deletionTimestamp", time),
            ("generation", number),
            ("resourceVersion", text()),
            ("finalizers", texts()),
        ],
    );
    let conditions = Declared::list(condition, MOST);
    object(
        "Namespace",
        &[
            ("metadata", metadata),
            ("spec", object("NamespaceSpec", &[("finalizers", texts())])),
            ("status", object("NamespaceStatus", &[("conditions", conditions), ("phase", text())])),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_have_the_types_of_their_expressions() {
        let mut names = Names::new(false);
        assert_eq!(names.define("yes", "size(object.data) > 1"), Ok(()));
        assert_eq!(names.define("some", "object.a"), Ok(()));
        assert!(names.define("no", "nothing.a").is_err());
        let wrong = |kind| Err(format!("must evaluate to bool but got {kind}"));
        assert_eq!(check_gives("variables.yes", "bool", &names), Ok(()));
        assert_eq!(check_gives("variables.some", "bool", &names), wrong("dyn"));
        assert_eq!(check_gives("object.a", "bool", &names), wrong("dyn"));
        assert_eq!(check_gives("1 + 1", "bool", &names), wrong("int"));
        for (text, why) in [
            ("variables.none", "undefined field 'none'"),
            ("request.nope == 1", "undefined field 'nope'"),
            ("namespaceObject.metadata.labels['a'] == 1", "found no matching overload for '_==_'"),
            ("params.a == 1", "undeclared reference to 'params'"),
        ] {
            assert!(check_gives(text, "bool", &names).unwrap_err().contains(why), "{text}");
        }
        assert_eq!(check_gives("params.a == 1", "bool", &Names::new(true)), Ok(()));
    }

    #[test]
    fn expressions_are_looked_at_with_the_kinds_they_match() {
        let policy = json!({"spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
            "resources": ["deployments", "statefulsets", "deployments/scale"]}]},
        "variables": [{"name": "r", "expression": "object.spec.replicas"}],
        "validations": [
            {"expression": "variables.r > 1 && object.metadata.labels['a'] == 'b'"},
            {"expression": "object.spec.strategy.rollingUpdate.maxSurge == 1"},
            {"expression": "object.spec.foo == 1 || object.spec.replicas == 'a'"},
        ]}});
        let found = warnings(&policy);
        let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["spec.validations[1].expression", "spec.validations[2].expression"]);
        assert_eq!(
            found[0].1,
            "apps/v1, Kind=StatefulSet: ERROR: <input>:1:12: undefined field 'strategy'\n | object.spec.strategy.rollingUpdate.maxSurge == 1\n | ...........^\n"
        );
        let both = &found[1].1;
        assert!(both.starts_with("apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'foo'"), "{both}");
        assert!(
            both.contains("\nERROR: <input>:1:46: found no matching overload for '_==_' applied to '(int, string)'")
        );
        let any = json!({"spec": {"matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["v1"],
            "resources": ["pods"]}]}, "validations": [{"expression": "object.nope"}]}});
        assert_eq!(warnings(&any), []);
    }
}
