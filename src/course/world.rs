//! What an expression sees of a cluster: objects held by kind, and answers to questions.
//!
//! CEL functions cannot wait, so they read from here. What they do not find they note in
//! [`World::wanted`]; the observer fetches it and evaluates again. Nothing here does input or
//! output.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cel::Value as Cel;
use serde_json::Value;

use crate::api::cel::to_cel;

/// The objects of one resource in one namespace. A cluster-scoped resource has its objects under
/// whichever namespace asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// As it was asked for: `pods`, `deployments`, `leases.coordination.k8s.io`.
    pub resource: String,
    /// The namespace.
    pub namespace: String,
}

/// A question that no watch answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Who wrote an object, oldest first (the playground's journal).
    Writes {
        /// Plural, as in paths.
        resource: String,
        /// Empty for a cluster-scoped object.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// The scheduler's last record of a Pod.
    Decision {
        /// The Pod's namespace.
        namespace: String,
        /// The Pod's name.
        name: String,
    },
    /// What a container printed.
    Logs {
        /// The Pod's namespace.
        namespace: String,
        /// The Pod's name.
        pod: String,
        /// The container; the only one, when empty.
        container: String,
    },
    /// What a command prints in a container.
    Exec {
        /// The Pod's namespace.
        namespace: String,
        /// The Pod's name.
        pod: String,
        /// The container; the only one, when empty.
        container: String,
        /// The command.
        words: Vec<String>,
    },
    /// How the flood of requests goes.
    Flood,
    /// What the API server answers to a GET: `{"code": 200, "body": …}`.
    Get {
        /// The path, with its query.
        path: String,
        /// As whom; empty: as who checks.
        user: String,
    },
    /// Which of these deeds a user may do.
    May {
        /// The user's name.
        user: String,
        /// Where a deed is meant that names no place.
        namespace: String,
        /// As `list pods`; the form is in `rights.rs`.
        deeds: Vec<String>,
    },
    /// What the playground's registry answers to a GET, in the same form.
    Registry(String),
    /// An image on the playground's machine; null when there is none of that name.
    Image(String),
}

/// What was missing in an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Objects to list and watch.
    Objects(Source),
    /// A question to ask.
    Answer(Question),
}

/// Everything known of the cluster now.
#[derive(Debug, Default)]
pub struct World {
    /// The namespace of the exercise: names without one are in it.
    pub namespace: String,
    /// What the last evaluation needed and did not find.
    pub wanted: BTreeSet<Wanted>,
    tables: BTreeMap<Source, Objects>,
    answers: BTreeMap<Question, Result<Cel, String>>,
    plurals: HashMap<(String, String), String>,
}

type Objects = BTreeMap<(String, String), Cel>;

/// Said by a function that found nothing yet; the evaluation is repeated, so nobody reads it.
pub const NOT_YET: &str = "not fetched yet";

impl World {
    /// A world in which nothing is known.
    pub fn new(namespace: &str) -> Self {
        World { namespace: namespace.to_owned(), ..World::default() }
    }

    /// The objects of `source`, by namespace and name.
    ///
    /// # Errors
    /// When they are not here yet; that is noted.
    pub fn objects(&mut self, source: Source) -> Result<Vec<Cel>, String> {
        match self.tables.get(&source) {
            Some(table) => Ok(table.values().cloned().collect()),
            None => self.want(Wanted::Objects(source)),
        }
    }

    /// One object by name; `None` when there is none.
    ///
    /// # Errors
    /// When its kind is not here yet; that is noted.
    pub fn object(&mut self, source: Source, name: &str) -> Result<Option<Cel>, String> {
        match self.tables.get(&source) {
            Some(table) => {
                let own = table.get(&(source.namespace.clone(), name.to_owned()));
                Ok(own.or_else(|| table.get(&(String::new(), name.to_owned()))).cloned())
            }
            None => self.want(Wanted::Objects(source)),
        }
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// When it was not asked yet (that is noted), or what the answer was instead.
    pub fn answer(&mut self, question: Question) -> Result<Cel, String> {
        match self.answers.get(&question) {
            Some(answer) => answer.clone(),
            None => self.want(Wanted::Answer(question)),
        }
    }

    /// The resource (plural) of an object's kind, once one of them was held.
    pub fn plural(&self, api_version: &str, kind: &str) -> Option<&str> {
        self.plurals.get(&(api_version.to_owned(), kind.to_owned())).map(String::as_str)
    }

    /// Replaces what is held of `source`.
    pub fn replace(&mut self, source: &Source, plural: &str, objects: impl IntoIterator<Item = Value>) {
        self.tables.insert(source.clone(), Objects::new());
        for object in objects {
            self.put(source, plural, &object);
        }
    }

    /// Holds one object, new or changed.
    pub fn put(&mut self, source: &Source, plural: &str, object: &Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.plurals.insert((text("/apiVersion"), text("/kind")), plural.to_owned());
        let key = (text("/metadata/namespace"), text("/metadata/name"));
        self.tables.entry(source.clone()).or_default().insert(key, to_cel(object));
    }

    /// Forgets one object.
    pub fn remove(&mut self, source: &Source, namespace: &str, name: &str) {
        if let Some(table) = self.tables.get_mut(source) {
            table.remove(&(namespace.to_owned(), name.to_owned()));
        }
    }

    /// Keeps the answer to a question, until the next [`World::forget_answers`].
    pub fn learn(&mut self, question: Question, answer: Result<Cel, String>) {
        self.answers.insert(question, answer);
    }

    /// Forgets answers, which nothing keeps fresh. Returns whether there were any.
    pub fn forget_answers(&mut self) -> bool {
        !std::mem::take(&mut self.answers).is_empty()
    }

    /// Whether objects of `source` are held.
    pub fn holds(&self, source: &Source) -> bool {
        self.tables.contains_key(source)
    }

    fn want<T>(&mut self, wanted: Wanted) -> Result<T, String> {
        self.wanted.insert(wanted);
        Err(NOT_YET.to_owned())
    }
}
