//! `kubectl api-resources` and `kubectl api-versions`: what the cluster serves.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::mapping::Mapping;
use super::super::print::tabwriter::Tabs;
use super::super::print::typed_json;
use crate::api::yaml;

const FLAGS: &[Flag] = &[
    short("output", 'o', Kind::Text(""), "wide, name, json, yaml"),
    long("no-headers", Kind::Bool(false), "No header line"),
    long("api-group", Kind::Text(""), "Only this group"),
    long("namespaced", Kind::Bool(true), "Only what lives in namespaces, or (false) only what does not"),
    long("verbs", Kind::List, "Only what these can be done with"),
    long("categories", Kind::List, "Only what belongs to these categories"),
    long("sort-by", Kind::Text(""), "name or kind"),
    long("cached", Kind::Bool(false), "Accepted; nothing is cached"),
    long("show-managed-fields", Kind::Bool(false), "Accepted"),
];

/// `api-resources`
pub const COMMAND: Command = Command {
    name: "api-resources",
    about: "List what the cluster serves",
    flags: &[FLAGS],
    run: run!(resources),
    ..BASE
};

/// `api-versions`
pub const VERSIONS: Command = Command {
    name: "api-versions",
    about: "List the groups and versions the cluster serves",
    run: run!(versions),
    ..BASE
};

async fn resources(call: &Invocation) -> Result {
    let flags = &call.flags;
    if !call.arguments().is_empty() {
        return Err(call.usage(format!("unexpected arguments: [{}]", call.arguments().join(" "))));
    }
    let sort_by = flags.text("sort-by");
    if !matches!(sort_by, "" | "name" | "kind") {
        return Err(Failure::new("--sort-by accepts only name or kind"));
    }
    let has_all = |own: &[String], wanted: &[String]| wanted.iter().all(|one| own.contains(one));
    let mapper = call.cluster().await?.mapper().await?;
    let mut shown: Vec<&Arc<Mapping>> = Vec::new();
    for mapping in &mapper.mappings {
        let known = shown.iter().any(|other| other.group == mapping.group && other.plural == mapping.plural);
        let fits = !mapping.verbs.is_empty()
            && (!flags.given("api-group") || mapping.group == flags.text("api-group"))
            && (!flags.given("namespaced") || mapping.namespaced == flags.is("namespaced"))
            && has_all(&mapping.verbs, flags.all("verbs"))
            && has_all(&mapping.categories, flags.all("categories"));
        if fits && !known {
            shown.push(mapping);
        }
    }
    let key = |mapping: &Mapping| match sort_by {
        "name" => mapping.plural.clone(),
        "kind" => mapping.kind.clone(),
        _ => mapping.group.clone(),
    };
    shown.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.plural.cmp(&b.plural)));
    call.out(text(call, &shown)?);
    Ok(())
}

fn text(call: &Invocation, shown: &[&Arc<Mapping>]) -> Result<String> {
    let output = call.flags.text("output");
    Ok(match output {
        "" | "wide" => table(shown, output == "wide", !call.flags.is("no-headers")),
        "name" => shown.iter().map(|mapping| mapping.group_resource() + "\n").collect(),
        "json" => typed_json(&list(shown)),
        "yaml" => yaml::to_string(&list(shown)),
        other => {
            let words = "unable to match a printer suitable for the output format";
            return Err(Failure::new(format!(
                "{words} {}, allowed formats are: json,kyaml,name,wide,yaml",
                quote(other)
            )));
        }
    })
}

fn table(shown: &[&Arc<Mapping>], wide: bool, headers: bool) -> String {
    let mut text = String::new();
    if headers {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        text.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for mapping in shown {
        let short = mapping.short_names.join(",");
        let version = mapping.api_version();
        text.push_str(&format!("{}\t{short}\t{version}\t{}\t{}", mapping.plural, mapping.namespaced, mapping.kind));
        if wide {
            text.push_str(&format!("\t{}\t{}", mapping.verbs.join(","), mapping.categories.join(",")));
        }
        text.push('\n');
    }
    Tabs::table().layout(&text)
}

fn list(shown: &[&Arc<Mapping>]) -> Value {
    let resource = |mapping: &&Arc<Mapping>| {
        let mut resource = json!({
            "name": mapping.plural, "singularName": mapping.singular, "namespaced": mapping.namespaced,
        });
        if !mapping.group.is_empty() {
            resource["group"] = mapping.group.clone().into();
        }
        resource["version"] = mapping.version.clone().into();
        resource["kind"] = mapping.kind.clone().into();
        resource["verbs"] = mapping.verbs.clone().into();
        if !mapping.short_names.is_empty() {
            resource["shortNames"] = mapping.short_names.clone().into();
        }
        if !mapping.categories.is_empty() {
            resource["categories"] = mapping.categories.clone().into();
        }
        resource
    };
    let resources: Vec<Value> = shown.iter().map(resource).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "", "resources": resources})
}

async fn versions(call: &Invocation) -> Result {
    if !call.arguments().is_empty() {
        return Err(call.usage(format!("unexpected arguments: [{}]", call.arguments().join(" "))));
    }
    let mapper = call.cluster().await?.mapper().await?;
    let name =
        |group: &str, version: &String| if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
    let mut all: Vec<String> = mapper
        .groups
        .iter()
        .flat_map(|group| group.versions.iter().map(|version| name(&group.name, version)))
        .collect();
    all.sort();
    all.iter().for_each(|version| call.out(format!("{version}\n")));
    Ok(())
}
