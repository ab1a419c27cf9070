//! The event recorder: what a component has to say about an object, as `kubectl describe` shows it.
//!
//! Comes in: an object, a reason, a sentence in Kubernetes' words. Goes out: `v1` Events, where the
//! same sentence again raises `count` instead of making another, more than ten different sentences
//! of one reason in ten minutes are combined, and a component that talks without end about one
//! object is cut off (25 at once, then one every five minutes). The rules are client-go's; recording
//! never fails and never delays the work it is about.
//!
//! Limits: 1,024 events wait to be sent, further ones are dropped; 4,096 series are remembered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use tokio::sync::mpsc;

use super::cause::{self, Causes};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// Events that wait to be sent. Source: client-go `tools/record`, maxQueuedEvents (1,000 there).
const QUEUED: usize = 1024;
/// Series remembered. Source: client-go `events_cache.go`, maxLruCacheEntries.
const SERIES: usize = 4096;
/// Different sentences before they are combined. Source: the same, defaultAggregateMaxEvents.
const COMBINE_AFTER: usize = 10;
/// The window of that count. Source: the same, defaultAggregateIntervalInSeconds.
const COMBINE_WINDOW: Duration = Duration::from_secs(600);
/// Events about one object at once. Source: the same, defaultSpamBurst.
const BURST: f64 = 25.0;
/// Seconds for each further one. Source: the same, defaultSpamQPS.
const REFILL_SECONDS: f64 = 300.0;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// For the record.
    Normal,
    /// Something may need attention.
    Warning,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Normal => "Normal",
            Type::Warning => "Warning",
        }
    }
}

/// Something to say.
#[derive(Clone, Debug)]
struct Note {
    about: ObjectReference,
    type_: &'static str,
    reason: String,
    message: String,
    causes: Causes,
}

/// Records events as one component. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder(mpsc::Sender<Note>);

impl Recorder {
    /// A recorder for `component` (`deployment-controller`, `kubelet`); `host` is the node it runs
    /// on, empty for none.
    pub fn new(client: kube::Client, component: &str, host: &str, clock: Clock, tasks: &TaskGroup) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUED);
        let series = Series { component: component.into(), host: host.into(), ..Series::default() };
        tasks.spawn("event recorder", send_all(client, clock, receiver, series));
        Recorder(sender)
    }

    /// Says something about an object. Dropped when 1,024 others wait.
    pub fn record(
        &self,
        about: &ObjectReference,
        type_: Type,
        reason: &str,
        message: impl Into<String>,
        causes: &Causes,
    ) {
        let note = Note {
            about: about.clone(),
            type_: type_.name(),
            reason: reason.into(),
            message: message.into(),
            causes: causes.clone(),
        };
        if self.0.try_send(note).is_err() {
            tracing::debug!(reason, "event dropped");
        }
    }
}

/// What to send for a note.
#[derive(Debug)]
enum Action {
    Create(Box<Event>),
    Count { namespace: String, name: String, count: i32, at: Timestamp, message: String },
    Nothing,
}

async fn send_all(client: kube::Client, clock: Clock, mut notes: mpsc::Receiver<Note>, mut series: Series) {
    while let Some(note) = notes.recv().await {
        let client = cause::with(&client, &note.causes);
        let action = series.take(&note, clock.now());
        let result = match action {
            Action::Nothing => Ok(()),
            Action::Create(event) => create(&client, &event).await,
            Action::Count { namespace, name, count, at, message } => {
                let patch = serde_json::json!({ "count": count, "lastTimestamp": Time(at), "message": message });
                let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
                match events.patch(&name, &PatchParams::default(), &Patch::Strategic(patch)).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => {
                        series.forget(&namespace, &name);
                        match series.take(&note, clock.now()) {
                            Action::Create(event) => create(&client, &event).await,
                            _ => Ok(()),
                        }
                    }
                    other => other.map(drop),
                }
            }
        };
        if let Err(failure) = result {
            tracing::debug!(%failure, "event not recorded");
        }
    }
}

async fn create(client: &kube::Client, event: &Event) -> kube::Result<()> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    Api::<Event>::namespaced(client.clone(), namespace).create(&PostParams::default(), event).await.map(drop)
}

/// What has been said before. Pure: a note and the time in, an action out.
#[derive(Default)]
struct Series {
    component: String,
    host: String,
    known: BTreeMap<String, Known>,
    combined: HashMap<String, Similar>,
    allowance: HashMap<String, (f64, Timestamp)>,
    last_name: i128,
}

struct Known {
    namespace: String,
    name: String,
    count: i32,
    last: Timestamp,
}

#[derive(Default)]
struct Similar {
    messages: std::collections::BTreeSet<String>,
    last: Option<Timestamp>,
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Series({} known)", self.known.len())
    }
}

impl Series {
    fn take(&mut self, note: &Note, now: Timestamp) -> Action {
        self.trim();
        let about = &note.about;
        let object = format!(
            "{}/{}/{}/{}",
            about.kind.as_deref().unwrap_or(""),
            about.namespace.as_deref().unwrap_or(""),
            about.name.as_deref().unwrap_or(""),
            about.uid.as_deref().unwrap_or(""),
        );
        let kind = format!("{object}/{}/{}/{}", about.field_path.as_deref().unwrap_or(""), note.type_, note.reason);
        let (key, message) = self.combine(&kind, &note.message, now);
        if !self.allowed(&object, now) {
            return Action::Nothing;
        }
        if let Some(known) = self.known.get_mut(&key) {
            known.count += 1;
            known.last = now;
            let Known { namespace, name, count, .. } = known;
            return Action::Count { namespace: namespace.clone(), name: name.clone(), count: *count, at: now, message };
        }
        let event = self.event(note, message, now);
        let (namespace, name) = (event.metadata.namespace.clone(), event.metadata.name.clone());
        let known =
            Known { namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default(), count: 1, last: now };
        self.known.insert(key, known);
        Action::Create(Box::new(event))
    }

    /// The series a message belongs to, and how it reads there.
    fn combine(&mut self, kind: &str, message: &str, now: Timestamp) -> (String, String) {
        let similar = self.combined.entry(kind.to_owned()).or_default();
        let window = jiff::SignedDuration::try_from(COMBINE_WINDOW).unwrap_or_default();
        if similar.last.is_some_and(|last| now.duration_since(last) > window) {
            similar.messages.clear();
        }
        similar.last = Some(now);
        similar.messages.insert(message.to_owned());
        if similar.messages.len() < COMBINE_AFTER {
            return (format!("{kind}/{message}"), message.to_owned());
        }
        similar.messages.pop_first();
        (kind.to_owned(), format!("(combined from similar events): {message}"))
    }

    fn allowed(&mut self, object: &str, now: Timestamp) -> bool {
        let (tokens, last) = self.allowance.entry(object.to_owned()).or_insert((BURST, now));
        *tokens = (*tokens + now.duration_since(*last).as_secs_f64() / REFILL_SECONDS).min(BURST);
        *last = now;
        let allowed = *tokens >= 1.0;
        if allowed {
            *tokens -= 1.0;
        }
        allowed
    }

    fn event(&mut self, note: &Note, message: String, now: Timestamp) -> Event {
        let name = note.about.name.as_deref().unwrap_or_default();
        let namespace = note.about.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into());
        // Components that speak of one object in the same (virtual) instant must not share a name.
        let offset = self.component.bytes().fold(0, |sum: i128, byte| (sum * 31 + i128::from(byte)) % 1_000_000);
        self.last_name = (now.as_nanosecond() + offset).max(self.last_name + 1);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", self.last_name)),
                namespace: Some(namespace),
                ..Default::default()
            },
            involved_object: note.about.clone(),
            type_: Some(note.type_.into()),
            reason: Some(note.reason.clone()),
            message: Some(message),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: Some(self.host.clone()).filter(|host| !host.is_empty()),
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.host.clone()),
            ..Default::default()
        }
    }

    fn forget(&mut self, namespace: &str, name: &str) {
        self.known.retain(|_, known| known.namespace != namespace || known.name != name);
    }

    /// Drops the older half when a table is full.
    fn trim(&mut self) {
        if self.known.len() >= SERIES {
            let mut times: Vec<_> = self.known.values().map(|known| known.last).collect();
            times.sort_unstable();
            let middle = times[SERIES / 2];
            self.known.retain(|_, known| known.last > middle);
        }
        if self.combined.len() >= SERIES {
            self.combined.clear();
        }
        if self.allowance.len() >= SERIES {
            self.allowance.retain(|_, (tokens, _)| *tokens < 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        let about = ObjectReference { kind: Some("Pod".into()), name: Some("web".into()), ..Default::default() };
        Note { about, type_: "Normal", reason: "Pulled".into(), message: message.into(), causes: Causes::none() }
    }

    #[test]
    fn the_same_sentence_again_raises_the_count() {
        let mut series = Series { component: "kubelet".into(), ..Series::default() };
        let Action::Create(event) = series.take(&note("x"), Timestamp::UNIX_EPOCH) else { panic!("not created") };
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(event.reporting_component.as_deref(), Some("kubelet"));
        let Action::Count { count, .. } = series.take(&note("x"), Timestamp::UNIX_EPOCH) else { panic!("not counted") };
        assert_eq!(count, 2);
    }

    #[test]
    fn the_tenth_different_sentence_is_combined() {
        let mut series = Series::default();
        for n in 0..9 {
            assert!(matches!(series.take(&note(&n.to_string()), Timestamp::UNIX_EPOCH), Action::Create(_)));
        }
        let Action::Create(event) = series.take(&note("more"), Timestamp::UNIX_EPOCH) else { panic!("not created") };
        assert_eq!(event.message.as_deref(), Some("(combined from similar events): more"));
        assert!(matches!(series.take(&note("again"), Timestamp::UNIX_EPOCH), Action::Count { count: 2, .. }));
    }

    #[test]
    fn endless_talk_is_cut_off_and_allowed_again_later() {
        let mut series = Series::default();
        for _ in 0..25 {
            assert!(!matches!(series.take(&note("x"), Timestamp::UNIX_EPOCH), Action::Nothing));
        }
        assert!(matches!(series.take(&note("x"), Timestamp::UNIX_EPOCH), Action::Nothing));
        let later = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(300);
        assert!(matches!(series.take(&note("x"), later), Action::Count { .. }));
    }
}
