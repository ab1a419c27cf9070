//! Shared informers: one list and one watch per kind, kept as a copy that any number of loops read.
//!
//! Comes in: events of kube-runtime's watcher, which lists, watches, resumes, and lists again on
//! 410. Goes out: lookups in the copy, and each change to whoever subscribed, in the order the API
//! server made them. Loops put keys into their queues then, with the revision as the cause. No
//! list is repeated on a timer. Chapter: `book/src/inside/loops.md`.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::follow::follow;
use super::store::{Change, ObjectKey, Objects, Watched};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// The first wait after a failed list or watch; doubles up to [`LONGEST_BACKOFF`]. As client-go's
/// reflector waits.
const FIRST_BACKOFF: Duration = Duration::from_millis(800);
/// The longest wait between tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// What is called with each change.
type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// A live copy of all objects of a kind. Cheap to clone: all clones read the same copy.
pub struct Informer<K>(Arc<Shared<K>>);

struct Shared<K> {
    objects: RwLock<Objects<K>>,
    handlers: Mutex<Vec<Handler<K>>>,
    progress: watch::Sender<Progress>,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    synced: bool,
    changes: u64,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Informer(self.0.clone())
    }
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Informer({:?})", *self.0.progress.borrow())
    }
}

impl<K: Watched> Default for Informer<K> {
    fn default() -> Self {
        Informer(Arc::new(Shared {
            objects: RwLock::default(),
            handlers: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        }))
    }
}

impl<K: Watched + Clone + fmt::Debug> Informer<K> {
    /// Starts to follow all objects of the kind, as `client`'s user, for as long as `tasks` runs.
    pub fn start(client: &kube::Client, clock: Clock, tasks: &TaskGroup) -> Self
    where
        K: DeserializeOwned + kube::Resource<DynamicType = ()>,
    {
        Self::over(follow(client, watcher::Config::default()), clock, tasks)
    }

    /// Starts to follow a stream of watch events, which must go on after an error.
    pub fn over<S>(events: S, clock: Clock, tasks: &TaskGroup) -> Self
    where
        S: Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    {
        let informer = Self::default();
        tasks.spawn("informer", informer.clone().follow(events, clock));
        informer
    }

    /// Calls `handler` with each object there is (as added), then with each change, in order. It
    /// must be quick and must not subscribe to this informer; it may read it.
    pub fn subscribe(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        let mut handlers = self.0.handlers.lock();
        for object in self.all() {
            handler(&Change::Added(object));
        }
        handlers.push(Box::new(handler));
    }

    /// Waits until the copy is complete.
    pub async fn synced(&self) {
        self.wait(|progress| progress.synced).await;
    }

    /// True once the copy is complete.
    pub fn is_synced(&self) -> bool {
        self.0.progress.borrow().synced
    }

    /// Waits until the copy shows `revision` or something newer, so that a loop that wrote an
    /// object reads its own write.
    pub async fn reached(&self, revision: u64) {
        self.wait(|_| self.0.objects.read().newest() >= revision).await;
    }

    /// Waits until the object of this key satisfies `test` (`None`: it is not there).
    pub async fn until(&self, key: &ObjectKey, test: impl Fn(Option<&K>) -> bool) {
        self.wait(|_| test(self.get(key).as_deref())).await;
    }

    /// The object of this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.0.objects.read().get(key)
    }

    /// All objects, ordered by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.0.objects.read().all()
    }

    /// The objects of a namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.0.objects.read().in_namespace(namespace)
    }

    /// The objects that name `uid` among their owners.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.0.objects.read().owned_by(uid)
    }

    /// The objects of a namespace that no controller owns.
    pub fn orphans_in(&self, namespace: &str) -> Vec<Arc<K>> {
        self.0.objects.read().orphans_in(namespace)
    }

    /// The objects on a node.
    pub fn on_node(&self, node: &str) -> Vec<Arc<K>> {
        self.0.objects.read().on_node(node)
    }

    async fn wait(&self, test: impl Fn(&Progress) -> bool) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.0.progress.subscribe().wait_for(|progress| test(progress)).await;
    }

    async fn follow(self, events: impl Stream<Item = watcher::Result<Event<K>>>, clock: Clock) {
        futures::pin_mut!(events);
        let mut backoff = FIRST_BACKOFF;
        let mut listed: Option<Vec<ObjectKey>> = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    backoff = FIRST_BACKOFF;
                    self.take(event, &mut listed);
                }
                Err(failure) => {
                    tracing::debug!(%failure, "informer");
                    clock.sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    /// Takes one event in. `listed` collects the keys of a list that is under way.
    fn take(&self, event: Event<K>, listed: &mut Option<Vec<ObjectKey>>) {
        match event {
            Event::Init => *listed = Some(Vec::new()),
            Event::InitApply(object) => {
                if let Some(keys) = listed {
                    keys.push(ObjectKey::of(object.meta()));
                }
                self.put(object);
            }
            Event::InitDone => {
                self.keep_only(&listed.take().unwrap_or_default());
                self.0.progress.send_modify(|progress| progress.synced = true);
            }
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => self.remove(&ObjectKey::of(object.meta()), Some(object)),
        }
    }

    /// What was deleted while no watch was open is missing from the new list.
    fn keep_only(&self, keys: &[ObjectKey]) {
        let keys: std::collections::HashSet<_> = keys.iter().collect();
        let known = self.0.objects.read().keys();
        for gone in known.iter().filter(|key| !keys.contains(key)) {
            self.remove(gone, None);
        }
    }

    fn put(&self, mut object: K) {
        object.meta_mut().managed_fields = None;
        // A decoded list has room for four items where it holds one; a copy of it has none to spare.
        let fitting = object.clone();
        drop(object);
        let handlers = self.0.handlers.lock();
        let change = self.0.objects.write().put(fitting);
        self.tell(change, &handlers);
    }

    fn remove(&self, key: &ObjectKey, last: Option<K>) {
        let handlers = self.0.handlers.lock();
        let change = self.0.objects.write().remove(key, last);
        self.tell(change, &handlers);
    }

    fn tell(&self, change: Option<Change<K>>, handlers: &[Handler<K>]) {
        let Some(change) = change else { return };
        for handler in handlers {
            handler(&change);
        }
        self.0.progress.send_modify(|progress| progress.changes += 1);
    }
}

/// The informers of one component: each kind is watched once, whoever asks. Cheap to clone.
#[derive(Clone)]
pub struct Informers {
    client: kube::Client,
    clock: Clock,
    tasks: TaskGroup,
    by_type: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
    by_resource: Arc<Mutex<ByResource>>,
}

/// The informers that a write to a resource (by plural name) has to reach.
type ByResource = HashMap<String, Vec<Arc<dyn Settle>>>;

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object is stored with this revision.
    At(u64),
    /// The object with this uid is gone, or on its way out.
    Deleted(String),
}

/// An informer of any kind, as far as waiting for one's own writes goes.
trait Settle: Send + Sync {
    fn shows<'a>(&'a self, key: &'a ObjectKey, written: &'a Written) -> BoxFuture<'a, ()>;
}

impl<K: Watched + Clone + fmt::Debug> Settle for Informer<K> {
    fn shows<'a>(&'a self, key: &'a ObjectKey, written: &'a Written) -> BoxFuture<'a, ()> {
        match written {
            Written::At(revision) => self.reached(*revision).boxed(),
            Written::Deleted(uid) => {
                let leaves = move |object: Option<&K>| {
                    object.is_none_or(|object| {
                        object.meta().uid.as_ref() != Some(uid) || object.meta().deletion_timestamp.is_some()
                    })
                };
                self.until(key, leaves).boxed()
            }
        }
    }
}

impl fmt::Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Informers({})", self.by_type.lock().len())
    }
}

impl Informers {
    /// Informers that read as `client`'s user and stop with `tasks`.
    pub fn new(client: kube::Client, clock: Clock, tasks: &TaskGroup) -> Self {
        Informers { client, clock, tasks: tasks.clone(), by_type: Arc::default(), by_resource: Arc::default() }
    }

    /// The client the informers read with, for a watch that is not shared.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Waits until the informers of `resource` (`plural.group`, `pods.`) show a write, so that the
    /// next look at them does not repeat it. At once where nobody watches the resource.
    pub async fn settled(&self, resource: &str, key: &ObjectKey, written: &Written) {
        let informers = self.by_resource.lock().get(resource).cloned().unwrap_or_default();
        for informer in informers {
            informer.shows(key, written).await;
        }
    }

    /// The informer of this kind over all namespaces, started at the first call.
    pub fn get<K>(&self) -> Informer<K>
    where
        K: Watched + Clone + fmt::Debug + DeserializeOwned,
        K: kube::Resource<DynamicType = ()>,
    {
        let mut by_type = self.by_type.lock();
        let entry = by_type.entry(TypeId::of::<K>()).or_insert_with(|| {
            let informer = Informer::<K>::start(&self.client, self.clock, &self.tasks);
            let resource = format!("{}.{}", K::plural(&()), K::group(&()));
            self.by_resource.lock().entry(resource).or_default().push(Arc::new(informer.clone()));
            Box::new(informer)
        });
        // The map's key is the value's type, so the value is of that type.
        entry.downcast_ref::<Informer<K>>().expect("keyed by its type").clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::views::PodView;
    use kube::api::ObjectMeta;

    fn pod(name: &str, revision: u64, node: &str) -> PodView {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some("default".into()),
            resource_version: Some(revision.to_string()),
            ..Default::default()
        };
        let mut pod = PodView { metadata, ..PodView::default() };
        pod.spec.node_name = Some(node.into());
        pod
    }

    async fn informer(events: Vec<watcher::Result<Event<PodView>>>) -> Informer<PodView> {
        let informer = Informer::default();
        let clock = Clock::virtual_from(jiff::Timestamp::UNIX_EPOCH);
        informer.clone().follow(futures::stream::iter(events), clock).await;
        informer
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_list_drops_what_is_gone() {
        let seen = informer(vec![
            Ok(Event::Init),
            Ok(Event::InitApply(pod("a", 1, "n1"))),
            Ok(Event::InitApply(pod("b", 2, "n1"))),
            Ok(Event::InitDone),
            Err(watcher::Error::NoResourceVersion),
            Ok(Event::Init),
            Ok(Event::InitApply(pod("b", 3, "n2"))),
            Ok(Event::InitDone),
        ])
        .await;
        assert!(seen.is_synced());
        assert_eq!(seen.all().len(), 1);
        assert!(seen.on_node("n1").is_empty());
        assert_eq!(seen.on_node("n2").len(), 1);
        seen.reached(3).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_hears_what_was_there_and_what_comes() {
        let seen = informer(vec![Ok(Event::Apply(pod("a", 1, "n1")))]).await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        seen.subscribe(move |change| {
            let word = match change {
                Change::Added(_) => "added",
                Change::Modified { .. } => "modified",
                Change::Deleted(_) => "deleted",
            };
            notes.lock().push(word);
        });
        for event in
            [Event::Apply(pod("a", 1, "n1")), Event::Apply(pod("a", 2, "n1")), Event::Delete(pod("a", 3, "n1"))]
        {
            seen.take(event, &mut None);
        }
        assert_eq!(*heard.lock(), ["added", "modified", "deleted"]);
    }
}
