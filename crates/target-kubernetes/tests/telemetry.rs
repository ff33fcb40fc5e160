//! The load on services, learned from the real Prometheus.
//!
//! Needs `prometheus` (Debian's package of that name) in the path, or named by PROMETHEUS; without it the test says so and
//! shows nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cluster::{Cluster, ObjectKey, Schema, Value, traffic};
use target_kubernetes::telemetry::{self, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Ends what it started.
struct Ended(Child, std::path::PathBuf);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

/// Counts as if `shop/web` got fifty requests a second, each of 20 ms of one of two pods' CPU and 40 ms long.
async fn exporter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let began = std::time::Instant::now();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let passed = began.elapsed().as_secs_f64();
            let requests = 50.0 * passed;
            let cpu = |pod: &str| {
                let labels = format!(r#"namespace="shop",pod="{pod}",container="app""#);
                format!("container_cpu_usage_seconds_total{{{labels}}} {}\n", requests * 0.01)
            };
            let of_web = r#"{namespace="shop",service="web"}"#;
            let body = format!(
                "http_requests_total{of_web} {requests}\nhttp_request_duration_seconds_sum{of_web} {}\n\
                 http_request_duration_seconds_count{of_web} {requests}\n{}{}",
                requests * 0.04,
                cpu("web-1"),
                cpu("web-2"),
            );
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn shop() -> Cluster {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let mut cluster = Cluster::new(Schema::default(), twin::Time::from_millis(now.try_into().unwrap()), 1);
    let read = |text: &str| Value::from_json(text.as_bytes()).unwrap();
    for name in ["web-1", "web-2"] {
        let pod = format!(
            r#"{{"kind":"Pod","metadata":{{"name":"{name}","namespace":"shop","labels":{{"app":"web"}}}},
            "spec":{{"containers":[{{"name":"app","resources":{{"limits":{{"cpu":"1"}}}}}}]}}}}"#
        );
        cluster.load(ObjectKey::new("pods", "shop", name), read(&pod));
    }
    let service =
        r#"{"kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"selector":{"app":"web"}}}"#;
    cluster.load(ObjectKey::new("services", "shop", "web"), read(service));
    let slice = r#"{"kind":"EndpointSlice","metadata":{"name":"web","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}},
        "endpoints":[{"addresses":["10.0.0.1"]},{"addresses":["10.0.0.2"]}]}"#;
    cluster.load(ObjectKey::new("endpointslices.discovery.k8s.io", "shop", "web"), read(slice));
    cluster
}

#[tokio::test]
async fn the_real_prometheus_tells_the_load() {
    let program = std::env::var("PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
    let port = exporter().await;
    let folder = std::env::temp_dir().join(format!("telemetry-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("prometheus.yml");
    let scrape = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: shop\n  honor_labels: true\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    );
    std::fs::write(&config, scrape).unwrap();
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Command::new(&program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={own}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        eprintln!("there is no {program} here: nothing is shown");
        return;
    };
    let _ended = Ended(child, folder);

    let mut options = Options::new(format!("http://{own}"));
    options.patience = Duration::from_secs(5);
    // The usual questions look back five minutes, which is longer than anybody wants to wait here.
    let shorter = |query: &mut String| *query = query.replace("[5m]", "[4s]");
    shorter(&mut options.cpu);
    for question in &mut options.questions {
        shorter(&mut question.requests);
        shorter(&mut question.seconds);
    }
    let mut said = String::new();
    for _ in 0..120 {
        let mut cluster = shop();
        match telemetry::learn_once(&options, &cluster).await {
            Ok(learned) => {
                telemetry::tell(&mut cluster, &learned);
                let traffic = traffic::around(&cluster, ["shop/web".to_owned()]);
                if traffic.services.get("shop/web").is_some_and(is_as_counted) {
                    return;
                }
                said = format!("{learned:?}");
            }
            Err(error) => said = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("it never told: {said}");
}

/// A pod serves 25 a second with half of its CPU: at least these, at most fifty.
fn is_as_counted(profile: &load::Profile) -> bool {
    let near = |number: f64, wanted: f64| (number - wanted).abs() < wanted * 0.1;
    let server = profile.server;
    near(profile.arrivals.at(0.0), 50.0)
        && near(server.seconds, 0.04)
        && near(server.rate - server.doubt, 25.0)
        && near(server.rate + server.doubt, 50.0)
}

#[tokio::test]
async fn nobody_who_answers_is_an_error_and_no_load() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = telemetry::learn_once(&Options::new(format!("http://{nobody}")), &shop()).await.unwrap_err();
    assert!(error.to_string().starts_with("no answer from Prometheus"), "{error}");
    assert!(telemetry::learn_once(&Options::new("no address"), &shop()).await.is_err());
}
