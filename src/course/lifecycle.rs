//! Start and reset: an exercise's namespace, switches and starting objects, made and removed.
//!
//! In: a target and an exercise. Starting twice changes nothing that the learner made; cleaning
//! twice is cleaning once. The learner's own kubeconfig is never touched: only the playground's.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::Kubeconfig;

use super::action::Performer;
use super::exercise::{ClusterKind, Exercise, SwitchState};
use super::expression::Expression;
use super::images;
use super::observer::Observer;
use super::target::{Target, refused};
use crate::error::{Error, Result};

/// How long a namespace may take to be ready, or to go; a busy computer takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What [`start`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// The namespace and its objects are new.
    Fresh,
    /// It was started before; what the learner made is as it was.
    Again,
}

/// Makes the exercise's namespace with what is in it at the start, and sets its switches.
///
/// # Errors
/// When the cluster refuses, or the exercise needs a playground and this is none.
pub async fn start(target: &Target, exercise: &Exercise) -> Result<Started> {
    if exercise.cluster == ClusterKind::Playground && !target.is_playground() {
        let why = "it uses a playground's switches or records";
        return Err(Error::new(format!("{} needs a playground", exercise.name), why).hint("tutor serve"));
    }
    needs_runtime(target, exercise).await?;
    if is_there(target, &exercise.namespace).await? {
        set_switches(target, exercise, None).await?;
        return Ok(Started::Again);
    }
    let namespaces: Api<Namespace> = Api::all(target.client().clone());
    let metadata = ObjectMeta { name: Some(exercise.namespace.clone()), ..ObjectMeta::default() };
    let made = namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await;
    made.map_err(|error| refused(format!("namespace {} could not be made", exercise.namespace), error))?;
    let mut observer = Observer::new(target, &exercise.namespace);
    // A Pod made before its namespace has the default ServiceAccount is refused.
    wait(target, &mut observer, r#"find("serviceaccounts", "default").hasValue()"#, "get a default ServiceAccount")
        .await?;
    set_switches(target, exercise, None).await?;
    Performer::new(target, exercise).perform(&mut observer, &exercise.setup).await?;
    Ok(Started::Fresh)
}

/// Removes the exercise's namespace with all that is in it, and lets its loops run again.
///
/// # Errors
/// When the cluster refuses, or the namespace does not go.
pub async fn clean(target: &Target, exercise: &Exercise) -> Result<()> {
    release(target, exercise).await?;
    put_right(target, exercise).await?;
    if !is_there(target, &exercise.namespace).await? {
        return images::forget(target, exercise).await;
    }
    let namespaces: Api<Namespace> = Api::all(target.client().clone());
    match namespaces.delete(&exercise.namespace, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => return Err(refused(format!("namespace {} could not be removed", exercise.namespace), error)),
    }
    // Now that no loop can replace them: nobody waits for their grace.
    let pods: Api<Pod> = Api::namespaced(target.client().clone(), &exercise.namespace);
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    let emptied = pods.delete_collection(&at_once, &ListParams::default()).await;
    match emptied {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(refused(format!("the Pods of {} could not be removed", exercise.namespace), error)),
    }
    // Once more: what holds the namespace back (a finalizer) may be let go only now that it goes.
    put_right(target, exercise).await?;
    let mut observer = Observer::new(target, &exercise.namespace);
    wait(target, &mut observer, r#"!find("namespaces", here).hasValue()"#, "go").await?;
    images::forget(target, exercise).await
}

/// Refuses an exercise that this playground's containers cannot do.
async fn needs_runtime(target: &Target, exercise: &Exercise) -> Result<()> {
    let Some((runtime, reason)) = target.runtime().await? else { return Ok(()) };
    if exercise.runs_on(&runtime) {
        return Ok(());
    }
    let wanted = exercise.runtimes.first().map_or("other", |fit| fit.as_str());
    let what = format!("{} needs {wanted} containers", exercise.name);
    Err(Error::new(what, format!("this playground runs {runtime} ones ({reason})"))
        .hint(format!("stop it with Ctrl-C in its terminal, and start it again: tutor serve --runtime {wanted}"))
        .hint("what this machine can run, and what it lacks: tutor doctor"))
}

/// Lets the loops run again that the exercise has stopped.
///
/// # Errors
/// When the playground cannot be reached.
pub async fn release(target: &Target, exercise: &Exercise) -> Result<()> {
    set_switches(target, exercise, Some(SwitchState::Running)).await
}

/// Undoes what it has made of the playground outside of its namespace, as of nodes.
///
/// # Errors
/// When the cluster refuses.
pub async fn put_right(target: &Target, exercise: &Exercise) -> Result<()> {
    if !target.is_playground() {
        return Ok(());
    }
    let mut observer = Observer::new(target, &exercise.namespace);
    Performer::new(target, exercise).perform(&mut observer, &exercise.cleanup).await
}

/// Makes `namespace` the current one in the playground's own kubeconfig.
///
/// # Errors
/// When the file cannot be read or written; then it is as it was.
pub fn set_current_namespace(kubeconfig: &Path, namespace: &str) -> Result<()> {
    let error = |why: String| Error::new(format!("{} could not be changed", kubeconfig.display()), why);
    let text = std::fs::read_to_string(kubeconfig).map_err(|why| error(why.to_string()))?;
    let mut config: Kubeconfig = serde_saphyr::from_str(&text).map_err(|why| error(why.to_string()))?;
    let current = config.current_context.clone().unwrap_or_default();
    let contexts = config.contexts.iter_mut().filter(|context| context.name == current);
    for context in contexts.filter_map(|named| named.context.as_mut()) {
        context.namespace = Some(namespace.to_owned());
    }
    let text = serde_saphyr::to_string(&config).map_err(|why| error(why.to_string()))?;
    replace(kubeconfig, &text).map_err(|why| error(why.to_string()))
}

/// Replaces a file whole, keeping who may read it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let next = path.with_extension("new");
    std::fs::File::create(&next)?.set_permissions(std::fs::metadata(path)?.permissions())?;
    std::fs::write(&next, text)?;
    std::fs::rename(&next, path)
}

async fn is_there(target: &Target, namespace: &str) -> Result<bool> {
    let answer = target.get(&format!("/api/v1/namespaces/{namespace}")).await?;
    match answer.code {
        404 => Ok(false),
        200 if answer.body.pointer("/metadata/deletionTimestamp").is_some() => {
            let mut observer = Observer::new(target, namespace);
            wait(target, &mut observer, r#"!find("namespaces", here).hasValue()"#, "go").await?;
            Ok(false)
        }
        200 => Ok(true),
        _ => Err(Error::new(format!("namespace {namespace} cannot be looked at"), answer.words())),
    }
}

async fn set_switches(target: &Target, exercise: &Exercise, all: Option<SwitchState>) -> Result<()> {
    for (name, state) in &exercise.switches {
        target.set_switch(name, all.unwrap_or(*state)).await?;
    }
    Ok(())
}

async fn wait(target: &Target, observer: &mut Observer<'_>, source: &str, what: &str) -> Result<()> {
    let namespace = observer.variables.get("here").map(super::explain::show).unwrap_or_default();
    let expression = Expression::compile(source).map_err(|why| Error::new(why, ""))?;
    let waiting = async {
        while !observer.is_true(&expression).await {
            observer.changed().await;
        }
    };
    let waited = target.clock().timeout(PATIENCE, waiting).await;
    waited.map_err(|_| {
        Error::new(format!("namespace {namespace} did not {what}"), format!("waited {} s", PATIENCE.as_secs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_context_gets_the_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\n- name: b\n  context: {cluster: c, user: u}\nclusters: []\nusers: []\n";
        std::fs::write(&path, text).unwrap();
        set_current_namespace(&path, "here").unwrap();
        let config = Kubeconfig::read_from(&path).unwrap();
        let namespaces: Vec<_> =
            config.contexts.iter().map(|c| c.context.as_ref().unwrap().namespace.clone()).collect();
        assert_eq!(namespaces, [Some("here".to_owned()), None]);
    }
}
