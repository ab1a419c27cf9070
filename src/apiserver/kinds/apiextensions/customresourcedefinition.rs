//! CustomResourceDefinition: a new kind, described by a schema.
//!
//! Source: `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/{v1,validation}`.

use serde_json::{Value, json};

use super::{conversion, openapi, root, rules, structural};
use crate::apiserver::kinds::json::Fill::Int;
use crate::apiserver::kinds::json::{Json, fill, put};
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{Context, FieldError, Strategy, names};

/// Of CustomResourceDefinitions.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |definition, context| {
        crate::apiserver::kinds::lifecycle::first_generation(definition, context);
        let stored: Vec<Value> =
            storage_versions(definition).into_iter().take(1).map(|version| version.at("name").clone()).collect();
        let mut status = json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}});
        status["storedVersions"] = if stored.is_empty() { Value::Null } else { stored.into() };
        put(definition, "status", status);
    },
    prepare_update: |new, old, context| {
        crate::apiserver::kinds::lifecycle::keep_status_and_count(new, old, context);
        if let Some(version) = storage_versions(new).first().map(|version| version.at("name").clone()) {
            let stored = new.items("status.storedVersions");
            if !stored.contains(&version) {
                let mut stored = stored.to_vec();
                stored.push(version);
                put(new, "status.storedVersions", stored);
            }
        }
    },
    validate: |definition, _| {
        let mut errors = name(definition);
        errors.extend(validate_spec(definition));
        errors
    },
    validate_update: |new, old, _| {
        let mut errors = validate_spec(new);
        for path in ["spec.group", "spec.names.plural", "spec.scope", "spec.names.kind"] {
            let established = old
                .items("status.conditions")
                .iter()
                .any(|condition| condition.text("type") == "Established" && condition.text("status") == "True");
            if established || matches!(path, "spec.group" | "spec.names.plural") {
                errors.extend(immutable(new, old, path));
            }
        }
        errors
    },
    warnings: super::warnings::warnings,
    prepare_delete: |definition, context| {
        crate::apiserver::custom::removal::prepare(definition, &crate::apiserver::verbs::create::second(context.now));
    },
    unconditional_update: false,
    any_finalizer: true,
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(definition: &mut Value, _: &Context) {
    let kind = definition.text("spec.names.kind").to_string();
    if definition.text("spec.names.singular").is_empty() {
        put(definition, "spec.names.singular", kind.to_lowercase());
    }
    if definition.text("spec.names.listKind").is_empty() && !kind.is_empty() {
        put(definition, "spec.names.listKind", format!("{kind}List"));
    }
    fill(definition, &[("spec.conversion.webhook.clientConfig.service.port", Int(443))]);
    if !definition.has("spec.conversion") {
        put(definition, "spec.conversion.strategy", "None");
    }
}

fn storage_versions(definition: &Value) -> Vec<&Value> {
    definition.items("spec.versions").iter().filter(|version| version.flag("storage")).collect()
}

fn name(definition: &Value) -> Vec<FieldError> {
    let name = definition.text("metadata.name");
    let expected = format!("{}.{}", definition.text("spec.names.plural"), definition.text("spec.group"));
    if name == expected {
        return Vec::new();
    }
    vec![FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group")]
}

fn validate_spec(definition: &Value) -> Vec<FieldError> {
    let spec = definition.at("spec");
    let mut errors = Vec::new();
    let group = spec.text("group");
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if let Some(fault) = names::dns_subdomain(group).first() {
        errors.push(FieldError::invalid("spec.group", group, fault.as_str()));
    } else if group.split('.').count() < 2 {
        errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    errors.extend(protected_group(definition, group));
    errors.extend(kind_names(spec));
    match spec.text("scope") {
        "" => errors.push(FieldError::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    errors.extend(unpruned(definition));
    errors.extend(versions(definition));
    errors.extend(conversion::validate(spec.at("conversion")));
    errors
}

/// What only objects that lose their unknown fields can have.
fn unpruned(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if definition.at("spec.preserveUnknownFields") != true {
        return errors;
    }
    let strategy = definition.text("spec.conversion.strategy");
    if strategy != "None" {
        let detail = "must be None if spec.preserveUnknownFields is true";
        errors.push(FieldError::invalid("spec.conversion.strategy", strategy, detail));
    }
    let mut has_default = false;
    super::warnings::each_schema(definition, &mut |schema| has_default |= schema.has("default"));
    if has_default {
        let detail = "must be false in order to use defaults in the schema";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, detail));
    }
    errors
}

fn protected_group(definition: &Value, group: &str) -> Option<FieldError> {
    let protected =
        ["k8s.io", "kubernetes.io"].iter().any(|owned| group == *owned || group.ends_with(&format!(".{owned}")));
    let approved = crate::api::meta::annotation(definition, "api-approved.kubernetes.io").is_some();
    (protected && !approved).then(|| {
        FieldError::required(
            "metadata.annotations[api-approved.kubernetes.io]",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        )
    })
}

fn kind_names(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["plural", "singular", "kind", "listKind"] {
        let text = spec.at("names").text(field);
        let path = format!("spec.names.{field}");
        if text.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        let mixed = matches!(field, "kind" | "listKind");
        let faults = names::dns_1035_label(&if mixed { text.to_lowercase() } else { text.to_string() });
        if !faults.is_empty() {
            let before = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(FieldError::invalid(path, text, format!("{before}{}", faults.join(","))));
        }
    }
    for field in ["shortNames", "categories"] {
        for (index, name) in spec.at("names").items(field).iter().filter_map(Value::as_str).enumerate() {
            let faults = names::dns_1035_label(name);
            if !faults.is_empty() {
                let path = format!("spec.names.{field}[{index}]");
                errors.push(FieldError::invalid(path, name, faults.join(",")));
            }
        }
    }
    let (kind, list) = (spec.text("names.kind"), spec.text("names.listKind"));
    if kind == list && !kind.is_empty() {
        errors.push(FieldError::invalid("spec.names.listKind", list, "kind and listKind may not be the same"));
    }
    errors
}

fn versions(definition: &Value) -> Vec<FieldError> {
    let list = definition.items("spec.versions");
    let mut errors = Vec::new();
    let storage = storage_versions(definition);
    let stored = definition.at("status.storedVersions");
    if (1..list.len()).any(|at| list[..at].iter().any(|before| before.text("name") == list[at].text("name"))) {
        errors.push(FieldError::invalid_raw("spec.versions", go_versions(list), "must contain unique version names"));
    }
    if storage.len() != 1 {
        errors.push(FieldError::invalid_raw(
            "spec.versions",
            if definition.has("spec.versions") { go_versions(list) } else { "null".to_string() },
            "must have exactly one version marked as storage version",
        ));
    }
    if stored.as_array().is_none_or(|stored| stored.is_empty()) {
        errors.push(FieldError::invalid(
            "status.storedVersions",
            stored.clone(),
            "must have at least one stored version",
        ));
    } else {
        // Each stored version stands for one version of that name.
        let mut left = definition.items("status.storedVersions").to_vec();
        for version in list {
            let found = left.iter().position(|stored| stored == version.at("name"));
            if let Some(found) = found {
                left.remove(found);
            } else if version.flag("storage") {
                let detail = format!("must have the storage version {}", version.text("name"));
                errors.push(FieldError::invalid("status.storedVersions", stored.clone(), detail));
            }
        }
    }
    for (index, stored) in definition.items("status.storedVersions").iter().filter_map(Value::as_str).enumerate() {
        if !list.iter().any(|version| version.text("name") == stored) {
            errors.push(FieldError::invalid(
                format!("status.storedVersions[{index}]"),
                stored,
                format!("missing from spec.versions; {stored} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {stored} and removes {stored} from status.storedVersions"),
            ));
        }
    }
    if definition.at("spec.preserveUnknownFields") == true {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, detail));
    }
    if let Some(first) = list.first().map(|version| version.text("name")).filter(|name| !name.is_empty()) {
        // What the field was called when there could be one version only.
        for fault in names::dns_1035_label(first) {
            errors.push(FieldError::invalid("spec.version", first, fault));
        }
    }
    for (index, version) in list.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = version.text("name");
        for fault in names::dns_1035_label(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, fault));
        }
        if let Some(warning) = version.at("deprecationWarning").as_str() {
            let long = (warning.len() > 256).then_some("must be <= 256 characters long");
            let hidden =
                warning.char_indices().filter(|(_, letter)| *letter != ' ' && !is_print(*letter)).map(|(at, _)| {
                    format!("must only contain printable UTF-8 characters; non-printable character found at index {at}")
                });
            let faults: Vec<String> = match version.flag("deprecated") {
                false => vec!["can only be set for deprecated versions".to_string()],
                true if warning.is_empty() => vec!["must not be an empty string".to_string()],
                true => long.into_iter().map(str::to_string).chain(hidden).collect(),
            };
            let error = |fault| FieldError::invalid(format!("{path}.deprecationWarning"), warning, fault);
            errors.extend(faults.into_iter().map(error));
        }
        if !version.has("schema.openAPIV3Schema") {
            errors.push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), ""));
        }
    }
    // Settings that all versions share are reported as if they stood at the top, as they once did.
    let at = |keyword: &str, index: usize| match is_shared(list, keyword) {
        true if index == 0 => Some("spec".to_string()),
        true => None,
        false => Some(format!("spec.versions[{index}]")),
    };
    for (index, version) in list.iter().enumerate() {
        if let Some(path) = at("additionalPrinterColumns", index) {
            errors.extend(printer_columns(version, &path));
        }
        if let Some(path) = at("subresources", index) {
            errors.extend(scale(version, &path));
        }
        if let Some(path) = at("selectableFields", index) {
            errors.extend(selectable_fields(version, &path));
        }
        if let Some(path) = at("schema", index) {
            let part = if path == "spec" { "validation" } else { "schema" };
            let path = format!("{path}.{part}.openAPIV3Schema");
            let with_status = match part {
                "validation" => list.iter().any(|version| version.has("subresources.status")),
                _ => version.has("subresources.status"),
            };
            errors.extend(root::beside_status(version.at("schema.openAPIV3Schema"), &path).filter(|_| with_status));
            errors.extend(schema(version, &path));
        }
    }
    errors
}

/// Go's `unicode.IsPrint`, as far as a warning is concerned.
fn is_print(letter: char) -> bool {
    !letter.is_control()
        && !letter.is_whitespace()
        && !matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

fn is_shared(list: &[Value], keyword: &str) -> bool {
    list.windows(2).all(|pair| pair[0].get(keyword) == pair[1].get(keyword))
}

fn schema(version: &Value, path: &str) -> Vec<FieldError> {
    let schema = version.at("schema.openAPIV3Schema");
    if schema.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    if schema["nullable"] == true {
        errors.push(FieldError::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    // With a keyword that has no place in the structure, the structure is not asked for.
    let faults = if openapi::is_foreign(schema) { Vec::new() } else { structural::check(schema, path) };
    let is_structural = faults.is_empty();
    errors.extend(faults);
    // Whether a default fits is asked where there is a structure for it to fit.
    let judged = openapi::check(schema, path).into_iter();
    let is_tried = is_structural && !openapi::is_foreign(schema);
    errors.extend(judged.filter(|error| is_tried || !openapi::is_of_a_default(error)));
    // Rules are compiled when the defaults are good, and each where nothing else is wrong below.
    let faulty: Vec<String> = errors.iter().map(found_at).collect();
    let bad_default = faulty.iter().any(|place| place.contains(".default"));
    if is_structural && !bad_default && !openapi::is_foreign(schema) {
        errors.extend(rules::check(schema, path, &faulty));
    }
    // What else is foreign has been told by name.
    if errors.is_empty() && openapi::is_foreign(schema) {
        errors.push(FieldError::invalid(path, "", "OpenAPIV3Schema 'schema' is not supported"));
    }
    errors
}

/// Where a fault was found: what a list wants of its items is the list's fault, though it is said of
/// the items.
fn found_at(error: &FieldError) -> String {
    match error.field.rsplit_once(".items.") {
        Some((list, _)) if error.detail.contains("x-kubernetes-list-") => list.to_owned(),
        _ => error.field.clone(),
    }
}

/// At most so many fields of a version can be selected by.
const MAX_SELECTABLE: usize = 8;

fn selectable_fields(version: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let schema = version.at("schema.openAPIV3Schema");
    for (index, field) in version.items("selectableFields").iter().enumerate() {
        let at = format!("{path}.selectableFields[{index}].jsonPath");
        let own = field.text("jsonPath");
        if own.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let Some(found) = rules::field_at(schema, own) else {
            errors.push(FieldError::invalid(
                at,
                own,
                format!("is an invalid path: {}", rules::why_no_path(schema, own)),
            ));
            continue;
        };
        if own.starts_with(".metadata") {
            errors.push(FieldError::invalid(at.clone(), own, "must not point to fields in metadata"));
        }
        if !matches!(found.text("type"), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(FieldError::invalid(at.clone(), own, detail));
        }
        if seen.contains(&own) {
            errors.push(FieldError::duplicate(at, own));
        } else {
            seen.push(own);
        }
    }
    if seen.len() > MAX_SELECTABLE {
        errors.push(FieldError::too_many(format!("{path}.selectableFields"), seen.len(), MAX_SELECTABLE));
    }
    errors
}

/// The internal Go struct as `encoding/json` prints it.
fn go_versions(list: &[Value]) -> String {
    // A field that is the same in every version is kept for all of them at once.
    let own = |version: &Value, keyword: &str, shown: fn(&Value) -> Value| match version.at(keyword) {
        value if value.is_null() || is_shared(list, keyword) => Value::Null,
        value => shown(value),
    };
    let shown: Vec<Value> = list
        .iter()
        .map(|version| {
            json!({
                "Name": version.text("name"), "Served": version.flag("served"), "Storage": version.flag("storage"),
                "Deprecated": version.flag("deprecated"), "DeprecationWarning": version.at("deprecationWarning"),
                "Schema": null,
                "Subresources": own(version, "subresources", go_subresources),
                "AdditionalPrinterColumns": own(version, "additionalPrinterColumns", go_columns),
                "SelectableFields": own(version, "selectableFields", |fields| {
                    let each = fields.as_array().into_iter().flatten();
                    each.map(|field| json!({"JSONPath": field.text("jsonPath")})).collect()
                }),
            })
        })
        .collect();
    Value::Array(shown).to_string()
}

fn go_subresources(parts: &Value) -> Value {
    let scale = parts.at("scale");
    let told = json!({"SpecReplicasPath": scale.text("specReplicasPath"),
        "StatusReplicasPath": scale.text("statusReplicasPath"), "LabelSelectorPath": scale.at("labelSelectorPath")});
    json!({"Status": parts.at("status"), "Scale": if scale.is_null() { Value::Null } else { told }})
}

fn go_columns(columns: &Value) -> Value {
    let column = |column: &Value| {
        json!({"Name": column.text("name"), "Type": column.text("type"), "Format": column.text("format"),
            "Description": column.text("description"), "Priority": column.int("priority").unwrap_or(0),
            "JSONPath": column.text("jsonPath")})
    };
    columns.as_array().into_iter().flatten().map(column).collect()
}

fn simple_path(path: &str) -> bool {
    path.starts_with('.') && path.len() > 1
}

const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

fn printer_columns(version: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kinds = ["boolean", "date", "integer", "number", "string"];
    for (index, column) in version.items("additionalPrinterColumns").iter().enumerate() {
        let path = format!("{path}.additionalPrinterColumns[{index}]");
        if column.text("name").is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        let kind = column.text("type");
        if kind.is_empty() {
            errors.push(FieldError::required(format!("{path}.type"), format!("must be one of {}", kinds.join(","))));
        } else if !kinds.contains(&kind) {
            let detail = format!("must be one of {}", kinds.join(","));
            errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
        }
        let format = column.text("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid(format!("{path}.format"), format, detail));
        }
        let json_path = column.text("jsonPath");
        if json_path.is_empty() {
            errors.push(FieldError::required(format!("{path}.JSONPath"), ""));
        } else if !simple_path(json_path) {
            errors.push(FieldError::invalid(
                format!("{path}.JSONPath"),
                json_path,
                "must be a simple json path starting with .",
            ));
        }
    }
    errors
}

fn scale(version: &Value, path: &str) -> Vec<FieldError> {
    let scale = version.at("subresources.scale");
    if scale.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for (field, start) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let text = scale.text(field);
        let at = format!("{path}.subresources.scale.{field}");
        if text.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if !simple_path(text) {
            errors.push(FieldError::invalid(at, text, "must be a simple json path starting with ."));
        } else if !text.starts_with(start) {
            let part = start.trim_end_matches('.');
            errors.push(FieldError::invalid(at, text, format!("should be a json path under {part}")));
        }
    }
    let (text, at) = (scale.text("labelSelectorPath"), format!("{path}.subresources.scale.labelSelectorPath"));
    if !text.is_empty() && !simple_path(text) {
        errors.push(FieldError::invalid(at, text, "must be a simple json path starting with ."));
    } else if !text.is_empty() && ![".spec.", ".status."].iter().any(|start| text.starts_with(start)) {
        errors.push(FieldError::invalid(at, text, "should be a json path under either .spec or .status"));
    }
    errors
}
