//! The way to production: credentials of every kind, and what is known of a request that got no answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use support::{Folder, production};
use target_kubernetes::kubeconfig::Kubeconfig;
use target_kubernetes::listen::{self, Handler};
use target_kubernetes::message::{self, Body};
use target_kubernetes::tls::{Authority, install_default};
use target_kubernetes::upstream::{Unanswered, Upstream};

const PATIENCE: Duration = Duration::from_secs(20);

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn a_credential_is_taken_from_wherever_the_kubeconfig_says() {
    let production = production(|_| {}).await;
    let (folder, token) = (Folder::new(), &production.served.token);
    let (file, program) = (folder.0.join("token"), folder.0.join("login"));
    std::fs::write(&file, token).unwrap();
    let answer = format!(
        r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{token}"}}}}"#
    );
    std::fs::write(&program, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let text = std::fs::read_to_string(&production.served.kubeconfig).unwrap();
    let said = format!("token: \"{token}\"");
    for credential in [
        said.clone(),
        format!("tokenFile: {}", file.display()),
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: {}, interactiveMode: Never}}",
            program.display()
        ),
    ] {
        assert!(text.contains(&said));
        let upstream = Upstream::from_text(&text.replace(&said, &credential), None).await.unwrap();
        let answer = upstream.fetch(get("/api/v1/namespaces/shop"), PATIENCE, 1 << 20).await.unwrap();
        assert_eq!(answer.status(), 200, "{credential}");
    }
}

/// Takes requests, counts them, and answers none.
struct Silent {
    asked: AtomicUsize,
    hangs_up: bool,
}

impl Handler for Silent {
    async fn handle(self: Arc<Self>, _: Request<Incoming>) -> Response<Body> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs_up {
            panic!("hangs up on purpose");
        }
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_got_no_answer_may_have_been_done_and_is_not_sent_again() {
    install_default();
    let authority = Authority::new("test").unwrap();
    for (hangs_up, patience) in [(true, PATIENCE), (false, Duration::from_millis(300))] {
        let silent = Arc::new(Silent { asked: AtomicUsize::new(0), hangs_up });
        let tls = authority.server(&[], &[]).unwrap();
        let address = ([127, 0, 0, 1], 0).into();
        let listening = listen::listen(address, tls, listen::stop_signal(), silent.clone()).await.unwrap();
        let server = format!("https://{}", listening.address);
        let text = Kubeconfig { name: "a", server: &server, authority: authority.pem(), token: "t" }.to_yaml();
        let upstream = Upstream::from_text(&text, None).await.unwrap();
        let write = Request::post("/api/v1/namespaces").body(Bytes::from_static(b"{}")).unwrap();
        let lost = upstream.send(write, patience).await.unwrap_err();
        assert!(matches!(lost, Unanswered::Lost(_)), "{lost:?}");
        assert_eq!(silent.asked.load(Ordering::SeqCst), 1);
    }
}

/// Says that it cannot now: kube would ask again.
struct Busy(AtomicUsize, u16);

impl Handler for Busy {
    async fn handle(self: Arc<Self>, _: Request<Incoming>) -> Response<Body> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(message::whole("{}"));
        *response.status_mut() = http::StatusCode::from_u16(self.1).unwrap();
        response
    }
}

#[tokio::test]
async fn an_answer_that_invites_to_ask_again_is_given_as_it_is() {
    install_default();
    let authority = Authority::new("test").unwrap();
    for code in [429, 500, 503, 504] {
        let busy = Arc::new(Busy(AtomicUsize::new(0), code));
        let tls = authority.server(&[], &[]).unwrap();
        let address = ([127, 0, 0, 1], 0).into();
        let listening = listen::listen(address, tls, listen::stop_signal(), busy.clone()).await.unwrap();
        let server = format!("https://{}", listening.address);
        let text = Kubeconfig { name: "a", server: &server, authority: authority.pem(), token: "t" }.to_yaml();
        let upstream = Upstream::from_text(&text, None).await.unwrap();
        let write = Request::post("/api/v1/namespaces").body(Bytes::from_static(b"{}")).unwrap();
        assert_eq!(upstream.send(write, PATIENCE).await.unwrap().status(), code);
        assert_eq!(busy.0.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_never_left_is_known_not_to_have_been_done() {
    let production = production(|_| {}).await;
    let text = std::fs::read_to_string(&production.served.kubeconfig).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (token, server) = (&production.served.token, &production.served.server);
    let stranger = Authority::new("stranger").unwrap();
    for (what, kubeconfig) in [
        ("nobody listens", text.replace(server.as_str(), &format!("https://{free}"))),
        (
            "the certificate is a stranger's",
            Kubeconfig { name: "a", server, authority: stranger.pem(), token }.to_yaml(),
        ),
        (
            "the program that logs in fails",
            text.replace(
                &format!("token: \"{token}\""),
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: \"false\", interactiveMode: Never}",
            ),
        ),
    ] {
        let unanswered = match Upstream::from_text(&kubeconfig, None).await {
            Ok(upstream) => upstream.send(get("/version"), PATIENCE).await.unwrap_err(),
            Err(error) => Unanswered::NotSent(error.to_string()),
        };
        assert!(matches!(unanswered, Unanswered::NotSent(_)), "{what}: {unanswered:?}");
        assert!(!unanswered.to_string().contains(token.as_str()), "{what}: {unanswered:?}");
    }
}
