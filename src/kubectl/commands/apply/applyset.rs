//! `apply --applyset`: a parent object that remembers what was applied together, so that pruning finds it.
//!
//! In: the set's parent (a Secret unless another kind is named) and the objects of this apply, which get
//! the set's label. Out: the parent, which names kinds and namespaces of the members, written before the
//! apply (so that nothing is lost when it ends early) and after the pruning. Source: the ApplySet
//! specification, KEP-3659. As in the real one, the variable KUBECTL_APPLYSET=true turns the flag on.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::DryRun;
use super::super::super::http::Call;
use super::super::super::mapping::Mapping;
use super::super::super::selection::Info;
use super::super::super::write::{APPLY, Writing};
use super::Apply;
use crate::api::meta;

const TOOL: &str = "kubectl";
const MANAGER: &str = "kubectl-applyset";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const ID: &str = "applyset.kubernetes.io/id";
const PART_OF: &str = "applyset.kubernetes.io/part-of";
const PARENT_TYPE: &str = "applyset.kubernetes.io/is-parent-type";

/// An apply set, as the command line names it.
pub(super) struct ApplySet<'a> {
    call: &'a Invocation,
    parent: Info,
}

/// An apply set whose members are being applied.
pub(super) struct Applying<'a> {
    set: ApplySet<'a>,
    /// Kinds and namespaces that the parent named before.
    before: Members,
    /// Those of the objects that are applied now.
    now: Members,
}

#[derive(Clone, Default)]
struct Members {
    /// `Deployment.apps`
    kinds: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

fn shown(parent: &Info) -> String {
    quote(&format!("{}.{}/{}", parent.mapping.plural, parent.mapping.group, parent.name))
}

impl<'a> ApplySet<'a> {
    /// The set that `--applyset` names, if it is given.
    ///
    /// # Errors
    /// When it names no parent.
    pub(super) async fn of(call: &'a Invocation) -> Result<Option<ApplySet<'a>>> {
        if !call.flags.given("applyset") {
            return Ok(None);
        }
        if call.session.variable("KUBECTL_APPLYSET") != "true" {
            return Err(Failure::new("unknown flag: --applyset\nSee 'kubectl apply --help' for usage."));
        }
        let named = call.flags.text("applyset");
        if named.is_empty() {
            return Ok(None);
        }
        let wrong = |why: &str| Failure::new(format!("invalid parent reference {}: {why}", quote(named)));
        let (kind, name) = named.split_once('/').unwrap_or(("secrets", named));
        if name.is_empty() {
            return Err(wrong("name cannot be blank"));
        }
        let cluster = call.cluster().await?;
        let mapping = cluster.mapper().await?.named(kind).map_err(|_| {
            let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
            wrong(&format!("no matches for {group}/, Resource={resource}"))
        })?;
        let namespace =
            if mapping.namespaced && cluster.namespace_enforced { cluster.namespace.clone() } else { String::new() };
        let parent = Info { mapping, namespace, name: name.to_owned(), object: Value::Null, source: String::new() };
        Ok(Some(ApplySet { call, parent }))
    }

    fn is_built_in(&self) -> bool {
        let mapping = &self.parent.mapping;
        mapping.group.is_empty() && matches!(mapping.plural.as_str(), "secrets" | "configmaps")
    }

    /// # Errors
    /// When the parent may not be one.
    pub(super) async fn check(&self) -> Result {
        let mut wrong = Vec::new();
        let mapping = &self.parent.mapping;
        if mapping.namespaced && self.parent.namespace.is_empty() {
            wrong.push("namespace is required to use namespace-scoped ApplySet".to_owned());
        }
        if !self.is_built_in() {
            let list = Call::get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
                .query("labelSelector", PARENT_TYPE);
            let list = self.call.cluster().await?.api.json(list).await?;
            let known = meta::list(&list, &["items"]).iter().any(|crd| meta::name(crd) == mapping.group_resource());
            if !known {
                let resource = quote(&mapping.group_version_resource());
                wrong.push(format!("resource {resource} is not permitted as an ApplySet parent"));
            }
        }
        match wrong.as_slice() {
            [] => Ok(()),
            [one] => Err(Failure::new(one.clone())),
            several => Err(Failure::Many(several.iter().cloned().map(Failure::new).collect())),
        }
    }

    /// `applyset-HASH-v1`, from the parent's name, namespace, kind and group.
    fn id(&self) -> String {
        let (parent, mapping) = (&self.parent, &self.parent.mapping);
        let text = [&parent.name, &parent.namespace, &mapping.kind, &mapping.group].map(String::as_str).join(".");
        format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(Sha256::digest(text)))
    }

    /// Labels the objects, and makes the parent name all that is, or is about to be, in the set.
    ///
    /// # Errors
    /// When the parent belongs to somebody else, or an object to another set.
    pub(super) async fn before(self, writing: &Writing<'_>, infos: &mut [Info]) -> Result<Applying<'a>> {
        let id = self.id();
        let mut now = Members::default();
        for info in infos {
            if meta::label(&info.object, PART_OF).is_some() {
                return Err(Failure::new(format!("ApplySet label {} already set in input data", quote(PART_OF))));
            }
            meta::set_label(&mut info.object, PART_OF, &id);
            now.kinds.insert(info.mapping.group_kind());
            if info.mapping.namespaced && !info.namespace.is_empty() {
                now.namespaces.insert(info.namespace.clone());
            }
        }
        let before = self.stored().await?;
        let set = Applying { set: self, before, now };
        let mut all = set.now.clone();
        all.kinds.extend(set.before.kinds.iter().cloned());
        all.namespaces.extend(set.before.namespaces.iter().cloned());
        set.write(writing, &all).await?;
        Ok(set)
    }

    /// What the parent names now; nothing when it is not there yet.
    async fn stored(&self) -> Result<Members> {
        let (parent, shown) = (&self.parent, shown(&self.parent));
        let object = match self.call.cluster().await?.api.json(Call::get(parent.path())).await {
            Ok(object) => object,
            Err(failure) if failure.is_not_found() && self.is_built_in() => return Ok(Members::default()),
            Err(failure) if failure.is_not_found() => {
                return Err(Failure::new("custom resource ApplySet parents cannot be created automatically"));
            }
            Err(failure) => {
                let words = failure.words();
                return Err(Failure::new(format!("failed to fetch ApplySet parent object {shown}: {words}")));
            }
        };
        let refuse = |words: String| Err(Failure::new(format!("ApplySet parent object {shown} {words}")));
        let Some(tooling) = meta::annotation(&object, TOOLING) else {
            return refuse(format!("already exists and is missing required annotation {}", quote(TOOLING)));
        };
        let tool = tooling.rsplit_once('/').map_or(tooling, |(tool, _)| tool);
        if tool != TOOL {
            let (theirs, ours) = (quote(tool), quote(TOOL));
            return refuse(format!("already exists and is managed by tooling {theirs} instead of {ours}"));
        }
        let id = self.id();
        match meta::label(&object, ID) {
            None => return refuse(format!("exists and does not have required label {ID}")),
            Some(theirs) if theirs != id => {
                let label = quote(ID);
                return refuse(format!("exists and has incorrect value for label {label} (got: {theirs}, want: {id})"));
            }
            Some(_) => {}
        }
        let Some(kinds) = meta::annotation(&object, KINDS) else {
            let words =
                format!("kubectl requires the {} annotation to be set on all ApplySet parent objects", quote(KINDS));
            return Err(Failure::new(format!("parsing ApplySet annotation on {shown}: {words}")));
        };
        let parts = |text: &str| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut members = Members {
            kinds: parts(kinds),
            namespaces: parts(meta::annotation(&object, NAMESPACES).unwrap_or_default()),
        };
        if parent.mapping.namespaced {
            members.namespaces.insert(parent.namespace.clone());
        }
        Ok(members)
    }
}

impl Applying<'_> {
    async fn write(&self, writing: &Writing<'_>, members: &Members) -> Result {
        if writing.dry_run == DryRun::Client {
            return Ok(());
        }
        let (parent, mapping) = (&self.set.parent, &self.set.parent.mapping);
        let list = |all: &BTreeSet<String>| all.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let mut others = members.namespaces.clone();
        others.remove(&parent.namespace);
        let mut metadata = json!({"name": parent.name, "labels": {ID: self.set.id()}, "annotations": {
            TOOLING: format!("{TOOL}/{}", super::super::version::CLIENT),
            KINDS: list(&members.kinds),
            NAMESPACES: list(&others),
        }});
        if !parent.namespace.is_empty() {
            metadata["namespace"] = parent.namespace.as_str().into();
        }
        let patch = json!({"kind": mapping.kind, "apiVersion": mapping.api_version(), "metadata": metadata});
        let writing = writing.managed_by(MANAGER);
        let mut done = writing.patch_with(parent, "", APPLY, &patch, &[("force", "false")]).await;
        if matches!(&done, Err(failure) if failure.is_conflict()) {
            done = writing.patch_with(parent, "", APPLY, &patch, &[("force", "true")]).await;
        }
        match done {
            Ok(_) => Ok(()),
            Err(failure) => Err(Failure::new(format!("failed to update ApplySet: {}", failure.words()))),
        }
    }

    /// Deletes the members that this apply did not touch; then the parent names only what is left.
    ///
    /// # Errors
    /// When something cannot be listed or deleted.
    pub(super) async fn prune(self, apply: &mut Apply<'_>) -> Result {
        let mapper = apply.call.cluster().await?.mapper().await?;
        for kind in &self.before.kinds {
            let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
            let Some(mapping) = mapper.of_kind(group, "", name) else {
                let words = format!("could not find mapping for kind in {} annotation", quote(KINDS));
                return Err(Failure::new(format!(
                    "{words}: no matches for kind {} in group {}",
                    quote(name),
                    quote(group)
                )));
            };
            if !mapping.namespaced {
                self.prune_in(apply, &mapping, "").await?;
                continue;
            }
            for namespace in &self.before.namespaces {
                self.prune_in(apply, &mapping, namespace).await?;
            }
        }
        let told = |failure: Failure| {
            Failure::new(format!("apply and prune succeeded, but ApplySet update failed: {}", failure.words()))
        };
        self.write(&apply.writing, &self.now).await.map_err(told)
    }

    async fn prune_in(&self, apply: &mut Apply<'_>, mapping: &Arc<Mapping>, namespace: &str) -> Result {
        let label = format!("{PART_OF}={}", self.set.id());
        super::prune::prune(apply, namespace, mapping, &label, |object| meta::label(object, PART_OF).is_some()).await
    }
}
