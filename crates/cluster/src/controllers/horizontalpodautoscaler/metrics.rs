//! What a metrics pipeline would say of pods and objects.
//!
//! Knows: annotations that state a metric, the load on services, and what a real cluster's autoscaler had last measured.
//! Does not know: what follows from a metric.
//!
//! Sources, the first that says anything counts:
//!
//! 1. `metrics.lazaret.dev/NAME` states it: on a pod (`cpu`, `memory`, `cpu.CONTAINER`, or any pods metric), on the object of
//!    an object metric, on the namespace as `external.NAME`; on the workload for what its ready pods share. A value may name
//!    its series, `30{queue=a} 12{queue=b}`; what an annotation's name cannot hold is written `_`.
//! 2. The load on the services that select the pods: for CPU, and for metrics whose names say that they count requests.
//! 3. What the status of the autoscaler said when its cluster was taken over from a real one: what pods use together stays.
//!
//! If none does, a cluster answers as one without a metrics server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::replicas::{self, Sample, Samples};
use crate::cluster::Cluster;
use crate::labels::{self, Selector};
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::schema::split_api_version;
use crate::time;
use crate::traffic;
use crate::value::Value;

/// What an annotation that states a metric begins with.
const PREFIX: &str = "metrics.lazaret.dev/";

/// Over how long a metrics server measures, and after how long it knows a new pod.
const WINDOW: Duration = Duration::from_secs(15);

/// How old its newest sample is: half of the time between two.
const AGE: Duration = Duration::from_millis(7_500);

/// The metrics of the pods of one workload.
pub(super) struct Pipeline<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    /// What is scaled.
    pub(super) target: &'a Value,
    pub(super) pods: &'a [&'a Value],
    /// The load on each service that selects the pods.
    load: Vec<Share>,
    /// Whether the load is another at another hour.
    pub(super) by_hour: bool,
    /// `status.currentMetrics` of the real autoscaler.
    learned: Option<&'a Value>,
}

/// What each ready pod gets from one service.
struct Share {
    /// Requests per second that it serves.
    rate: f64,
    /// Of what it could serve, 0 to 1; unknown if nobody said what that is.
    busy: Option<f64>,
    /// Thousandths of a CPU that one request per second takes.
    cpu: Option<f64>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn of(
        cluster: &'a Cluster,
        namespace: &'a str,
        target: &'a Value,
        pods: &'a [&'a Value],
        learned: Option<&'a Value>,
    ) -> Self {
        let (load, by_hour) = shares(cluster, namespace, pods);
        Self { cluster, namespace, target, pods, load, by_hour, learned }
    }

    /// Whether any of it follows from the load on services.
    pub(super) fn follows_load(&self) -> bool {
        !self.load.is_empty()
    }

    /// What each pod uses of a resource; in one container, or (empty) in all.
    ///
    /// # Errors
    /// What the real client would say.
    pub(super) fn resource(&self, resource: &str, container: &str) -> Result<Samples, String> {
        let samples = self.sample(|pod| {
            used(pod, resource, container).map(|milli| (milli, false)).or_else(|| {
                let milli = if resource == "memory" {
                    self.learned_memory(container)
                } else {
                    let loaded = || if resource == "cpu" { self.busy(pod, container) } else { None };
                    self.among_ready(pod, self.shared(resource))
                        .or_else(loaded)
                        .or_else(|| self.among_ready(pod, self.learned_total(resource, container)))
                };
                milli.map(|milli| (milli, true))
            })
        });
        if samples.is_empty() && !self.pods.iter().any(|pod| says_usage(pod)) {
            let why = if self.has_api("metrics.k8s.io") {
                "no metrics returned from resource metrics API".to_owned()
            } else {
                let none = "the server could not find the requested resource (get pods.metrics.k8s.io)";
                format!("unable to fetch metrics from resource metrics API: {none}")
            };
            return Err(format!("unable to get metrics for resource {resource}: {why}"));
        }
        Ok(samples)
    }

    /// What a metric says of each pod.
    ///
    /// # Errors
    /// What the real client would say.
    pub(super) fn of_pods(&self, metric: &str, selector: &Value) -> Result<Samples, String> {
        let rate = || is_rate(metric).then(|| self.rate()).flatten();
        let learned = || self.learned_in("pods", metric).and_then(|total| self.each_ready(total));
        let samples = self.sample(|pod| {
            stated(pod, metric, selector).first().copied().map(|milli| (milli, false)).or_else(|| {
                let each = self.among_ready(pod, self.shared(metric)).or_else(|| {
                    let each = rate().or_else(learned)?;
                    Some(if pod.condition_is_true("Ready") { each } else { 0 })
                })?;
                Some((each, true))
            })
        });
        if samples.is_empty() {
            let why = self.no_custom(&format!("the server could not find the metric {metric} for pods"));
            return Err(format!("unable to get metric {metric}: {why}"));
        }
        Ok(samples)
    }

    /// What a metric says of an object, in thousandths.
    ///
    /// # Errors
    /// What the real client would say; it gets its words in the wrong order.
    pub(super) fn of_object(&self, described: &Value, metric: &str, selector: &Value) -> Result<i64, String> {
        let field = |field: &str| described.at(&[field]).str_or_empty();
        let (kind, name) = (field("kind"), field("name"));
        let (group, version) = split_api_version(field("apiVersion"));
        let resource = self.cluster.schema.by_kind(group, version, kind);
        let key = resource.map(|resource| {
            let (namespace, name) =
                if kind == "Namespace" && group.is_empty() { ("", self.namespace) } else { (self.namespace, name) };
            ObjectKey::new(resource.storage.resource.clone(), namespace, name)
        });
        let object = key.as_ref().and_then(|key| self.cluster.get(key));
        let value = object
            .and_then(|object| stated(object, metric, selector).first().copied())
            .or_else(|| object.filter(|_| is_rate(metric)).and_then(|object| self.asked(kind, object)))
            .or_else(|| self.learned_in("object", metric));
        value.ok_or_else(|| {
            let plural = resource.map_or_else(String::new, |resource| resource.storage.resource.to_string());
            let why = self.no_custom(&format!("the server could not find the metric {metric} for {plural} {name}"));
            format!("unable to get metric {metric}: {kind} on {} {name}/{why}", self.namespace)
        })
    }

    /// What a metric from outside says, all its series together, in thousandths.
    ///
    /// # Errors
    /// What the real client would say.
    pub(super) fn external(&self, metric: &str, selector: &Value) -> Result<i64, String> {
        let namespace = self.cluster.get(&ObjectKey::new("namespaces", "", self.namespace));
        let series = namespace.map_or_else(Vec::new, |object| stated(object, &format!("external.{metric}"), selector));
        if !series.is_empty() {
            return Ok(series.into_iter().fold(0, i64::saturating_add));
        }
        self.learned_in("external", metric).ok_or_else(|| {
            let why = if self.has_api("external.metrics.k8s.io") {
                "no metrics returned from external metrics API".to_owned()
            } else {
                let none =
                    format!("the server could not find the requested resource (get {metric}.external.metrics.k8s.io)");
                format!("unable to fetch metrics from external metrics API: {none}")
            };
            format!("unable to get external metric {}/{metric}/{}: {why}", self.namespace, selector_text(selector))
        })
    }

    /// One sample of each running pod of which anything is known. What is not stated outright a metrics server knows only
    /// after it has measured for a while.
    fn sample(&self, milli: impl Fn(&Value) -> Option<(i64, bool)>) -> Samples {
        let now = self.cluster.now();
        let running = self.pods.iter().filter(|pod| pod.at(&["status", "phase"]) == "Running");
        let samples = running.filter_map(|pod| {
            let (milli, measured) = milli(pod)?;
            let started = pod.at(&["status", "startTime"]).as_str().and_then(time::parse).unwrap_or_default();
            (!measured || started + WINDOW <= now)
                .then(|| (pod.name().to_owned(), Sample { milli, at: now - AGE, window: WINDOW }))
        });
        samples.collect()
    }

    fn ready(&self) -> i64 {
        self.pods.iter().filter(|pod| serves(pod)).count() as i64
    }

    fn each_ready(&self, total: i64) -> Option<i64> {
        total.checked_div(self.ready())
    }

    /// A pod's part of what the ready ones share.
    fn among_ready(&self, pod: &Value, total: Option<i64>) -> Option<i64> {
        let total = total?;
        if serves(pod) { self.each_ready(total) } else { Some(0) }
    }

    /// What the workload says that its pods use together.
    fn shared(&self, metric: &str) -> Option<i64> {
        stated(self.target, metric, &Value::Null).first().copied()
    }

    /// The CPU that a pod's share of the load takes: what each request takes, or as much of its request as it is busy.
    fn busy(&self, pod: &Value, container: &str) -> Option<i64> {
        if self.load.is_empty() {
            return None;
        }
        if !serves(pod) {
            return Some(0);
        }
        let mut sum = 0.0;
        let mut busy = 0.0;
        for share in &self.load {
            match (share.cpu, share.busy) {
                (Some(cpu), _) => sum += share.rate * cpu,
                (None, Some(part)) => busy += part,
                (None, None) => return None,
            }
        }
        if busy > 0.0 || sum == 0.0 {
            sum += f64::min(busy, 1.0) * replicas::request(pod, "cpu", container).ok()? as f64;
        }
        Some(sum.round() as i64)
    }

    /// The requests that a ready pod serves, in thousandths of one per second.
    fn rate(&self) -> Option<i64> {
        if self.load.is_empty() {
            return None;
        }
        Some((self.load.iter().map(|share| share.rate).sum::<f64>() * 1000.0).round() as i64)
    }

    /// The requests that come to a Service or through an Ingress, in thousandths of one per second.
    fn asked(&self, kind: &str, object: &Value) -> Option<i64> {
        let names: Vec<&str> = match kind {
            "Service" => vec![object.name()],
            "Ingress" => backends(object),
            _ => return None,
        };
        let names: Vec<String> = names.into_iter().map(|name| format!("{}/{name}", self.namespace)).collect();
        let known = traffic::around(self.cluster, names.iter().cloned());
        let rates = rates(self.cluster, &known);
        let asked: Vec<f64> = names.iter().filter_map(|name| rates.get(name).copied()).collect();
        (!asked.is_empty()).then(|| (asked.iter().sum::<f64>() * 1000.0).round() as i64)
    }

    fn learned(&self, source: &str, matches: impl Fn(&Value) -> bool) -> Option<&Value> {
        let metric = self.learned?.at(&["currentMetrics"]).items().iter();
        metric.map(|metric| metric.at(&[source])).find(|metric| !metric.is_null() && matches(metric))
    }

    /// What was measured of a metric: the value itself, or the mean of each replica there was.
    fn learned_in(&self, source: &str, metric: &str) -> Option<i64> {
        let found = self.learned(source, |found| *found.at(&["metric", "name"]) == *metric)?;
        milli(found.at(&["current", "value"])).or_else(|| self.together(found))
    }

    fn learned_resource(&self, resource: &str, container: &str) -> Option<&Value> {
        let source = if container.is_empty() { "resource" } else { "containerResource" };
        self.learned(source, |found| {
            *found.at(&["name"]) == *resource && (container.is_empty() || *found.at(&["container"]) == *container)
        })
    }

    fn learned_total(&self, resource: &str, container: &str) -> Option<i64> {
        self.together(self.learned_resource(resource, container)?)
    }

    /// What a pod holds in memory does not depend on how many there are.
    fn learned_memory(&self, container: &str) -> Option<i64> {
        milli(self.learned_resource("memory", container)?.at(&["current", "averageValue"]))
    }

    fn together(&self, found: &Value) -> Option<i64> {
        let had = self.learned?.at(&["currentReplicas"]).as_int().unwrap_or(0);
        Some(milli(found.at(&["current", "averageValue"]))?.saturating_mul(had))
    }

    fn has_api(&self, group: &str) -> bool {
        const SERVICES: &str = "apiservices.apiregistration.k8s.io";
        ["v1beta1", "v1beta2"].iter().any(|version| {
            self.cluster.get(&ObjectKey::new(SERVICES, "", format!("{version}.{group}").as_str())).is_some()
        })
    }

    fn no_custom(&self, otherwise: &str) -> String {
        let none = "no custom metrics API (custom.metrics.k8s.io) registered";
        let why = if self.has_api("custom.metrics.k8s.io") { otherwise } else { none };
        format!("unable to fetch metrics from custom metrics API: {why}")
    }
}

/// A label selector as Go prints one.
pub(super) fn selector_text(selector: &Value) -> String {
    if selector.is_null() {
        return "nil".to_owned();
    }
    let mut wanted: Vec<String> = selector.at(&["matchLabels"]).entries().iter().map(pair).collect();
    wanted.sort();
    let expression = |expression: &Value| {
        let field = |field: &str| expression.at(&[field]).str_or_empty();
        let values: Vec<&str> = expression.at(&["values"]).items().iter().map(Value::str_or_empty).collect();
        let (key, operator, values) = (field("key"), field("operator"), values.join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions: String = selector.at(&["matchExpressions"]).items().iter().map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}",
        wanted.concat()
    )
}

fn pair((key, value): &(crate::value::Text, Value)) -> String {
    format!("{key}: {},", value.str_or_empty())
}

fn milli(value: &Value) -> Option<i64> {
    Quantity::of(value).and_then(|quantity| i64::try_from(quantity.as_milli()).ok())
}

fn serves(pod: &Value) -> bool {
    pod.condition_is_true("Ready") && !pod.is_terminating()
}

/// The series of a metric that an object states and a selector selects, in thousandths.
fn stated(object: &Value, metric: &str, selector: &Value) -> Vec<i64> {
    let name: String = metric
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
        .collect();
    let Some(text) = object.annotation(&format!("{PREFIX}{name}")) else { return Vec::new() };
    let series = text.split_inclusive(['}', ' ']).collect::<Vec<_>>();
    let mut found = Vec::new();
    for one in series.into_iter().map(str::trim).filter(|one| !one.is_empty()) {
        let (value, labels) = one.trim_end_matches('}').split_once('{').unwrap_or((one, ""));
        let mut map = crate::doc!({});
        for (key, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
            map.set(&[key.trim()], value.trim());
        }
        if (selector.is_null() || labels::matches(selector, &map))
            && let Some(quantity) = Quantity::parse(value)
            && let Ok(milli) = i64::try_from(quantity.as_milli())
        {
            found.push(milli);
        }
    }
    found
}

/// Whether a metrics server would know the pod, whatever it knows.
fn says_usage(pod: &Value) -> bool {
    let notes = pod.at(&["metadata", "annotations"]).entries();
    notes
        .iter()
        .filter_map(|(key, _)| key.strip_prefix(PREFIX))
        .any(|name| ["cpu", "memory"].contains(&name.split_once('.').map_or(name, |(resource, _)| resource)))
}

/// What a pod itself says that it uses of a resource.
fn used(pod: &Value, resource: &str, container: &str) -> Option<i64> {
    let said = |name: &str| stated(pod, name, &Value::Null).first().copied();
    let containers = pod.at(&["spec", "containers"]).items();
    let of = |name: &str| {
        let own = said(&format!("{resource}.{name}"));
        own.or_else(|| if containers.len() == 1 { said(resource) } else { None })
    };
    if !container.is_empty() {
        return containers.iter().any(|one| one.at(&["name"]) == container).then(|| of(container)).flatten();
    }
    // A pod is known when all its containers are.
    let all: Option<Vec<i64>> = containers.iter().map(|one| of(one.at(&["name"]).str_or_empty())).collect();
    all.map(|all| all.into_iter().fold(0, i64::saturating_add)).or_else(|| said(resource))
}

/// Whether a metric by its name counts requests by time.
fn is_rate(metric: &str) -> bool {
    let name = metric.to_ascii_lowercase();
    let counts = ["request", "rps", "qps"].iter().any(|word| name.contains(word));
    let other = ["duration", "latency", "bytes", "size", "error", "fail", "pending", "queue", "flight"];
    counts && !other.iter().any(|word| name.contains(word))
}

/// The Services that an Ingress leads to, each once.
fn backends(ingress: &Value) -> Vec<&str> {
    let spec = ingress.at(&["spec"]);
    let paths = spec.at(&["rules"]).items().iter().flat_map(|rule| rule.at(&["http", "paths"]).items());
    let all = paths.map(|path| path.at(&["backend"])).chain([spec.at(&["defaultBackend"])]);
    let mut names: Vec<&str> = all.filter_map(|backend| backend.at(&["service", "name"]).as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What comes to each service now, in requests per second.
fn rates(cluster: &Cluster, known: &load::Traffic) -> BTreeMap<String, f64> {
    let ready = known.services.keys().map(|name| (name.clone(), traffic::ready(cluster, name))).collect();
    load::rates(known, &ready, traffic::second_of_week(cluster.now()))
}

/// What each ready pod gets from the services that select them, and whether that depends on the hour.
fn shares(cluster: &Cluster, namespace: &str, pods: &[&Value]) -> (Vec<Share>, bool) {
    let Some(pod) = pods.first() else { return (Vec::new(), false) };
    let services: Vec<(String, Cow<'_, Value>)> = cluster
        .selecting("services", namespace, pod.labels())
        .map(|(key, service)| (traffic::name(key), traffic::told(cluster, key, service)))
        .filter(|(_, service)| traffic::profile(namespace, service).is_some())
        .collect();
    if services.is_empty() {
        return (Vec::new(), false);
    }
    let known = traffic::around(cluster, services.iter().map(|(name, _)| name.clone()));
    let by_hour = known.services.values().any(|profile| matches!(profile.arrivals, load::Arrivals::Weekly(_)));
    let rates = rates(cluster, &known);
    let share = |(name, service): &(String, Cow<'_, Value>)| {
        let ready = traffic::ready(cluster, name);
        let capacity = traffic::capacity(service).map(|(least, most)| f64::midpoint(least, most));
        let offered = rates.get(name).copied().unwrap_or(0.0) / (ready as f64).max(1.0);
        let rate = offered.min(capacity.unwrap_or(f64::INFINITY));
        let busy = capacity.filter(|capacity| *capacity > 0.0).map(|capacity| rate / capacity);
        let cpu = service.annotation(&format!("{}cpu-per-request", traffic::PREFIX)).and_then(Quantity::parse);
        Share { rate, busy, cpu: cpu.map(|cpu| cpu.as_milli() as f64) }
    };
    (services.iter().map(share).collect(), by_hour)
}

/// The pods that a scale's selector selects.
///
/// # Errors
/// What is wrong with the selector.
pub(super) fn selected<'a>(cluster: &'a Cluster, namespace: &str, text: &str) -> Result<Vec<&'a Value>, String> {
    let selector = Selector::parse(text)?;
    Ok(cluster.labelled(Some(namespace), |labels| selector.matches(labels)).map(|(_, pod)| pod).collect())
}
