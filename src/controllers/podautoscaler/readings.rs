//! What the metrics APIs say.
//!
//! Comes in: which metric, of which Pods or object. Goes out: numbers in thousandths, or the sentence in which
//! Kubernetes tells that there are none. Three APIs, none of which the API server has itself: `metrics.k8s.io`
//! (cpu and memory; metrics-server), `custom.metrics.k8s.io` and `external.metrics.k8s.io` (adapters). All are read
//! through the API server, as any client reads them. Source: kube-controller-manager,
//! pkg/controller/podautoscaler/metrics; `k8s.io/metrics/pkg/client`.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::ObjectMeta;
use serde::Deserialize;

use super::answer::get;
use super::target::{group_of, serve, versions};
use crate::api::quantity;
use crate::api::selector::LabelSelector;

const RESOURCES: &str = "metrics.k8s.io";
const CUSTOM: &str = "custom.metrics.k8s.io";
const EXTERNAL: &str = "external.metrics.k8s.io";
/// Of a custom metric that does not say. Source: metrics/client.go, metricServerDefaultMetricWindow.
const USUAL_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// What was measured of one Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Over how long before.
    pub window: SignedDuration,
    /// In thousandths.
    pub value: i64,
}

/// By Pod name.
pub type Samples = BTreeMap<String, Sample>;

/// Where one autoscaler reads.
pub struct Readings<'a> {
    /// Reads as the loop's own user.
    pub client: &'a Client,
    /// The autoscaler's.
    pub namespace: &'a str,
}

impl Readings<'_> {
    /// What the selected Pods use of `cpu` or `memory`: all their containers, or the one of this name.
    ///
    /// # Errors
    /// `unable to fetch metrics from resource metrics API: …`
    pub async fn resource(&self, name: &str, pods: &LabelSelector, container: &str) -> Result<Samples, String> {
        let base = format!("/apis/{RESOURCES}/v1beta1/namespaces/{}/pods", self.namespace);
        let list: List<PodMetrics> = get(self.client, &with(&base, &[("labelSelector", pods)]), "pods.metrics.k8s.io")
            .await
            .map_err(|refusal| format!("unable to fetch metrics from resource metrics API: {}", refusal.words))?;
        if list.items.is_empty() {
            return Err("no metrics returned from resource metrics API".into());
        }
        Ok(list.items.iter().filter_map(|pod| Some((pod.name(), pod.sample(name, container)?))).collect())
    }

    /// A custom metric of each selected Pod.
    ///
    /// # Errors
    /// `unable to fetch metrics from custom metrics API: …`
    pub async fn of_pods(&self, metric: &str, pods: &LabelSelector, only: &LabelSelector) -> Result<Samples, String> {
        let options = [("labelSelector", pods), ("metricLabelSelector", only)];
        let base = self.custom().await.map_err(not_custom)?;
        let path = with(&format!("{base}/pods/*/{metric}"), &options);
        let found = self.values(&path, &format!("pods.{CUSTOM} *")).await.map_err(not_custom)?;
        if found.is_empty() {
            return Err("no metrics returned from custom metrics API".into());
        }
        Ok(found.into_iter().map(|value| (value.described_object.name.clone(), value.sample())).collect())
    }

    /// A custom metric of one object. Of a Namespace, that is the autoscaler's own, whichever is named.
    ///
    /// # Errors
    /// As [`Readings::of_pods`].
    pub async fn of_object(
        &self,
        object: &CrossVersionObjectReference,
        metric: &str,
        only: &LabelSelector,
    ) -> Result<i64, String> {
        let found = self.object(object, metric, only).await.map_err(not_custom)?;
        match &found[..] {
            [value] => Ok(millis(&value.value)),
            _ => {
                let count = found.len();
                let words =
                    format!("the custom metrics API server returned {count} results when we asked for exactly one");
                Err(not_custom(words))
            }
        }
    }

    async fn object(
        &self,
        object: &CrossVersionObjectReference,
        metric: &str,
        only: &LabelSelector,
    ) -> Result<Vec<MetricValue>, String> {
        let base = self.custom().await?;
        let group = group_of(object.api_version.as_deref().unwrap_or_default()).unwrap_or_default();
        let (path, about) = if group.is_empty() && object.kind == "Namespace" {
            (format!("{base}/metrics/{metric}"), format!("metrics.{CUSTOM} {metric}"))
        } else {
            let kind = if group.is_empty() { object.kind.clone() } else { format!("{}.{group}", object.kind) };
            let served = serve(self.client, group, &object.kind).await;
            let resource = served.map_err(|why| format!("unable to map kind {kind} to resource: {why}"))?.qualified();
            let name = &object.name;
            (format!("{base}/{resource}/{name}/{metric}"), format!("{resource}.{CUSTOM} {name}"))
        };
        self.values(&with(&path, &[("metricLabelSelector", only)]), &about).await
    }

    /// Where the custom metrics API is, in the version that it prefers.
    async fn custom(&self) -> Result<String, String> {
        let served = versions(self.client, CUSTOM).await;
        if served.is_empty() {
            return Err(format!("no custom metrics API ({CUSTOM}) registered"));
        }
        let known = served.iter().find(|version| ["v1beta2", "v1beta1"].contains(&version.as_str()));
        let version = known.ok_or("no known available metric versions found")?;
        Ok(format!("/apis/{CUSTOM}/{version}/namespaces/{}", self.namespace))
    }

    async fn values(&self, path: &str, about: &str) -> Result<Vec<MetricValue>, String> {
        let list: List<MetricValue> = get(self.client, path, about).await.map_err(|refusal| refusal.words)?;
        Ok(list.items)
    }

    /// The values of a metric that belongs to no object of the cluster.
    ///
    /// # Errors
    /// `unable to fetch metrics from external metrics API: …`
    pub async fn external(&self, metric: &str, only: &LabelSelector) -> Result<Vec<i64>, String> {
        let base = format!("/apis/{EXTERNAL}/v1beta1/namespaces/{}/{metric}", self.namespace);
        let path = with(&base, &[("labelSelector", only)]);
        let list: List<MetricValue> = get(self.client, &path, &format!("{metric}.{EXTERNAL}"))
            .await
            .map_err(|refusal| format!("unable to fetch metrics from external metrics API: {}", refusal.words))?;
        if list.items.is_empty() {
            return Err("no metrics returned from external metrics API".into());
        }
        Ok(list.items.iter().map(|value| millis(&value.value)).collect())
    }
}

fn not_custom(why: String) -> String {
    format!("unable to fetch metrics from custom metrics API: {why}")
}

/// A path with those options that say something.
fn with(path: &str, options: &[(&str, &LabelSelector)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, selector) in options {
        let text = selector.to_string();
        if !text.is_empty() {
            query.append_pair(name, &text);
        }
    }
    match query.finish() {
        none if none.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A quantity in thousandths; one that is none is nothing.
pub fn millis(text: &Quantity) -> i64 {
    quantity::Quantity::parse(&text.0).map_or(0, |quantity| quantity.milli_value())
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// Of `metrics.k8s.io/v1beta1`.
#[derive(Deserialize)]
struct PodMetrics {
    metadata: ObjectMeta,
    timestamp: Option<Time>,
    #[serde(default)]
    window: String,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    usage: BTreeMap<String, Quantity>,
}

impl PodMetrics {
    fn name(&self) -> String {
        self.metadata.name.clone().unwrap_or_default()
    }

    /// The sum over the containers; nothing when one of them was not measured.
    fn sample(&self, resource: &str, container: &str) -> Option<Sample> {
        let meant = self.containers.iter().filter(|one| container.is_empty() || one.name == container);
        let used: Vec<i64> = meant.map(|one| one.usage.get(resource).map(millis)).collect::<Option<_>>()?;
        if used.is_empty() {
            return None;
        }
        let window = self.window.parse().unwrap_or_default();
        Some(Sample { at: instant(self.timestamp.as_ref()), window, value: used.iter().sum() })
    }
}

/// Of `custom.metrics.k8s.io` and `external.metrics.k8s.io`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    #[serde(default)]
    described_object: Described,
    timestamp: Option<Time>,
    /// `window` in v1beta1.
    #[serde(alias = "window")]
    window_seconds: Option<i64>,
    value: Quantity,
}

#[derive(Default, Deserialize)]
struct Described {
    #[serde(default)]
    name: String,
}

impl MetricValue {
    fn sample(&self) -> Sample {
        let window = self.window_seconds.map_or(USUAL_WINDOW, SignedDuration::from_secs);
        Sample { at: instant(self.timestamp.as_ref()), window, value: millis(&self.value) }
    }
}

fn instant(time: Option<&Time>) -> Timestamp {
    time.map_or(Timestamp::MIN, |time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(containers: serde_json::Value) -> PodMetrics {
        let value = json!({ "metadata": { "name": "p" }, "timestamp": "2026-01-01T00:00:00Z", "window": "1m30s",
            "containers": containers });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_pod_uses_what_its_containers_use() {
        let two = json!([
            { "name": "a", "usage": { "cpu": "250m", "memory": "1Ki" } },
            { "name": "b", "usage": { "cpu": "1500000n" } },
        ]);
        // Container, resource → thousandths. Anything not measured makes the whole unknown.
        for (container, resource, expected) in [
            ("", "cpu", Some(252)),
            ("a", "cpu", Some(250)),
            ("a", "memory", Some(1_024_000)),
            ("", "memory", None),
            ("b", "memory", None),
            ("c", "cpu", None),
        ] {
            let sample = pod(two.clone()).sample(resource, container);
            assert_eq!(sample.as_ref().map(|sample| sample.value), expected, "{container} {resource}");
            assert!(sample.is_none_or(|sample| sample.window == SignedDuration::from_secs(90)));
        }
        assert_eq!(pod(json!([])).sample("cpu", ""), None);
    }

    #[test]
    fn both_versions_of_custom_metrics_are_read() {
        for (field, expected) in [("windowSeconds", 30), ("window", 30), ("other", 60)] {
            let value = json!({ "describedObject": { "kind": "Pod", "name": "p" }, field: 30,
                "timestamp": "2026-01-01T00:00:00Z", "value": "12500m" });
            let value: MetricValue = serde_json::from_value(value).unwrap();
            assert_eq!((value.sample().value, value.sample().window.as_secs()), (12_500, expected), "{field}");
        }
    }

    #[test]
    fn selectors_travel_in_the_query() {
        let (web, all) = (LabelSelector::parse("app in (a,b)").unwrap(), LabelSelector::nothing());
        assert_eq!(with("/x", &[("labelSelector", &web), ("more", &all)]), "/x?labelSelector=app+in+%28a%2Cb%29");
        assert_eq!(with("/x", &[("more", &all)]), "/x");
    }
}
