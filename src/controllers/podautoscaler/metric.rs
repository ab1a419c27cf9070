//! One entry of `spec.metrics`: read, and turned into a number of replicas.
//!
//! Comes in: the entry, the target, its Pods. Goes out: how many replicas this metric asks for and how it stands,
//! or the reason and the sentences that tell why that is not known. The numbers come from [`super::readings`], the
//! calculation is [`super::replicas`]'. Source: kube-controller-manager, pkg/controller/podautoscaler/horizontal.go.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricSource, ExternalMetricStatus, MetricIdentifier, MetricSpec,
    MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricSource, ObjectMetricStatus, PodsMetricSource,
    PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1;

use super::readings::{Readings, Samples, millis};
use super::replicas::{self, Goal, Usage, View};
use crate::api::quantity;
use crate::api::selector::LabelSelector;

/// What a metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// So many replicas.
    pub replicas: i32,
    /// The metric, as the event about a change names it.
    pub name: String,
    /// How it stands.
    pub status: MetricStatus,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Of the event and of the condition `ScalingActive`.
    pub reason: &'static str,
    /// Of both, too.
    pub words: String,
    /// The same in a row with those of other metrics.
    pub among_others: String,
}

impl Unknown {
    fn new(reason: &'static str, words: String, about: &str) -> Self {
        let among_others = format!("failed to get {about} metric value: {words}");
        Unknown { reason, words, among_others }
    }

    /// Told with one more step between in a row with others.
    fn within(self, about: &str, step: &str) -> Self {
        let among_others = format!("failed to get {about} metric value: failed to get {step}: {}", self.words);
        Unknown { among_others, ..self }
    }
}

/// Where a metric is measured.
pub struct Site<'a> {
    /// The metrics APIs.
    pub readings: Readings<'a>,
    /// The target's Pods, and how many there should be.
    pub view: View<'a>,
    /// Which Pods they are.
    pub selector: &'a LabelSelector,
    /// How many the target says there are.
    pub running: i32,
}

impl Site<'_> {
    /// What one entry asks for.
    ///
    /// # Errors
    /// Why it asks for nothing.
    pub async fn propose(&self, spec: &MetricSpec) -> Result<Proposal, Unknown> {
        match (spec.type_.as_str(), spec) {
            ("Resource", MetricSpec { resource: Some(source), .. }) => {
                let failed =
                    |words| Unknown::new("FailedGetResourceMetric", words, &format!("{} resource", source.name));
                let (replicas, current, how) = self.resource(&source.name, "", &source.target).await.map_err(failed)?;
                let name = match how {
                    How::Utilization => format!("{} resource utilization (percentage of request)", source.name),
                    How::Value => format!("{} resource", source.name),
                };
                let resource = Some(ResourceMetricStatus { current, name: source.name.clone() });
                Ok(Proposal { replicas, name, status: MetricStatus { resource, ..of(spec) } })
            }
            ("ContainerResource", MetricSpec { container_resource: Some(source), .. }) => {
                let failed = |words| {
                    Unknown::new("FailedGetContainerResourceMetric", words, &format!("{} container", source.container))
                };
                let (replicas, current, how) =
                    self.resource(&source.name, &source.container, &source.target).await.map_err(failed)?;
                let name = match how {
                    How::Utilization => {
                        format!("{} container resource utilization (percentage of request)", source.name)
                    }
                    How::Value => format!("{} resource", source.name),
                };
                let (container, resource) = (source.container.clone(), source.name.clone());
                let container_resource = Some(ContainerResourceMetricStatus { container, current, name: resource });
                Ok(Proposal { replicas, name, status: MetricStatus { container_resource, ..of(spec) } })
            }
            ("Pods", MetricSpec { pods: Some(source), .. }) => self.pods(spec, source).await,
            ("Object", MetricSpec { object: Some(source), .. }) => self.object(spec, source).await,
            ("External", MetricSpec { external: Some(source), .. }) => self.external(spec, source).await,
            (other, _) => {
                let words = format!("unknown metric source type {other:?}");
                Err(Unknown { reason: "InvalidMetricSourceType", among_others: words.clone(), words })
            }
        }
    }

    async fn resource(
        &self,
        name: &str,
        container: &str,
        target: &MetricTarget,
    ) -> Result<(i32, MetricValueStatus, How), String> {
        let (goal, how, word) = match (&target.average_value, target.average_utilization) {
            (Some(value), _) => (Goal::Usage { resource: name, value: millis(value) }, How::Value, "usage"),
            (None, Some(percent)) => {
                (Goal::Utilization { resource: name, container, percent }, How::Utilization, "utilization")
            }
            (None, None) => {
                return Err("invalid resource metric source: neither an average utilization target nor an average \
                            value (usage) target was set"
                    .into());
            }
        };
        let samples = self.readings.resource(name, self.selector, container).await;
        let samples = samples.map_err(|why| format!("unable to get metrics for resource {name}: {why}"));
        let calculated = samples.and_then(|samples| replicas::by_samples(goal, samples, &self.view));
        let (replicas, Usage { percent, value, .. }) =
            calculated.map_err(|why| format!("failed to get {name} {word}: {why}"))?;
        let current = MetricValueStatus {
            average_utilization: percent,
            average_value: Some(amount(name, value)),
            ..Default::default()
        };
        Ok((replicas, current, how))
    }

    async fn pods(&self, spec: &MetricSpec, source: &PodsMetricSource) -> Result<Proposal, Unknown> {
        let failed = |words| Unknown::new("FailedGetPodsMetric", words, "pods");
        let metric = &source.metric;
        let only = selector(metric).map_err(failed)?;
        let samples = self.readings.of_pods(&metric.name, self.selector, &only).await;
        let goal = Goal::Usage { resource: "", value: source.target.average_value.as_ref().map_or(0, millis) };
        let calculated = samples
            .map_err(|why| format!("unable to get metric {}: {why}", metric.name))
            .and_then(|samples: Samples| replicas::by_samples(goal, samples, &self.view));
        let (replicas, usage) = calculated.map_err(failed)?;
        let pods = Some(PodsMetricStatus { current: average(usage.value), metric: metric.clone() });
        let name = format!("pods metric {}", metric.name);
        Ok(Proposal { replicas, name, status: MetricStatus { pods, ..of(spec) } })
    }

    async fn object(&self, spec: &MetricSpec, source: &ObjectMetricSource) -> Result<Proposal, Unknown> {
        let failed = |words| Unknown::new("FailedGetObjectMetric", words, "object");
        let (metric, object, target) = (&source.metric, &source.described_object, &source.target);
        let only = selector(metric).map_err(failed)?;
        let used = self.readings.of_object(object, &metric.name, &only).await.map_err(|why| {
            let (kind, namespace, name) = (&object.kind, self.readings.namespace, &object.name);
            format!("unable to get metric {} on {kind} {namespace}/{name}: {why}", metric.name)
        });
        let (replicas, current, name) = match (target.type_.as_str(), &target.value, &target.average_value) {
            ("Value", Some(wanted), _) => {
                let used = used.map_err(failed)?;
                let replicas = replicas::by_value(used, millis(wanted), &self.view).map_err(failed)?;
                (replicas, total(used), format!("{} metric {}", object.kind, metric.name))
            }
            ("AverageValue", _, Some(wanted)) => {
                let step = format!("{} object metric", metric.name);
                let used = used.map_err(|why| failed(why).within("object", &step))?;
                let (replicas, each) = replicas::by_share(used, millis(wanted), self.running, self.view.tolerances);
                (replicas, average(each), external_name(metric))
            }
            _ => {
                return Err(failed(
                    "invalid object metric source: neither a value target nor an average value target was set".into(),
                ));
            }
        };
        let object = Some(ObjectMetricStatus { current, described_object: object.clone(), metric: metric.clone() });
        Ok(Proposal { replicas, name, status: MetricStatus { object, ..of(spec) } })
    }

    async fn external(&self, spec: &MetricSpec, source: &ExternalMetricSource) -> Result<Proposal, Unknown> {
        let (metric, target) = (&source.metric, &source.target);
        let about = format!("{} external", metric.name);
        let failed = |words, step: &str| Unknown::new("FailedGetExternalMetric", words, &about).within(&about, step);
        let used = self.external_sum(metric).await;
        let (replicas, current) = match (&target.average_value, &target.value) {
            (Some(wanted), _) => {
                let used = used.map_err(|why| failed(why, &format!("{} external metric", metric.name)))?;
                let (replicas, each) = replicas::by_share(used, millis(wanted), self.running, self.view.tolerances);
                (replicas, average(each))
            }
            (None, Some(wanted)) => {
                let counted =
                    used.and_then(|used| Ok((replicas::by_value(used, millis(wanted), &self.view)?, total(used))));
                counted.map_err(|why| failed(why, &format!("external metric {}", metric.name)))?
            }
            (None, None) => {
                let words =
                    "invalid external metric source: neither a value target nor an average value target was set";
                return Err(Unknown::new("FailedGetExternalMetric", words.into(), &about));
            }
        };
        let external = Some(ExternalMetricStatus { current, metric: metric.clone() });
        Ok(Proposal { replicas, name: external_name(metric), status: MetricStatus { external, ..of(spec) } })
    }

    async fn external_sum(&self, metric: &MetricIdentifier) -> Result<i64, String> {
        let only = selector(metric)?;
        let values = self.readings.external(&metric.name, &only).await.map_err(|why| {
            let (namespace, name) = (self.readings.namespace, &metric.name);
            format!("unable to get external metric {namespace}/{name}/{}: {why}", shown(metric.selector.as_ref()))
        })?;
        Ok(values.into_iter().fold(0, i64::saturating_add))
    }
}

/// How a resource's target is given.
enum How {
    Utilization,
    Value,
}

fn of(spec: &MetricSpec) -> MetricStatus {
    MetricStatus { type_: spec.type_.clone(), ..Default::default() }
}

fn total(value: i64) -> MetricValueStatus {
    MetricValueStatus { value: Some(amount("", value)), ..Default::default() }
}

fn average(value: i64) -> MetricValueStatus {
    MetricValueStatus { average_value: Some(amount("", value)), ..Default::default() }
}

/// Thousandths as text: whole bytes of memory as metrics-server writes them (`64Mi`), else in powers of ten (`250m`).
fn amount(resource: &str, value: i64) -> Quantity {
    let bytes = value / 1000;
    if resource == "memory" && value % 1000 == 0 {
        return Quantity(quantity::Quantity::from_units(bytes, quantity::Format::BinarySi).to_string());
    }
    Quantity(quantity::Quantity::from_millis(value).to_string())
}

/// A metric's own selector; without one nothing is left out.
fn selector(metric: &MetricIdentifier) -> Result<LabelSelector, String> {
    // Kubernetes types have string keys only, so they are always representable.
    let value = serde_json::to_value(&metric.selector).unwrap_or_default();
    LabelSelector::from_value(&value).map_err(|error| error.0)
}

fn external_name(metric: &MetricIdentifier) -> String {
    format!("external metric {}({})", metric.name, shown(metric.selector.as_ref()))
}

/// A selector as Go prints its protobuf type.
fn shown(selector: Option<&v1::LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},"));
    let expressions = selector.match_expressions.iter().flatten().map(|one| {
        let values = one.values.clone().unwrap_or_default().join(" ");
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", one.key, one.operator)
    });
    let (labels, expressions): (String, String) = (labels.collect(), expressions.collect());
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement\
         {{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests;
