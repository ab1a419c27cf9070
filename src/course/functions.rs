//! The functions that read a cluster from CEL.
//!
//! | function | gives |
//! |---|---|
//! | `pod(name)`, `node(name)`, `get(resource, name)`, `get(resource, namespace, name)` | the object; no value while there is none |
//! | `find(resource, name)` | an optional: `.hasValue()`, `.?spec.?nodeName.orValue("")` |
//! | `pods()`, `nodes()`, `list(resource)`; with `"app=web"` only those so labelled | a list of objects |
//! | `events(object)` | the Events about it |
//! | `condition(object, type)` | the status of a condition: `"True"`, `"False"`, `"Unknown"`, `""` |
//! | `owner(object)` | `"ReplicaSet/web-7d"`, or `""` |
//! | `writes(object)` | who wrote it, oldest first: `{who, component, user, verb, revision, fields}` |
//! | `wrote(object, field)` | the last of them that wrote `field`; no value when nobody did |
//! | `decision(pod)` | the scheduler's last record of it |
//! | `logs(pod)`, `logs(pod, container)` | what it printed |
//! | `exec(pod, [words])`, `exec(pod, container, [words])` | what a command prints in its container; no value when it fails |
//! | `answered(path)`, `registryAnswered(path)` | what the API server, or the playground's registry, answers to a GET: `{code, body}` |
//! | `answered(path, user)` | what the API server answers when this user asks |
//! | `may(user, [deeds])` | which of these the user may do: `"list pods"`, `"create pods/exec in default"`, `"delete jobs.batch/night everywhere"` |
//! | `flood()` | the requests of a flood that was begun: `{sent, lost, told}`, told being what the first lost one was told |
//! | `image(name)` | an optional: the image on the playground's machine, `{digest, sizeBytes, addedBytes, layers, config, history}` |
//!
//! A name without a namespace is in the exercise's. Errors are words for a learner.

use std::sync::Arc;

use cel::extractors::Arguments;
use cel::objects::{Key, OptionalValue};
use cel::{Context, ExecutionError, Value as Cel};
use parking_lot::Mutex;

use super::world::{NOT_YET, Question, Source, World};
use crate::api::selector::LabelSelector;

type Found = Result<Cel, String>;
type Function = fn(&mut World, &[Cel]) -> Found;

const FUNCTIONS: &[(&str, Function)] = &[
    ("pod", |world, args| named(world, "pods", args)),
    ("node", |world, args| named(world, "nodes", args)),
    ("pods", |world, args| listed(world, "pods", args)),
    ("nodes", |world, args| listed(world, "nodes", args)),
    ("get", get),
    ("find", find),
    ("list", |world, args| listed(world, &text(args, 0)?, args.get(1..).unwrap_or_default())),
    ("events", events),
    ("condition", condition),
    ("owner", owner),
    ("writes", writes),
    ("wrote", wrote),
    ("decision", decision),
    ("logs", logs),
    ("exec", exec),
    ("image", image),
    ("registryAnswered", |world, args| world.answer(Question::Registry(text(args, 0)?))),
    ("flood", |world, _| world.answer(Question::Flood)),
    ("answered", answered),
    ("may", may),
];

/// Makes the functions callable in `context`, reading from `world`.
pub fn register(context: &mut Context<'_, '_>, world: &Arc<Mutex<World>>) {
    for (name, function) in FUNCTIONS {
        let world = Arc::clone(world);
        let call = move |Arguments(args): Arguments| -> Result<Cel, ExecutionError> {
            function(&mut world.lock(), &args).map_err(|words| ExecutionError::function_error(name, words))
        };
        // The names are not CEL's own, so no overload is in the way.
        context.add_function(name, call).expect("a name of its own");
    }
}

/// A field of an object, by path.
pub fn field<'a>(object: &'a Cel, path: &[&str]) -> Option<&'a Cel> {
    path.iter().try_fold(object, |value, name| match value {
        Cel::Map(map) => map.map.get(&Key::String(Arc::new((*name).to_owned()))),
        _ => None,
    })
}

/// A text field of an object, by path; empty when it is not there.
pub fn text_field<'a>(object: &'a Cel, path: &[&str]) -> &'a str {
    match field(object, path) {
        Some(Cel::String(text)) => text,
        _ => "",
    }
}

fn label<'a>(object: &'a Cel, key: &str) -> Option<&'a str> {
    match field(object, &["metadata", "labels", key]) {
        Some(Cel::String(value)) => Some(value),
        _ => None,
    }
}

fn named(world: &mut World, resource: &str, args: &[Cel]) -> Found {
    let source = Source { resource: resource.to_owned(), namespace: world.namespace.clone() };
    one(world, source, &text(args, 0)?)
}

fn get(world: &mut World, args: &[Cel]) -> Found {
    let resource = text(args, 0)?;
    let (namespace, name) = match args.len() {
        2 => (world.namespace.clone(), text(args, 1)?),
        _ => (text(args, 1)?, text(args, 2)?),
    };
    one(world, Source { resource, namespace }, &name)
}

fn one(world: &mut World, source: Source, name: &str) -> Found {
    let missing = format!("there is no {}/{name} in namespace {}", source.resource, source.namespace);
    world.object(source, name)?.ok_or(missing)
}

fn find(world: &mut World, args: &[Cel]) -> Found {
    let source = Source { resource: text(args, 0)?, namespace: world.namespace.clone() };
    let found = world.object(source, &text(args, 1)?)?;
    let optional = found.map_or_else(OptionalValue::none, OptionalValue::of);
    Ok(Cel::Opaque(Arc::new(optional)))
}

fn listed(world: &mut World, resource: &str, args: &[Cel]) -> Found {
    let source = Source { resource: resource.to_owned(), namespace: world.namespace.clone() };
    let mut objects = world.objects(source)?;
    if !args.is_empty() {
        let selector = LabelSelector::parse(&text(args, 0)?).map_err(|error| error.to_string())?;
        objects.retain(|object| selector.matches_with(|key| label(object, key)));
    }
    Ok(Cel::List(Arc::new(objects)))
}

fn events(world: &mut World, args: &[Cel]) -> Found {
    let uid = text_field(object(args)?, &["metadata", "uid"]).to_owned();
    let source = Source { resource: "events".to_owned(), namespace: world.namespace.clone() };
    let mut events = world.objects(source)?;
    events.retain(|event| text_field(event, &["involvedObject", "uid"]) == uid);
    Ok(Cel::List(Arc::new(events)))
}

fn condition(_: &mut World, args: &[Cel]) -> Found {
    let wanted = text(args, 1)?;
    let Some(Cel::List(conditions)) = field(object(args)?, &["status", "conditions"]) else {
        return Ok(Cel::from(""));
    };
    let found = conditions.iter().find(|condition| text_field(condition, &["type"]) == wanted);
    Ok(Cel::from(found.map_or("", |condition| text_field(condition, &["status"]))))
}

fn owner(_: &mut World, args: &[Cel]) -> Found {
    let Some(Cel::List(owners)) = field(object(args)?, &["metadata", "ownerReferences"]) else {
        return Ok(Cel::from(""));
    };
    let controller = owners.iter().find(|owner| field(owner, &["controller"]) == Some(&Cel::Bool(true)));
    Ok(Cel::from(controller.map_or_else(String::new, |owner| {
        format!("{}/{}", text_field(owner, &["kind"]), text_field(owner, &["name"]))
    })))
}

fn writes(world: &mut World, args: &[Cel]) -> Found {
    let object = object(args)?;
    let kind = text_field(object, &["kind"]);
    let resource = world.plural(text_field(object, &["apiVersion"]), kind).ok_or(NOT_YET)?.to_owned();
    world.answer(Question::Writes {
        resource,
        namespace: text_field(object, &["metadata", "namespace"]).to_owned(),
        name: text_field(object, &["metadata", "name"]).to_owned(),
    })
}

fn wrote(world: &mut World, args: &[Cel]) -> Found {
    let wanted = text(args, 1)?;
    let Cel::List(writes) = writes(world, args)? else {
        return Err("the record of writes is not a list".to_owned());
    };
    let touches = |write: &&Cel| match field(write, &["fields"]) {
        Some(Cel::List(fields)) => {
            fields.iter().any(|field| matches!(field, Cel::String(path) if covers(path, &wanted)))
        }
        _ => false,
    };
    let nobody = || format!("nobody has written {wanted} of {}", text_field(&args[0], &["metadata", "name"]));
    writes.iter().rev().find(touches).cloned().ok_or_else(nobody)
}

/// Whether a write recorded under `path` wrote `wanted`: the same field, one inside it, or (a
/// create is recorded by its top fields) all of what it is inside of.
fn covers(path: &str, wanted: &str) -> bool {
    let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']));
    path == wanted || inside(path, wanted) || inside(wanted, path)
}

fn decision(world: &mut World, args: &[Cel]) -> Found {
    let pod = object(args)?;
    world.answer(Question::Decision {
        namespace: text_field(pod, &["metadata", "namespace"]).to_owned(),
        name: text_field(pod, &["metadata", "name"]).to_owned(),
    })
}

fn logs(world: &mut World, args: &[Cel]) -> Found {
    let pod = object(args)?;
    world.answer(Question::Logs {
        namespace: text_field(pod, &["metadata", "namespace"]).to_owned(),
        pod: text_field(pod, &["metadata", "name"]).to_owned(),
        container: if args.len() > 1 { text(args, 1)? } else { String::new() },
    })
}

fn exec(world: &mut World, args: &[Cel]) -> Found {
    let pod = object(args)?;
    let container = if args.len() > 2 { text(args, 1)? } else { String::new() };
    world.answer(Question::Exec {
        namespace: text_field(pod, &["metadata", "namespace"]).to_owned(),
        pod: text_field(pod, &["metadata", "name"]).to_owned(),
        container,
        words: texts(args)?,
    })
}

fn answered(world: &mut World, args: &[Cel]) -> Found {
    let user = if args.len() > 1 { text(args, 1)? } else { String::new() };
    world.answer(Question::Get { path: text(args, 0)?, user })
}

fn may(world: &mut World, args: &[Cel]) -> Found {
    let namespace = world.namespace.clone();
    world.answer(Question::May { user: text(args, 0)?, namespace, deeds: texts(args)? })
}

fn image(world: &mut World, args: &[Cel]) -> Found {
    let optional = match world.answer(Question::Image(text(args, 0)?))? {
        Cel::Null => OptionalValue::none(),
        image => OptionalValue::of(image),
    };
    Ok(Cel::Opaque(Arc::new(optional)))
}

fn text(args: &[Cel], index: usize) -> Result<String, String> {
    match args.get(index) {
        Some(Cel::String(text)) => Ok(text.to_string()),
        other => Err(format!("argument {} must be a string, not {other:?}", index + 1)),
    }
}

/// The last argument: a list of strings.
fn texts(args: &[Cel]) -> Result<Vec<String>, String> {
    let Some(Cel::List(words)) = args.last() else {
        return Err("the last argument must be a list of strings".to_owned());
    };
    (0..words.len()).map(|at| text(words, at)).collect()
}

fn object(args: &[Cel]) -> Result<&Cel, String> {
    match args.first() {
        Some(object @ Cel::Map(_)) => Ok(object),
        other => Err(format!("argument 1 must be an object, not {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::cel::to_cel;
    use crate::course::expression::{Expression, Variables};
    use crate::course::world::Wanted;

    fn world() -> Arc<Mutex<World>> {
        let mut world = World::new("here");
        let pods = Source { resource: "pods".to_owned(), namespace: "here".to_owned() };
        world.replace(
            &pods,
            "pods",
            [json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "a", "namespace": "here", "uid": "1", "labels": {"app": "web"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": true}]},
                "spec": {"nodeName": "node-1"},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})],
        );
        let question = Question::Writes { resource: "pods".into(), namespace: "here".into(), name: "a".into() };
        let record = json!([{"component": "kubectl", "fields": ["metadata", "spec.nodeName"]}, {"component": "kubelet", "fields": ["status.phase"]}]);
        world.learn(question, Ok(to_cel(&record)));
        Arc::new(Mutex::new(world))
    }

    #[test]
    fn functions_read_the_world() {
        for source in [
            r#"pod("a").spec.nodeName == "node-1""#,
            r#"pods().size() == 1 && pods("app=web").size() == 1 && pods("app=x").size() == 0"#,
            r#"find("pods", "a").hasValue() && !find("pods", "b").hasValue()"#,
            r#"find("pods", "a").?spec.?nodeName.orValue("") == "node-1""#,
            r#"condition(pod("a"), "Ready") == "True" && condition(pod("a"), "Other") == """#,
            r#"owner(pod("a")) == "ReplicaSet/r""#,
            r#"wrote(pod("a"), "spec.nodeName").component == "kubectl""#,
            r#"wrote(pod("a"), "status").component == "kubelet""#,
        ] {
            let value = Expression::compile(source).unwrap().evaluate(&world(), &Variables::new());
            assert_eq!(value, Ok(Cel::Bool(true)), "{source}");
        }
    }

    #[test]
    fn what_is_missing_is_said_or_wanted() {
        let world = world();
        let error = Expression::compile(r#"pod("b").spec"#).unwrap().evaluate(&world, &Variables::new());
        assert_eq!(error, Err("there is no pods/b in namespace here".to_owned()));
        assert!(world.lock().wanted.is_empty());
        let absorbed = Expression::compile(r#"nodes().size() > 0 || true"#).unwrap();
        assert_eq!(absorbed.evaluate(&world, &Variables::new()), Ok(Cel::Bool(true)));
        let nodes = Source { resource: "nodes".to_owned(), namespace: "here".to_owned() };
        assert_eq!(world.lock().wanted.first(), Some(&Wanted::Objects(nodes)));
    }
}
