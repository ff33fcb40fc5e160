//! The twin of production, with a served cluster as production.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cluster::value::Text;
use cluster::{ObjectKey, doc};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{Folder, PATIENCE, config_map, empty_cluster, production, secret};
use target_kubernetes::kubeconfig::Kubeconfig;
use target_kubernetes::listen::{self, Handler, Listening};
use target_kubernetes::mask::Mask;
use target_kubernetes::message::{self, Body};
use target_kubernetes::serve::{self, Options};
use target_kubernetes::sync::{self, Snapshot, Sync};
use target_kubernetes::tls::Authority;
use target_kubernetes::upstream::Upstream;
use twin::Time;

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn map(name: &str) -> ObjectKey {
    ObjectKey::new("configmaps", "shop", name)
}

fn data(snapshot: &Snapshot, name: &str) -> String {
    snapshot.cluster.get(&map(name)).map_or_else(String::new, |map| map.at(&["data", "a"]).str_or_empty().to_owned())
}

async fn follow(kubeconfig: &std::path::Path, options: sync::Options) -> Arc<Sync> {
    let upstream = Upstream::from_file(kubeconfig, None).await.unwrap();
    Sync::start(upstream, Mask::new().unwrap(), Time::from_millis(0), options)
}

async fn until(sync: &Sync, condition: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    tokio::time::timeout(PATIENCE, sync.until(condition)).await.expect("the snapshot does not come to it")
}

#[tokio::test]
async fn the_twin_holds_what_production_holds_and_follows_it() {
    let production = production(|_| {}).await;
    let client = production.client();
    client.post(MAPS, &config_map("a")).await;
    client.post("/api/v1/namespaces/shop/secrets", &secret("db")).await;
    let sync = follow(&production.served.kubeconfig, sync::Options::default()).await;
    let snapshot = sync.ready(PATIENCE).await.unwrap();

    let live = production.served.handle.live().fork();
    let unlike: Vec<String> = live
        .objects()
        .filter(|(key, object)| !key.is("events") && !key.is("secrets") && snapshot.cluster.get(key) != Some(object))
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(unlike, Vec::<String>::new());
    let kept = snapshot.cluster.get(&ObjectKey::new("secrets", "shop", "db")).unwrap().to_json();
    assert!(!kept.contains("aHVudGVyMg==") && kept.contains("password"), "{kept}");

    client.post(MAPS, &config_map("b")).await;
    until(&sync, |snapshot| data(snapshot, "b") == "1").await;
    client.delete(&format!("{MAPS}/a")).await;
    let newest = until(&sync, |snapshot| snapshot.cluster.get(&map("a")).is_none()).await;
    // What was forked before is not touched by what came later.
    assert_eq!((data(&snapshot, "a").as_str(), data(&newest, "b").as_str()), ("1", "1"));
    assert!(newest.parts[&Text::from("configmaps")].version > snapshot.parts[&Text::from("configmaps")].version);
}

#[tokio::test]
async fn a_restart_makes_the_twin_stale_until_it_has_caught_up_also_on_what_no_watch_tells_any_more() {
    target_kubernetes::tls::install_default();
    let (folder, authority) = (Folder::new(), Arc::new(Authority::new("test").unwrap()));
    let options = |listen: SocketAddr| Options {
        listen,
        token: Some("token".to_owned()),
        authority: Some(authority.clone()),
        ..Options::new(&folder.0)
    };
    let first = serve::serve(empty_cluster(), options(([127, 0, 0, 1], 0).into())).await.unwrap();
    let address: SocketAddr = first.server.strip_prefix("https://").unwrap().parse().unwrap();
    let client = support::Client::new(&first.server, authority.pem().as_bytes(), "token");
    client.post(MAPS, &config_map("stays")).await;
    client.post(MAPS, &config_map("goes")).await;
    let sync = follow(&first.kubeconfig, sync::Options::default()).await;
    sync.ready(PATIENCE).await.unwrap();

    let mut cluster = first.handle.live().fork();
    first.handle.stop().await;
    let mut limit = tokio::time::interval(Duration::from_millis(50));
    let broken = tokio::time::timeout(PATIENCE, async {
        loop {
            limit.tick().await;
            if let Err(stale) = sync.snapshot() {
                return stale;
            }
        }
    });
    let stale = broken.await.expect("nobody notices that production is away");
    assert!(stale.to_string().contains("watched") || stale.to_string().contains("listed"), "{stale}");

    // While nobody watches, one goes, one comes, and the log of changes is thrown away: a 410 for whoever follows.
    cluster.write(&map("goes"), None);
    let mut late = config_map("late");
    late.set(&["metadata", "namespace"], "shop");
    cluster.write(&map("late"), Some(late));
    let nothing = ObjectKey::new("configmaps", "shop", "compacts");
    cluster.load(nothing.clone(), config_map("compacts"));
    cluster.unload(&nothing);
    let second = serve::serve(cluster, options(address)).await.unwrap();
    let snapshot = until(&sync, |snapshot| {
        snapshot.fresh(Duration::from_secs(60)).is_ok() && snapshot.cluster.get(&map("late")).is_some()
    })
    .await;
    assert_eq!(data(&snapshot, "stays"), "1");
    assert!(snapshot.cluster.get(&map("goes")).is_none());
    second.handle.stop().await;
}

#[tokio::test]
async fn a_resource_that_is_defined_later_is_followed_too() {
    let production = production(|_| {}).await;
    let client = production.client();
    let sync = follow(&production.served.kubeconfig, sync::Options::default()).await;
    sync.ready(PATIENCE).await.unwrap();
    let definition = doc!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ships.harbour.test"},
        "spec": {
            "group": "harbour.test", "scope": "Namespaced",
            "names": {"kind": "Ship", "listKind": "ShipList", "plural": "ships", "singular": "ship"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"flag": {"type": "string"}}}},
            }}}],
        },
    });
    let made = client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    assert_eq!(made.code, 201, "{:?}", made.body);
    let ship =
        doc!({"apiVersion": "harbour.test/v1", "kind": "Ship", "metadata": {"name": "a"}, "spec": {"flag": "x"}});
    let path = "/apis/harbour.test/v1/namespaces/shop/ships";
    let mut sailed = client.post(path, &ship).await;
    for _ in 0..200 {
        if sailed.code != 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        sailed = client.post(path, &ship).await;
    }
    assert_eq!(sailed.code, 201, "{:?}", sailed.body);
    let key = ObjectKey::new("ships.harbour.test", "shop", "a");
    let snapshot = until(&sync, |snapshot| snapshot.cluster.get(&key).is_some()).await;
    assert!(snapshot.cluster.schema.by_kind("harbour.test", "v1", "Ship").is_some());
}

#[tokio::test]
async fn a_twin_that_cannot_reach_production_says_so_and_is_not_believed() {
    let production = production(|_| {}).await;
    let text = std::fs::read_to_string(&production.served.kubeconfig).unwrap();
    let wrong = Upstream::from_text(&text.replace(&production.served.token, "wrong"), None).await.unwrap();
    let sync = Sync::start(wrong, Mask::new().unwrap(), Time::from_millis(0), sync::Options::default());
    let stale = tokio::time::timeout(PATIENCE, sync.until(|snapshot| !snapshot.parts.is_empty())).await.unwrap();
    let error = stale.fresh(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
}

/// Stands before production and spoils what is asked of its ConfigMaps: every watch ends at once, with this code, and no
/// list but the first is answered.
struct Spoiler {
    upstream: Upstream,
    watch: u16,
    watched: AtomicUsize,
    listed: AtomicUsize,
}

impl Spoiler {
    async fn before(production: &support::Production, watch: u16) -> (Arc<Self>, Arc<Sync>, Listening) {
        let upstream = Upstream::from_file(&production.served.kubeconfig, None).await.unwrap();
        let spoiler = Self { upstream, watch, watched: AtomicUsize::new(0), listed: AtomicUsize::new(0) };
        let (spoiler, authority) = (Arc::new(spoiler), Authority::new("test").unwrap());
        let (tls, address) = (authority.server(&[], &[]).unwrap(), ([127, 0, 0, 1], 0).into());
        let listening = listen::listen(address, tls, listen::stop_signal(), spoiler.clone()).await.unwrap();
        let server = format!("https://{}", listening.address);
        let text = Kubeconfig { name: "a", server: &server, authority: authority.pem(), token: "t" }.to_yaml();
        let upstream = Upstream::from_text(&text, None).await.unwrap();
        let sync = Sync::start(upstream, Mask::new().unwrap(), Time::from_millis(0), sync::Options::default());
        (spoiler, sync, listening)
    }
}

impl Handler for Spoiler {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let target = request.uri().path_and_query().unwrap().as_str().to_owned();
        if target.starts_with("/api/v1/configmaps?") {
            if target.contains("watch=true") {
                self.watched.fetch_add(1, Ordering::SeqCst);
                let mut response = Response::new(message::whole(""));
                *response.status_mut() = StatusCode::from_u16(self.watch).unwrap();
                return response;
            }
            if self.listed.fetch_add(1, Ordering::SeqCst) > 0 {
                std::future::pending::<()>().await;
            }
        }
        let accept = request.headers().get("accept").cloned();
        let mut on = Request::get(target).body(Bytes::new()).unwrap();
        on.headers_mut().extend(accept.map(|accept| (http::header::ACCEPT, accept)));
        let (head, body) = self.upstream.send(on, PATIENCE).await.unwrap().into_parts();
        let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
        *response.status_mut() = head.status;
        response
    }
}

#[tokio::test]
async fn a_twin_that_has_missed_something_says_so_until_it_has_listed_again() {
    let production = production(|_| {}).await;
    let (spoiler, sync, _listening) = Spoiler::before(&production, 410).await;
    let maps = Text::from("configmaps");
    let broken = |snapshot: &Snapshot| snapshot.parts.get(&maps).and_then(|part| part.broken.clone());
    let snapshot = until(&sync, |snapshot| broken(snapshot).is_some()).await;
    let (_, why) = broken(&snapshot).unwrap();
    assert!(why.contains("fallen behind"), "{why}");
    assert_eq!(spoiler.watched.load(Ordering::SeqCst), 1, "nothing is watched before it is listed");
}

#[tokio::test]
async fn a_server_that_ends_every_watch_at_once_is_asked_less_and_less_often() {
    let production = production(|_| {}).await;
    let (spoiler, sync, _listening) = Spoiler::before(&production, 200).await;
    until(&sync, |snapshot| snapshot.parts.get(&Text::from("configmaps")).is_some_and(|part| part.listed)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let watched = spoiler.watched.load(Ordering::SeqCst);
    assert!((1..10).contains(&watched), "{watched} watches in two seconds");
}
