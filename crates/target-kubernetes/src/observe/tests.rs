//! A twin's forecast held against a production that goes its own way, in paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cluster::apiserver::{self, User};
use cluster::{Cluster, ObjectKey, Value, doc};
use gate::Observation;
use http::{Request, Response};
use hyper::body::Incoming;
use model::{Drift, Effect};
use tokio::time::sleep;

use super::{Lost, find_out, follow};
use crate::commit::Receipt;
use crate::kubeconfig::Kubeconfig;
use crate::listen::{self, Handler};
use crate::message::{self, Body};
use crate::sync::Sync;
use crate::testing::{asked, deployment, fresh, make, send, service, settle};
use crate::tls::{Authority, install_default};
use crate::twin::ClusterTwin;
use crate::upstream::Upstream;

const WEB: &str = "PATCH /apis/apps/v1/namespaces/shop/deployments/web";
const STEP: Duration = Duration::from_millis(100);

fn shop() -> Cluster {
    let mut cluster = fresh(3);
    for object in [deployment("web", 3), service("web"), deployment("other", 2), service("other")] {
        make(&mut cluster, &object);
    }
    settle(&mut cluster);
    cluster
}

fn replicas(count: i64) -> Value {
    doc!({"spec": {"replicas": (count)}})
}

/// What is found when an action is forecast on one cluster and done on another, in which something else may happen
/// meanwhile: told how many tenths of a second have gone by.
async fn drift(
    twin: Cluster,
    mut production: Cluster,
    (line, body): (&str, Value),
    mut meanwhile: impl FnMut(u32, &mut Cluster) + Send + 'static,
) -> Drift {
    let asked = asked(&twin, line, &body);
    let predicted = ClusterTwin::new(twin).play(&asked.call, &AtomicBool::new(false)).unwrap().effect;
    apiserver::handle(&mut production, &asked.call, &User::admin()).unwrap();
    let (sync, tell) = Sync::by_hand(production.clone());
    let life = tokio::spawn(async move {
        for tenths in 1..7000 {
            sleep(STEP).await;
            let now = production.now() + STEP;
            meanwhile(tenths, &mut production);
            production.advance(now);
            tell(production.clone());
        }
    });
    let observed = follow(&sync, &predicted, &Receipt { dry_run: true, ..Receipt::default() }).await;
    life.abort();
    let Observation::Happened { effect, overtaken, .. } = observed else { panic!("{observed:?}") };
    Drift::between(&predicted, &effect, overtaken)
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_is_right_is_found_to_be_right() {
    for line in [(WEB, replicas(5)), (WEB, replicas(1))] {
        let found = drift(shop(), shop(), line, |_, _| {}).await;
        assert!(found.wrong.is_empty() && found.overtaken.is_empty() && found.compared >= 4, "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_does_not_know_of_a_quota_is_found_to_be_wrong() {
    let mut production = shop();
    make(
        &mut production,
        &doc!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight", "namespace": "shop"},
            "spec": {"hard": {"pods": "6"}}}),
    );
    settle(&mut production);
    let found = drift(shop(), production, (WEB, replicas(5)), |_, _| {}).await;
    let wrong: Vec<&str> = found.wrong.iter().map(|miss| miss.what.as_str()).collect();
    assert_eq!(wrong, ["service shop/web readyAfter", "Deployment/shop/web readyAfter"], "{found:?}");
    assert!(found.overtaken.is_empty(), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_production_that_takes_longer_than_forecast_is_waited_for() {
    let slow = |delay: &str| {
        let mut cluster = fresh(3);
        let mut web = deployment("web", 3);
        web.set(&["spec", "template", "metadata", "annotations", "twin.lazaret.dev/ready-delay-ms"], delay);
        make(&mut cluster, &web);
        make(&mut cluster, &service("web"));
        settle(&mut cluster);
        cluster
    };
    let found = drift(slow("1000"), slow("20000"), (WEB, replicas(5)), |_, _| {}).await;
    assert!(found.wrong.is_empty(), "{found:?}");
    // But not for ever.
    let found = drift(slow("1000"), slow("90000"), (WEB, replicas(5)), |_, _| {}).await;
    assert_eq!(found.wrong.len(), 2, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changes_past_the_gate_is_held_against_no_forecast() {
    let outside = |what: fn(&mut Cluster)| {
        move |tenths, production: &mut Cluster| {
            if tenths == 20 {
                what(production)
            }
        }
    };
    let scaled = outside(|production| {
        send(production, &format!("{WEB}?fieldManager=human"), &replicas(1));
    });
    let found = drift(shop(), shop(), (WEB, replicas(5)), scaled).await;
    assert!(found.wrong.is_empty(), "{found:?}");
    let told = found.overtaken.told();
    let both = vec!["service shop/web".to_owned(), "Deployment/shop/web".to_owned()];
    assert_eq!(told.get("\"human\", past the gate"), Some(&both), "{found:?}");

    // What is none of its business overtakes nothing.
    let elsewhere = outside(|production| {
        send(production, "PATCH /apis/apps/v1/namespaces/shop/deployments/other", &replicas(1));
    });
    let found = drift(shop(), shop(), (WEB, replicas(5)), elsewhere).await;
    assert!(found.wrong.is_empty() && found.overtaken.is_empty(), "{found:?}");

    // A service is overtaken by whatever stands behind it, though the action never touched that.
    let mut both = shop();
    send(&mut both, "PATCH /api/v1/namespaces/shop/services/web", &doc!({"spec": {"selector": (Value::Null)}}));
    for name in ["web", "other"] {
        let line = format!("PATCH /apis/apps/v1/namespaces/shop/deployments/{name}");
        let tier = doc!({"spec": {"template": {"metadata": {"labels": {"tier": "front"}}}}});
        send(&mut both, &line, &tier);
    }
    let selector = doc!({"spec": {"selector": {"tier": "front"}}});
    send(&mut both, "PATCH /api/v1/namespaces/shop/services/web", &selector);
    settle(&mut both);
    let found = drift(both.clone(), both, (WEB, replicas(5)), elsewhere).await;
    assert!(found.wrong.is_empty(), "{found:?}");
    assert_eq!(found.overtaken.services.len(), 1, "{found:?}");
    assert!(found.overtaken.objects.is_empty(), "the Deployment itself is held to its forecast: {found:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_control_plane_does_by_itself_is_the_twins_to_know() {
    // An autoscaler that the twin has not heard of takes back what was done.
    let mut production = shop();
    make(
        &mut production,
        &doc!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"minReplicas": 1, "maxReplicas": 3,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80}}}]}}),
    );
    settle(&mut production);
    let found = drift(shop(), production, (WEB, replicas(5)), |_, _| {}).await;
    assert!(found.overtaken.is_empty(), "{found:?}");
    assert!(!found.wrong.is_empty(), "{found:?}");
}

/// Shows an object as it was, so many times, and then as it became. Whoever asks what a write would do is told that.
struct StoresLate {
    looks: AtomicUsize,
    before: Value,
    after: Value,
}

impl Handler for StoresLate {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let late = request.method() == http::Method::GET && self.looks.fetch_add(1, Ordering::SeqCst) == 0;
        Response::new(message::whole(if late { self.before.to_json() } else { self.after.to_json() }))
    }
}

#[tokio::test]
async fn what_production_stores_late_is_not_taken_for_what_did_not_happen() {
    install_default();
    let mut cluster = shop();
    let web = ObjectKey::new("deployments.apps", "shop", "web");
    let before = cluster.get(&web).unwrap().clone();
    let asked = asked(&cluster, WEB, &replicas(5));
    send(&mut cluster, WEB, &replicas(5));
    let after = cluster.get(&web).unwrap().clone();
    for (linger, found) in [(0, "did not"), (60, "happened")] {
        let production =
            Arc::new(StoresLate { looks: AtomicUsize::new(0), before: before.clone(), after: after.clone() });
        let authority = Authority::new("test").unwrap();
        let (tls, address) = (authority.server(&[], &[]).unwrap(), ([127, 0, 0, 1], 0).into());
        let listening = listen::listen(address, tls, listen::stop_signal(), production).await.unwrap();
        let server = format!("https://{}", listening.address);
        let text = Kubeconfig { name: "a", server: &server, authority: authority.pem(), token: "t" }.to_yaml();
        let upstream = Upstream::from_text(&text, None).await.unwrap();
        let (sync, _) = Sync::by_hand(cluster.clone());
        let predicted = Effect::none();
        let lost = Lost { call: &asked.call, pin: Some(before.resource_version()), predicted: &predicted };
        let seen = match find_out(&sync, &upstream, &lost, Duration::from_secs(linger)).await {
            Observation::Happened { receipt, .. } => {
                assert_eq!(receipt.version.to_string(), after.resource_version());
                "happened"
            }
            Observation::DidNot => "did not",
            Observation::Unsure(why) => panic!("{why}"),
        };
        assert_eq!(seen, found, "after {linger} s");
    }
}
