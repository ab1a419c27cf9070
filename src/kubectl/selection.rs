//! Which objects a command is about: `TYPE NAME`, `TYPE/NAME`, `TYPE1,TYPE2`, `-l`, `-f`, `-A`.
//!
//! In: the arguments and flags that most commands share. Out: objects, each with its resource. The order
//! and the words about wrong arguments are kubectl's.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::command::Invocation;
use super::connect::Cluster;
use super::failure::{Failure, Result, quote};
use super::http::Call;
use super::manifests::{self, Sources};
use super::mapping::Mapping;
use crate::api::meta;
use crate::api::schema::Schema;
use crate::api::selector::LabelSelector;

mod words;

pub use words::{ONLY_FILES, no_resource};
use words::{several_types, split_tuple, split_types};

pub use super::shared_flags::{ALL, ALL_NAMESPACES, CHUNKS, FIELDS, FILE, FILES, FOLDERS, LABELS};
pub use super::watch::events as watch;

/// An object that was selected.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its resource.
    pub mapping: Arc<Mapping>,
    /// Its namespace; empty for a cluster-wide one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The object (or the Table) that was read; `Null` when nothing was asked for.
    pub object: Value,
    /// The file it came from; empty when it came from the cluster.
    pub source: String,
}

impl Info {
    /// The object's path.
    pub fn path(&self) -> String {
        self.mapping.path(&self.namespace, Some(&self.name), "")
    }

    /// The path of one of its subresources.
    pub fn subpath(&self, subresource: &str) -> String {
        self.mapping.path(&self.namespace, Some(&self.name), subresource)
    }

    /// `deployment.apps/web`
    pub fn shown(&self) -> String {
        format!("{}/{}", self.mapping.shown(), self.name)
    }
}

/// What was selected.
#[derive(Debug, Default)]
pub struct Found {
    /// The objects.
    pub infos: Vec<Info>,
    /// What could not be had.
    pub failures: Vec<Failure>,
    /// Whether the words named one object.
    pub single: bool,
}

impl Found {
    /// The objects, or the first failure.
    ///
    /// # Errors
    /// When anything failed.
    pub fn all(self) -> Result<Vec<Info>> {
        Failure::of(self.failures)?;
        Ok(self.infos)
    }
}

/// How objects are selected. Made by [`Selection::of`], changed by its fields.
pub struct Selection<'a> {
    call: &'a Invocation,
    arguments: &'a [String],
    /// Label selector; `None` when there is none to apply.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
    /// `--all`
    pub all: bool,
    /// A type alone means all of it.
    pub type_means_all: bool,
    /// `-A`
    pub all_namespaces: bool,
    /// Objects from files are read again from the cluster.
    pub latest: bool,
    /// One failure does not end it.
    pub go_on: bool,
    /// Named objects are fetched; when false, only their names are known.
    pub fetch: bool,
    /// The subresource to read.
    pub subresource: String,
    /// The form to ask for.
    pub accept: &'static str,
    /// Extra query of each read: `includeObject`.
    pub query: Vec<(&'static str, &'static str)>,
    /// Pieces of lists.
    pub chunk: i64,
    /// More than one type is refused.
    pub one_type: bool,
    /// Lists are taken apart.
    pub flatten: bool,
    /// The cluster is not asked about objects from files.
    pub local: bool,
    /// Objects from files are read into Go types: of other kinds there can be none.
    pub typed: bool,
}

/// A place where objects come from.
#[derive(Debug)]
enum Source {
    List { mapping: Arc<Mapping>, namespace: String },
    Named { mapping: Arc<Mapping>, namespace: String, name: String },
    Document(manifests::Manifest),
    Failed(Failure),
}

impl<'a> Selection<'a> {
    /// What the arguments and flags of a call select.
    pub fn of(call: &'a Invocation) -> Selection<'a> {
        Selection::with(call, call.arguments())
    }

    /// The same, with other arguments.
    pub fn with(call: &'a Invocation, arguments: &'a [String]) -> Selection<'a> {
        let text = |flag: &str| Some(call.flags.text(flag).to_owned()).filter(|text| !text.is_empty());
        Selection {
            call,
            arguments,
            labels: text("selector"),
            fields: text("field-selector"),
            all: call.flags.is("all"),
            type_means_all: false,
            all_namespaces: call.flags.is("all-namespaces"),
            latest: false,
            go_on: true,
            fetch: true,
            subresource: call.flags.text("subresource").to_owned(),
            accept: "application/json",
            query: Vec::new(),
            chunk: 500,
            one_type: false,
            flatten: true,
            local: call.flags.is("local"),
            typed: false,
        }
    }

    /// What `-f`, `-k` and `-R` say.
    pub fn files(&self) -> Sources<'a> {
        Sources {
            files: self.call.flags.all("filename"),
            kustomize: self.call.flags.text("kustomize"),
            recursive: self.call.flags.is("recursive"),
            validated: !matches!(self.call.flags.text("validate"), "" | "false" | "ignore"),
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When the words are wrong: nothing was read then.
    pub async fn read(&self) -> Result<Found> {
        let cluster = if self.local { None } else { Some(self.call.cluster().await?) };
        let (sources, single) = self.sources(cluster).await?;
        let mut found = Found { single, ..Found::default() };
        for source in sources {
            match self.load(cluster, source).await {
                Ok(infos) => found.infos.extend(infos),
                Err(failure) => {
                    found.failures.push(failure);
                    if !self.go_on {
                        break;
                    }
                }
            }
        }
        if let (Some(labels), false) = (&self.labels, self.files().is_empty()) {
            let selector = LabelSelector::parse(labels)
                .map_err(|why| Failure::new(format!("the provided selector {} is not valid: {why}", quote(labels))))?;
            found.infos.retain(|info| selector.matches_object(&info.object));
        }
        Ok(found)
    }

    async fn sources(&self, cluster: Option<&Cluster>) -> Result<(Vec<Source>, bool)> {
        let files = self.files();
        let (types, tuples, names) = self.words(cluster).await?;
        if self.all && (self.labels.is_some() || self.fields.is_some()) {
            return Err(Failure::new("setting 'all' parameter but found a non empty selector. "));
        }
        if !files.is_empty() {
            manifests::check(self.call.session.files.as_ref(), &files)?;
            let wrong = match () {
                () if !types.is_empty() && names.is_empty() => {
                    "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well"
                }
                () if !names.is_empty() => {
                    "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well"
                }
                () if !tuples.is_empty() => "resource/name arguments cannot be provided when a path is specified",
                () => "",
            };
            if !wrong.is_empty() {
                return Err(Failure::new(wrong));
            }
            let single = files.is_single(self.call.session.files.as_ref());
            let read = manifests::read(&self.call.session, &files).await?;
            let source = |one: Result<manifests::Manifest>| match one {
                Ok(manifest) => Source::Document(manifest),
                Err(failure) => Source::Failed(failure),
            };
            return Ok((read.into_iter().map(source).collect(), single));
        }
        let everything = self.all || (self.type_means_all && !types.is_empty() && names.is_empty());
        let Some(cluster) = cluster else { return Err(no_resource()) };
        if self.labels.is_some() || self.fields.is_some() || everything {
            return self.by_selector(cluster, &types, &tuples, &names).await.map(|sources| (sources, false));
        }
        if !tuples.is_empty() {
            let single = tuples.len() == 1;
            return self.by_tuple(cluster, tuples).await.map(|sources| (sources, single));
        }
        if !names.is_empty() {
            let single = names.len() == 1;
            let mappings = self.mappings(cluster, &types).await?;
            let [mapping] = mappings.as_slice() else { return Err(Failure::new("you must specify only one resource")) };
            let namespace = self.namespace_of(cluster, mapping)?;
            let named = |name: &String| Source::Named {
                mapping: mapping.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
            return Ok((names.iter().map(named).collect(), single));
        }
        if types.is_empty() {
            return Err(no_resource());
        }
        self.mappings(cluster, &types).await?;
        Err(Failure::new("resource(s) were provided, but no name was specified"))
    }

    /// The arguments as types, `type/name` pairs, and names.
    async fn words(&self, cluster: Option<&Cluster>) -> Result<(Vec<String>, Vec<(String, String)>, Vec<String>)> {
        let mut words = self.arguments.to_vec();
        if let [first, rest @ ..] = words.as_slice() {
            let types = split_types(first);
            if types.len() > 1 && !rest.is_empty() {
                words = types.iter().flat_map(|kind| rest.iter().map(move |name| format!("{kind}/{name}"))).collect();
            }
        }
        let slashes = words.iter().filter(|word| word.contains('/')).count();
        if slashes > 0 {
            if slashes != words.len() {
                let program = &self.call.session.environment.program;
                return Err(Failure::new(format!(
                    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. '{program} get resource/<resource_name>' instead of '{program} get resource resource/<resource_name>'"
                )));
            }
            let tuples = words.iter().map(|word| split_tuple(word)).collect::<Result<Vec<_>>>()?;
            return Ok((Vec::new(), tuples, Vec::new()));
        }
        let Some((first, names)) = words.split_first() else { return Ok(Default::default()) };
        let mut types = Vec::new();
        for word in first.split(',') {
            let category = match cluster {
                Some(cluster) => cluster.mapper().await?.category(word),
                None => None,
            };
            match category {
                Some(mappings) => types.extend(mappings.iter().map(|mapping| mapping.group_resource())),
                None => types.push(word.to_owned()),
            }
        }
        let mut seen = BTreeSet::new();
        types.retain(|word| seen.insert(word.clone()));
        Ok((types, Vec::new(), names.to_vec()))
    }

    async fn by_selector(
        &self,
        cluster: &Cluster,
        types: &[String],
        tuples: &[(String, String)],
        names: &[String],
    ) -> Result<Vec<Source>> {
        let wrong = match () {
            () if !names.is_empty() => "name cannot be provided when a selector is specified",
            () if !tuples.is_empty() => {
                "selectors and the all flag cannot be used when passing resource/name arguments"
            }
            () if types.is_empty() => "at least one resource must be specified to use a selector",
            () if !self.subresource.is_empty() => "subresource cannot be used when bulk resources are specified",
            () => "",
        };
        if !wrong.is_empty() {
            return Err(Failure::new(wrong));
        }
        let mappings = self.mappings(cluster, types).await?;
        let namespace = if self.all_namespaces { "" } else { &cluster.namespace };
        let list = |mapping: Arc<Mapping>| {
            let namespace = if mapping.namespaced { namespace.to_owned() } else { String::new() };
            Source::List { mapping, namespace }
        };
        Ok(mappings.into_iter().map(list).collect())
    }

    async fn by_tuple(&self, cluster: &Cluster, tuples: Vec<(String, String)>) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        let mut kinds = BTreeSet::new();
        for (kind, name) in tuples {
            let mapping = named(cluster, &kind).await?;
            kinds.insert(mapping.group_resource());
            let namespace = self.namespace_of(cluster, &mapping)?;
            sources.push(Source::Named { mapping, namespace, name });
        }
        if kinds.len() > 1 && self.one_type {
            return Err(several_types());
        }
        Ok(sources)
    }

    async fn mappings(&self, cluster: &Cluster, types: &[String]) -> Result<Vec<Arc<Mapping>>> {
        if types.len() > 1 && self.one_type {
            return Err(several_types());
        }
        let mut mappings: Vec<Arc<Mapping>> = Vec::new();
        for word in types {
            let mapping = named(cluster, word).await?;
            if !mappings.iter().any(|known| known == &mapping) {
                mappings.push(mapping);
            }
        }
        Ok(mappings)
    }

    fn namespace_of(&self, cluster: &Cluster, mapping: &Mapping) -> Result<String> {
        match () {
            () if !mapping.namespaced => Ok(String::new()),
            () if self.all_namespaces => {
                Err(Failure::new("a resource cannot be retrieved by name across all namespaces"))
            }
            () => Ok(cluster.namespace.clone()),
        }
    }

    async fn load(&self, cluster: Option<&Cluster>, source: Source) -> Result<Vec<Info>> {
        match (source, cluster) {
            (Source::Failed(failure), _) => Err(failure),
            (Source::Document(manifest), cluster) => self.document(cluster, manifest).await,
            (Source::Named { mapping, namespace, name }, Some(cluster)) => {
                let mut info = Info { mapping, namespace, name, object: Value::Null, source: String::new() };
                if self.fetch {
                    info.object = cluster.api.json_of(self.get(&info), &info.namespace).await?;
                }
                Ok(vec![info])
            }
            (Source::List { mapping, namespace }, Some(cluster)) => self.list(cluster, mapping, namespace).await,
            (_, None) => Err(no_resource()),
        }
    }

    fn get(&self, info: &Info) -> Call {
        let call = Call::get(info.subpath(&self.subresource)).accept(self.accept);
        self.query.iter().fold(call, |call, (name, value)| call.query(name, value))
    }

    async fn list(&self, cluster: &Cluster, mapping: Arc<Mapping>, namespace: String) -> Result<Vec<Info>> {
        let mut infos = Vec::new();
        let mut continues = String::new();
        loop {
            let call = Call::get(mapping.path(&namespace, None, ""))
                .accept(self.accept)
                .query("labelSelector", self.labels.as_deref().unwrap_or_default())
                .query("fieldSelector", self.fields.as_deref().unwrap_or_default())
                .query("continue", &continues);
            let call = if self.chunk > 0 { call.query("limit", self.chunk) } else { call };
            let call = self.query.iter().fold(call, |call, (name, value)| call.query(name, value));
            let (labels, fields) = (self.labels.as_deref(), self.fields.as_deref());
            let told = |failure: Failure| failure.not_listed(&mapping.group_version_resource(), labels, fields);
            let list = cluster.api.json(call).await.map_err(told)?;
            let next = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
            next.clone_into(&mut continues);
            infos.extend(self.items(&mapping, &namespace, list));
            if continues.is_empty() {
                return Ok(infos);
            }
        }
    }

    /// The objects of a list, or the list (or Table) as it is.
    fn items(&self, mapping: &Arc<Mapping>, namespace: &str, list: Value) -> Vec<Info> {
        let whole = |object: Value| Info {
            mapping: mapping.clone(),
            namespace: namespace.to_owned(),
            name: String::new(),
            object,
            source: String::new(),
        };
        if !self.flatten || list.get("items").is_none() {
            return vec![whole(list)];
        }
        let Value::Object(mut list) = list else { return Vec::new() };
        let kind = list.get("kind").and_then(Value::as_str).unwrap_or_default().trim_end_matches("List").to_owned();
        let api_version = list.get("apiVersion").cloned().unwrap_or_default();
        let Some(Value::Array(items)) = list.remove("items") else { return Vec::new() };
        let info = |mut object: Value| {
            if let Value::Object(map) = &mut object {
                map.entry("apiVersion").or_insert_with(|| api_version.clone());
                map.entry("kind").or_insert_with(|| Value::from(kind.clone()));
            }
            let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            Info { mapping: mapping.clone(), namespace, name, object, source: String::new() }
        };
        items.into_iter().map(info).collect()
    }

    async fn document(&self, cluster: Option<&Cluster>, manifest: manifests::Manifest) -> Result<Vec<Info>> {
        let manifests::Manifest { mut object, source } = manifest;
        let (group, version) = meta::group_version(&object);
        if self.typed && Schema::of_kind(group, version, meta::kind(&object)).is_none() {
            let kind = quote(meta::kind(&object));
            let version = quote(meta::text(&object, &["apiVersion"]));
            return Err(Failure::new(format!(
                "unable to decode {}: no kind {kind} is registered for version {version} in scheme \"pkg/runtime/scheme.go:111\"",
                quote(&source)
            )));
        }
        let Some(cluster) = cluster else { return Ok(vec![local_info(object, source)]) };
        let mapping = cluster
            .mapper()
            .await?
            .of_object(&object)
            .map_err(|failure| Failure::new(failure.words().replace("\"SOURCE\"", &quote(&source))))?;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (own, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let namespace = match (mapping.namespaced, own.is_empty()) {
            (false, _) => String::new(),
            (true, true) => cluster.namespace.clone(),
            (true, false) if cluster.namespace_enforced && own != cluster.namespace => {
                return Err(Failure::new(format!(
                    "the namespace from the provided object {} does not match the namespace {}. You must pass '--namespace={own}' to perform this operation.",
                    quote(&own),
                    quote(&cluster.namespace),
                )));
            }
            (true, false) => own.clone(),
        };
        if mapping.namespaced && own.is_empty() {
            crate::api::meta::set_text(&mut object, "namespace", &namespace);
        }
        let mut info = Info { mapping, namespace, name, object, source };
        if self.latest {
            info.object = cluster.api.json(self.get(&info)).await?;
        }
        Ok(vec![info])
    }
}

/// The resource of a word. Where there is none, what is known of the cluster is forgotten, and asked for anew.
async fn named(cluster: &Cluster, word: &str) -> Result<Arc<Mapping>> {
    let mapper = cluster.mapper().await?;
    let found = mapper.named(word);
    match &found {
        Err(_) => cluster.api.log_forgotten(),
        Ok(found) => {
            for other in mapper.also_short(word, found) {
                let what = other.group_resource();
                let words = format!("short name {} could also match lower priority resource {what}", quote(word));
                cluster.api.warn_of(&words);
            }
        }
    }
    found
}

/// An object whose resource nobody was asked about.
fn local_info(object: Value, source: String) -> Info {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let mapping = Mapping { namespaced: true, ..Mapping::of_kind_only(group, version, &kind) };
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    Info { mapping: Arc::new(mapping), namespace, name, object, source }
}
