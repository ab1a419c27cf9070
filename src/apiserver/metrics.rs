//! `/metrics`: what the server did, counted, in Prometheus' text form.
//!
//! In: each request as it ends. Out: the families that dashboards of Kubernetes ask for, under Kubernetes' names
//! and labels. A number that this server does not have is not written: there is no gauge of goroutines here, and
//! no queue of its own (the loops run elsewhere in the process). Source: `k8s.io/apiserver/pkg/endpoints/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::engine::Engine;
use super::health::Found;
use super::request::RequestInfo;

/// The form's media type.
pub const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Upper bounds of a request's duration, in milliseconds. Source: metrics.go, `requestLatencies`.
const BOUNDS_MS: [u64; 23] = [
    5, 25, 50, 100, 200, 400, 600, 800, 1_000, 1_250, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 15_000,
    20_000, 30_000, 45_000, 60_000,
];
/// Kinds of requests that are told apart: past this, clients with made-up paths would fill the memory.
const MAX_SERIES: usize = 4_000;

/// What one series is about: what all requests of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    group: Arc<str>,
    version: Arc<str>,
    resource: Arc<str>,
    subresource: Arc<str>,
    scope: &'static str,
    verb: &'static str,
    dry_run: &'static str,
}

#[derive(Default)]
struct Series {
    /// Answers by code.
    codes: BTreeMap<u16, u64>,
    /// Answers by the first bound that they were within; the last: none.
    within: [u64; BOUNDS_MS.len() + 1],
    total: Duration,
}

/// Everything counted since the start.
#[derive(Default)]
pub struct Metrics {
    series: Mutex<BTreeMap<Labels, Series>>,
    /// Requests being served that read, and that write.
    in_flight: [AtomicI64; 2],
}

/// One request on its way.
pub struct Serving {
    metrics: Arc<Metrics>,
    labels: Labels,
    /// Its place among those in flight; a request that may last is not among them.
    place: Option<usize>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.metrics.in_flight[place].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Serving {
    /// It was answered.
    pub fn answered(self, code: u16, took: Duration) {
        let mut series = self.metrics.series.lock();
        if series.len() >= MAX_SERIES && !series.contains_key(&self.labels) {
            return;
        }
        let one = series.entry(self.labels.clone()).or_default();
        *one.codes.entry(code).or_default() += 1;
        let place = BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        one.within[place.unwrap_or(BOUNDS_MS.len())] += 1;
        one.total += took;
    }
}

/// What of a request is not in its path.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// It is a server-side apply.
    pub applies: bool,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// It may last as long as it likes.
    pub lasts: bool,
}

impl Metrics {
    /// A request comes.
    pub fn serving(self: &Arc<Self>, info: &RequestInfo, manner: Manner) -> Serving {
        let writes = !matches!(info.verb, "get" | "list" | "watch");
        let place = (!manner.lasts).then_some(usize::from(writes));
        if let Some(place) = place {
            self.in_flight[place].fetch_add(1, Ordering::Relaxed);
        }
        Serving { metrics: self.clone(), labels: labels(info, manner), place }
    }

    /// Begins again: `DELETE /metrics`.
    pub fn reset(&self) {
        self.series.lock().clear();
    }

    /// The text of everything.
    pub fn text(&self, engine: &Engine) -> String {
        let mut page = Page::default();
        self.requests(&mut page);
        page.family("apiserver_current_inflight_requests", "gauge", "Requests that are being served.");
        for (kind, count) in ["readOnly", "mutating"].into_iter().zip(&self.in_flight) {
            let count = count.load(Ordering::Relaxed);
            page.line("apiserver_current_inflight_requests", &[("request_kind", kind)], count);
        }
        objects(engine, &mut page);
        process(&mut page);
        page.text
    }

    fn requests(&self, page: &mut Page) {
        let series = self.series.lock();
        const TOTAL: &str = "apiserver_request_total";
        page.family(TOTAL, "counter", "Requests answered, by what they asked for and the code of the answer.");
        for (labels, one) in series.iter() {
            for (code, count) in &one.codes {
                let code = code.to_string();
                page.line(TOTAL, &labels.pairs(&[("code", &code)]), count);
            }
        }
        const SECONDS: &str = "apiserver_request_duration_seconds";
        page.family(SECONDS, "histogram", "Time from a request to its answer, in seconds.");
        for (labels, one) in series.iter().filter(|(labels, _)| labels.verb != "WATCH" && labels.verb != "CONNECT") {
            let mut sum = 0;
            for (place, count) in one.within.iter().enumerate() {
                sum += count;
                let bound = BOUNDS_MS.get(place).map_or("+Inf".to_string(), |ms| (*ms as f64 / 1_000.0).to_string());
                page.line(&format!("{SECONDS}_bucket"), &labels.pairs(&[("le", &bound)]), sum);
            }
            page.line(&format!("{SECONDS}_sum"), &labels.pairs(&[]), one.total.as_secs_f64());
            page.line(&format!("{SECONDS}_count"), &labels.pairs(&[]), sum);
        }
    }
}

impl Labels {
    /// Names and values in the order of the names, with one more.
    fn pairs<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let component = if self.resource.is_empty() { "" } else { "apiserver" };
        let mut pairs = vec![
            ("component", component),
            ("dry_run", self.dry_run),
            ("group", &*self.group),
            ("resource", &*self.resource),
            ("scope", self.scope),
            ("subresource", &*self.subresource),
            ("verb", self.verb),
            ("version", &*self.version),
        ];
        let at = if more.first().is_some_and(|(name, _)| *name == "code") { 0 } else { pairs.len() };
        pairs.splice(at..at, more.iter().copied());
        pairs
    }
}

fn labels(info: &RequestInfo, manner: Manner) -> Labels {
    let scope = match (info.is_resource, info.name.is_empty(), info.namespace.is_empty()) {
        (false, ..) => "",
        (true, false, _) => "resource",
        (true, true, false) => "namespace",
        (true, true, true) => "cluster",
    };
    let verb = match (info.verb, &*info.subresource) {
        (_, "exec" | "attach" | "portforward" | "proxy" | "log") => "CONNECT",
        ("get", _) => "GET",
        ("list", _) => "LIST",
        ("watch", _) => "WATCH",
        ("create" | "post", _) => "POST",
        ("update" | "put", _) => "PUT",
        ("patch", _) if manner.applies => "APPLY",
        ("patch", _) => "PATCH",
        ("delete", _) => "DELETE",
        ("deletecollection", _) => "DELETECOLLECTION",
        _ => "other",
    };
    // Of other paths the first step says which it is.
    let path = || info.path.split('/').nth(1).map(|step| format!("/{step}")).unwrap_or_default();
    let subresource = if info.is_resource { info.subresource.clone() } else { path() };
    Labels {
        group: info.group.as_str().into(),
        version: info.version.as_str().into(),
        resource: info.resource.as_str().into(),
        subresource: subresource.into(),
        scope,
        verb,
        dry_run: if manner.dry_run { "All" } else { "" },
    }
}

/// What the watch caches hold, and how far they and the store are.
fn objects(engine: &Engine, page: &mut Page) {
    let served = engine.catalog.now();
    let mut stored: BTreeMap<(&str, &str), (usize, i64)> = BTreeMap::new();
    for resource in served.all() {
        if let Some(cache) = engine.cache(resource) {
            stored.insert((&resource.group, &resource.plural), (cache.len(), cache.revision()));
        }
    }
    const COUNT: &str = "apiserver_resource_objects";
    page.family(COUNT, "gauge", "Objects that are stored.");
    for ((group, resource), (count, _)) in &stored {
        page.line(COUNT, &[("group", group), ("resource", resource)], count);
    }
    const REVISION: &str = "apiserver_watch_cache_resource_version";
    page.family(REVISION, "gauge", "The revision of the last change that a watch cache has seen.");
    for ((group, resource), (_, revision)) in &stored {
        page.line(REVISION, &[("group", group), ("resource", resource)], revision);
    }
    page.family("etcd_revision", "gauge", "The store's revision.");
    page.line("etcd_revision", &[], engine.storage.revision());
}

/// What the kernel says of this process, where it says it as Linux does.
fn process(page: &mut Page) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let pages = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = pages.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    if let Some(kilobytes) = kilobytes {
        page.family("process_resident_memory_bytes", "gauge", "Memory that the process holds.");
        page.line("process_resident_memory_bytes", &[], kilobytes * 1024);
    }
}

/// `/metrics/slis`: each check of the server's health.
pub fn slis(found: Found) -> String {
    const NAME: &str = "kubernetes_healthcheck";
    let mut page = Page::default();
    page.family(NAME, "gauge", "1 for a check that holds, 0 for one that does not.");
    let mut checks: Vec<_> = found.all().collect();
    checks.sort_unstable();
    for (check, kind, holds) in checks {
        page.line(NAME, &[("name", check), ("type", kind)], u8::from(holds));
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // A text takes every line.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let list: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let list = if list.is_empty() { String::new() } else { format!("{{{}}}", list.join(",")) };
        let _ = writeln!(self.text, "{name}{list} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn lines(metrics: &Metrics) -> Vec<String> {
        let mut page = Page::default();
        metrics.requests(&mut page);
        page.text.lines().map(str::to_string).collect()
    }

    #[test]
    fn a_request_is_counted_under_what_it_asked_for() {
        let metrics = Arc::new(Metrics::default());
        let info = RequestInfo::parse(&Method::GET, "/apis/apps/v1/namespaces/n/deployments/web", &[]);
        for (code, ms) in [(200, 3), (200, 30), (404, 70_000)] {
            metrics.serving(&info, Manner::default()).answered(code, Duration::from_millis(ms));
        }
        let lines = lines(&metrics);
        let common = r#"component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="",verb="GET",version="v1""#;
        let has = |line: &str| assert!(lines.iter().any(|one| one == line), "{line}\n{lines:#?}");
        has(&format!(r#"apiserver_request_total{{code="200",{common}}} 2"#));
        has(&format!(r#"apiserver_request_total{{code="404",{common}}} 1"#));
        has(&format!(r#"apiserver_request_duration_seconds_bucket{{{common},le="0.005"}} 1"#));
        has(&format!(r#"apiserver_request_duration_seconds_bucket{{{common},le="0.05"}} 2"#));
        has(&format!(r#"apiserver_request_duration_seconds_bucket{{{common},le="+Inf"}} 3"#));
        has(&format!(r#"apiserver_request_duration_seconds_count{{{common}}} 3"#));
        assert_eq!(metrics.in_flight[0].load(Ordering::Relaxed), 0);
        metrics.reset();
        assert!(self::lines(&metrics).iter().all(|line| line.starts_with('#')));
    }

    #[test]
    fn made_up_paths_do_not_fill_the_memory() {
        let metrics = Arc::new(Metrics::default());
        for name in 0..MAX_SERIES + 10 {
            let info = RequestInfo::parse(&Method::GET, &format!("/apis/g{name}/v1/things"), &[]);
            metrics.serving(&info, Manner::default()).answered(404, Duration::ZERO);
        }
        assert_eq!(metrics.series.lock().len(), MAX_SERIES);
    }
}
