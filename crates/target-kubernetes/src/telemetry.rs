//! The load on services, learned from Prometheus.
//!
//! Knows: the HTTP API that Prometheus, Thanos, Mimir and VictoriaMetrics share, and what common instrumentations call requests.
//! Does not know: what follows from a load.
//!
//! What is learned is said in the words of the annotations `traffic.lazaret.dev/…`, and counts where a Service has none. It is
//! asked for in the background: a Prometheus that does not answer leaves the load as it was last known, and after a while
//! unknown, which widens forecasts. No action waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use cluster::quantity::Quantity;
use cluster::{Cluster, ObjectKey, Value, traffic};
use http::Request;
use load::WEEK_HOURS;
use serde_json::Value as Json;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::sync::Sync;
use crate::upstream::{Unanswered, Upstream, UpstreamError};

const HOUR_SECONDS: i64 = 3600;
const WEEK_SECONDS: i64 = WEEK_HOURS as i64 * HOUR_SECONDS;
/// 1970-01-01 was a Thursday.
const MONDAY_OFFSET_SECONDS: i64 = 3 * 86_400;

/// An answer may be so large. A week of hours of five thousand services is a third of it.
const ANSWER_MAX: usize = 64 << 20;

/// How requests to services are counted by one instrumentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is called, for logs.
    pub name: String,
    /// Requests per second, one series a service.
    pub requests: String,
    /// Seconds that a request takes, one series a service; may be empty.
    pub seconds: String,
    /// The labels that may hold the service's namespace, the first that is there counts.
    pub namespace: Vec<String>,
    /// The labels that may hold its name.
    pub service: Vec<String>,
}

/// Where to ask, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Such as `http://prometheus.monitoring:9090`, with a path before `/api/v1` if it has one.
    pub url: String,
    /// A bearer token, if it wants one.
    pub token: Option<String>,
    /// Of two that know the same service the first is believed.
    pub questions: Vec<Question>,
    /// The CPU that each pod uses, in cores, with the labels `namespace` and `pod`; may be empty.
    pub cpu: String,
    /// How often to ask.
    pub every: Duration,
    /// For how long to wait for one answer.
    pub patience: Duration,
    /// For how long to go on believing what was learned.
    pub believe: Duration,
}

impl Options {
    /// The usual questions to the Prometheus at an address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            questions: usual(),
            cpu: r#"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!="",container!="POD"}[5m]))"#
                .to_owned(),
            every: Duration::from_secs(300),
            patience: Duration::from_secs(30),
            believe: Duration::from_secs(3600),
        }
    }
}

/// How Istio, ingress-nginx and programs that count their own requests do it.
fn usual() -> Vec<Question> {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let question =
        |name: &str, by: &str, count: &str, sum: &str, of: &str, per: f64, namespace: &[&str], service: &[&str]| {
            let rate = |series: &str| format!("sum by ({by}) (rate({series}[5m]))");
            let scale = if per == 1.0 { String::new() } else { format!(" / {per}") };
            Question {
                name: name.to_owned(),
                requests: rate(count),
                seconds: format!("{} / {}{scale}", rate(sum), rate(of)),
                namespace: list(namespace),
                service: list(service),
            }
        };
    vec![
        question(
            "istio",
            "destination_service_namespace, destination_service_name",
            r#"istio_requests_total{reporter="destination"}"#,
            r#"istio_request_duration_milliseconds_sum{reporter="destination"}"#,
            r#"istio_request_duration_milliseconds_count{reporter="destination"}"#,
            1000.0,
            &["destination_service_namespace"],
            &["destination_service_name"],
        ),
        question(
            "ingress-nginx",
            "exported_namespace, exported_service, namespace, service",
            "nginx_ingress_controller_requests",
            "nginx_ingress_controller_response_duration_seconds_sum",
            "nginx_ingress_controller_response_duration_seconds_count",
            1.0,
            &["exported_namespace", "namespace"],
            &["exported_service", "service"],
        ),
        question(
            "http_requests_total",
            "namespace, service",
            "http_requests_total",
            "http_request_duration_seconds_sum",
            "http_request_duration_seconds_count",
            1.0,
            &["namespace"],
            &["service"],
        ),
    ]
}

/// What was learned of each service (`namespace/name`): the names and texts of annotations about load.
pub type Learned = BTreeMap<String, BTreeMap<String, String>>;

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Its address cannot be used.
    #[error("the address of Prometheus cannot be used")]
    Address(#[source] UpstreamError),
    /// It did not answer.
    #[error("no answer from Prometheus: {0}")]
    Unanswered(#[from] Unanswered),
    /// It answered something else than what was asked.
    #[error("the answer to {question} is none: {why}")]
    Answer {
        /// What was asked, by name.
        question: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Learns the load on a followed cluster, again and again.
pub struct Telemetry {
    learned: Arc<ArcSwap<Learned>>,
    task: AbortHandle,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Telemetry {
    /// Starts to ask.
    ///
    /// # Errors
    /// [`TelemetryError::Address`] if there is nobody to ask.
    pub fn start(options: Options, sync: Arc<Sync>) -> Result<Self, TelemetryError> {
        let upstream = connect(&options)?;
        let learned = Arc::new(ArcSwap::from_pointee(Learned::new()));
        let told = learned.clone();
        let task = tokio::spawn(async move {
            let mut since = Instant::now();
            loop {
                let snapshot = sync.until(|snapshot| !snapshot.parts.is_empty()).await;
                match learn(&upstream, &options, &snapshot.cluster).await {
                    Ok(found) => {
                        info!(services = found.len(), "learned the load");
                        told.store(Arc::new(found));
                        since = Instant::now();
                    }
                    Err(error) => {
                        warn!(%error, "the load could not be learned");
                        if since.elapsed() > options.believe {
                            told.store(Arc::default());
                        }
                    }
                }
                tokio::time::sleep(options.every).await;
            }
        });
        Ok(Self { learned, task: task.abort_handle() })
    }

    /// Tells a fork what is known.
    pub fn tell(&self, cluster: &mut Cluster) {
        tell(cluster, &self.learned.load());
    }
}

/// Tells a cluster of the load on its services.
pub fn tell(cluster: &mut Cluster, learned: &Learned) {
    if cluster.settings.traffic != *learned {
        Arc::make_mut(&mut cluster.settings).traffic.clone_from(learned);
    }
}

/// Asks once.
///
/// # Errors
/// [`TelemetryError`] if it has not answered at all, or nonsense. What one question has no answer to another may have.
pub async fn learn_once(options: &Options, cluster: &Cluster) -> Result<Learned, TelemetryError> {
    learn(&connect(options)?, options, cluster).await
}

fn connect(options: &Options) -> Result<Upstream, TelemetryError> {
    Upstream::plain(&options.url, options.token.as_deref()).map_err(TelemetryError::Address)
}

async fn learn(upstream: &Upstream, options: &Options, cluster: &Cluster) -> Result<Learned, TelemetryError> {
    let now = cluster.now().as_millis() / 1000;
    let ask = |name: String, path: String| async move {
        let request = Request::get(path).body(Bytes::new()).map_err(|error| wrong(&name, &error.to_string()))?;
        let answer = upstream.fetch(request, options.patience, ANSWER_MAX).await?;
        series(&name, answer.body())
    };
    let mut learned = Learned::new();
    let mut rates: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for question in &options.questions {
        let (query, start) = (encoded(&question.requests), now - WEEK_SECONDS);
        let path = format!("/api/v1/query_range?query={query}&start={start}&end={now}&step={HOUR_SECONDS}");
        let mut fresh = Vec::new();
        for found in ask(question.name.clone(), path).await? {
            if let Some(name) = found.names(&question.namespace, &question.service)
                && !rates.contains_key(&name)
                && !found.points.is_empty()
            {
                fresh.push((name, found.points));
            }
        }
        // Two series of one service, as an old and a new label give, are its requests together.
        for (name, points) in fresh {
            let have = rates.entry(name).or_default();
            for (at, rate) in points {
                match have.iter_mut().find(|(when, _)| *when == at) {
                    Some((_, sum)) => *sum += rate,
                    None => have.push((at, rate)),
                }
            }
        }
        if !question.seconds.is_empty() {
            let path = format!("/api/v1/query?query={}&time={now}", encoded(&question.seconds));
            for found in ask(question.name.clone(), path).await? {
                if let (Some(name), Some((_, seconds))) =
                    (found.names(&question.namespace, &question.service), found.points.last())
                    && *seconds > 0.0
                {
                    let entry = learned.entry(name).or_default();
                    entry.entry("request-seconds".to_owned()).or_insert_with(|| format!("{seconds:.6}"));
                }
            }
        }
    }
    let mut cpu: BTreeMap<String, f64> = BTreeMap::new();
    if !options.cpu.is_empty() {
        let path = format!("/api/v1/query?query={}&time={now}", encoded(&options.cpu));
        for found in ask("cpu".to_owned(), path).await? {
            let (namespace, pod) = (found.label("namespace"), found.label("pod"));
            if let (Some(namespace), Some(pod), Some((_, cores))) = (namespace, pod, found.points.last()) {
                cpu.insert(format!("{namespace}/{pod}"), *cores);
            }
        }
    }
    learned.retain(|name, _| rates.contains_key(name));
    for (name, points) in &rates {
        let entry = learned.entry(name.clone()).or_default();
        arrivals(points, entry);
        if let Some((_, now)) = points.iter().max_by_key(|(at, _)| *at) {
            let peak = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
            capacity(cluster, name, *now, peak, &cpu, entry);
        }
    }
    Ok(learned)
}

/// What comes when: by hour of the week if every hour has been seen, else the most that was seen.
fn arrivals(points: &[(i64, f64)], entry: &mut BTreeMap<String, String>) {
    let mut hours = vec![(0.0, 0_u32); WEEK_HOURS];
    for (at, rate) in points {
        let hour = (at + MONDAY_OFFSET_SECONDS).rem_euclid(WEEK_SECONDS) / HOUR_SECONDS;
        if let Some((sum, count)) = usize::try_from(hour).ok().and_then(|hour| hours.get_mut(hour)) {
            *sum += rate;
            *count += 1;
        }
    }
    if hours.iter().all(|(_, count)| *count > 0) {
        let means: Vec<String> = hours.iter().map(|(sum, count)| format!("{:.3}", sum / f64::from(*count))).collect();
        entry.insert("requests-by-hour".to_owned(), means.join(","));
    } else {
        let most = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        entry.insert("requests-per-second".to_owned(), format!("{most:.3}"));
    }
}

/// What a pod can serve, from what its requests take of its CPU: at least what it has served, at most what would take all
/// the CPU that it may have.
fn capacity(
    cluster: &Cluster,
    name: &str,
    now: f64,
    peak: f64,
    cpu: &BTreeMap<String, f64>,
    entry: &mut BTreeMap<String, String>,
) {
    let Some((namespace, plain)) = name.split_once('/') else { return };
    let Some(service) = cluster.get(&ObjectKey::new("services", namespace, plain)) else { return };
    let selector = service.at(&["spec", "selector"]);
    let ready = traffic::ready(cluster, name);
    if selector.is_empty() || ready == 0 || now <= 0.0 {
        return;
    }
    let (mut used, mut may) = (0.0, 0.0);
    for (key, pod) in cluster.selected(namespace, selector) {
        let Some(cores) = cpu.get(&format!("{namespace}/{}", key.name)) else { continue };
        used += cores;
        may += allowed(pod);
    }
    if used <= 0.0 {
        return;
    }
    entry.insert("cpu-per-request".to_owned(), format!("{}m", (used / now * 1000.0).ceil().max(1.0)));
    if may > 0.0 {
        let most = now / ready as f64 * (may / used);
        let least = (peak / ready as f64).min(most);
        entry.insert("capacity-per-pod".to_owned(), format!("{least:.3}..{most:.3}"));
    }
}

/// The CPU that a pod may have, in cores: its limits, else what it requests.
fn allowed(pod: &Value) -> f64 {
    let containers = pod.at(&["spec", "containers"]).items().iter();
    let cores = containers.map(|container| {
        let said = |part: &str| Quantity::of(container.at(&["resources", part, "cpu"]));
        said("limits").or_else(|| said("requests")).map_or(0.0, |cpu| cpu.as_milli() as f64 / 1000.0)
    });
    cores.sum()
}

/// One series of an answer.
struct Series {
    labels: BTreeMap<String, String>,
    /// Seconds since 1970, and what was then.
    points: Vec<(i64, f64)>,
}

impl Series {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str).filter(|value| !value.is_empty() && *value != "unknown")
    }

    fn names(&self, namespace: &[String], service: &[String]) -> Option<String> {
        let first = |names: &[String]| names.iter().find_map(|name| self.label(name));
        Some(format!("{}/{}", first(namespace)?, first(service)?))
    }
}

fn wrong(question: &str, why: &str) -> TelemetryError {
    TelemetryError::Answer { question: question.to_owned(), why: why.to_owned() }
}

/// Reads an answer, a vector or a matrix. Numbers that are none (0/0 of a service that nobody asks) are left out.
fn series(question: &str, body: &[u8]) -> Result<Vec<Series>, TelemetryError> {
    let answer: Json = serde_json::from_slice(body).map_err(|error| wrong(question, &error.to_string()))?;
    if answer.get("status").and_then(Json::as_str) != Some("success") {
        let why = answer.get("error").and_then(Json::as_str).unwrap_or("it does not say why");
        return Err(wrong(question, why));
    }
    let results = answer.pointer("/data/result").and_then(Json::as_array);
    let results = results.ok_or_else(|| wrong(question, "it has no data"))?;
    let point = |point: &Json| {
        let (at, number) = (point.get(0)?.as_f64()?, point.get(1)?.as_str()?.parse::<f64>().ok()?);
        (number.is_finite() && number >= 0.0).then_some((at.round() as i64, number))
    };
    let series = results.iter().map(|result| {
        let labels = result.get("metric").and_then(Json::as_object);
        let labels =
            labels.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let values = result.get("values").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let points = values.iter().chain(result.get("value")).filter_map(point).collect();
        Series { labels: labels.collect(), points }
    });
    Ok(series.collect())
}

/// A text as a query in a URL has it.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_that_was_seen_whole_is_told_by_the_hour_and_less_by_its_peak() {
        let seen = |hours: i64| {
            let mut entry = BTreeMap::new();
            // From a Monday on.
            let points: Vec<(i64, f64)> = (0..hours).map(|hour| (4 * 86_400 + hour * 3600, hour as f64)).collect();
            arrivals(&points, &mut entry);
            entry
        };
        assert!(seen(168)["requests-by-hour"].starts_with("0.000,1.000,2.000"));
        assert_eq!(seen(30), BTreeMap::from([("requests-per-second".to_owned(), "29.000".to_owned())]));
    }

    #[test]
    fn an_answer_is_read_and_what_is_none_is_said() {
        let matrix = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"namespace":"shop","service":"web"},"values":[[3600,"5"],[7200,"NaN"],[10800.4,"7.5"]]}]}}"#;
        let found = series("q", matrix).unwrap();
        let label = |name: &str| vec![name.to_owned()];
        assert_eq!(found[0].names(&label("namespace"), &label("service")).as_deref(), Some("shop/web"));
        assert_eq!(found[0].points, [(3600, 5.0), (10800, 7.5)]);
        for (body, why) in
            [("{\"status\":\"error\",\"error\":\"parse error\"}", "parse error"), ("<html>", "expected value")]
        {
            assert!(series("q", body.as_bytes()).err().unwrap().to_string().contains(why), "{body}");
        }
    }

    #[test]
    fn a_query_survives_its_url() {
        assert_eq!(encoded("rate(x{a=\"b\"}[5m]) / 1"), "rate%28x%7Ba%3D%22b%22%7D%5B5m%5D%29%20%2F%201");
    }
}
