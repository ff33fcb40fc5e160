//! The gate dies at every point of an action's way, as by `kill -9`, and is started again: nothing is lost, nothing is sent
//! twice, and what is in doubt is resolved by looking at production.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(debug_assertions)] // a release build has no plug to pull

mod support;

use gate::Point;
use serde_json::json;

use support::{Answered, Client, Station, until};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

/// Every write in the shop waits for a person, and is told so at once.
const ALL_HELD: &str = "[target]\nrequest_timeout_seconds = 1\n[hold]\npatience_seconds = 0\n[policy]\nprotected_namespaces = [\"shop\"]\n";

/// A production that gives up a request after a second: what it did not do by then it does not do.
const NOT_HELD: &str = "[target]\nrequest_timeout_seconds = 1\n";

/// What is known of the Deployment `web` in production: its replicas, its generation, and how often it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    replicas: i64,
    generation: i64,
    writes: usize,
}

struct Scene {
    station: Station,
    token: String,
    held: bool,
}

impl Scene {
    async fn set(held: bool) -> Self {
        let config = if held { ALL_HELD } else { NOT_HELD };
        let station = Station::of(&support::shop(), config, &[]).await;
        let token = station.gate.agent("oncall").token;
        Self { station, token, held }
    }

    fn client(&self) -> Client {
        self.station.gate.client(&self.token)
    }

    fn state(&self) -> State {
        let web = self.station.production.object("deployments.apps", "shop", "web").unwrap();
        let writes = self.station.production.writes();
        State {
            replicas: web.at(&["spec", "replicas"]).as_int().unwrap(),
            generation: web.generation(),
            writes: writes.iter().filter(|seen| seen.target.starts_with(WEB)).count(),
        }
    }

    /// Asks for so many replicas. `Err` if the connection broke before the answer was whole.
    async fn scale(&self, replicas: i64) -> Result<Answered, String> {
        let body = json!({"spec": {"replicas": replicas}}).to_string();
        let client = self.client();
        client.try_send(client.request("PATCH", WEB, support::client::MERGE, body)).await
    }

    /// Asks for so many replicas, and goes on asking while it is not known what became of it before. Nothing is sent to
    /// production meanwhile.
    async fn insist(&self, replicas: i64) -> Answered {
        until("the doubt is resolved", async || {
            let before = self.state();
            let answer = self.scale(replicas).await.unwrap();
            if answer.code != 504 {
                return Some(answer);
            }
            assert!(answer.message().contains("it may have happened"), "{}", answer.message());
            assert!(!answer.headers.contains_key("retry-after"));
            assert_eq!(self.state(), before, "the change was sent again while it was in doubt");
            None
        })
        .await
    }

    /// A person approves the one case that waits.
    fn approve(&self) {
        let pending = self.station.gate.json(&["pending"]);
        let cases = pending.as_array().unwrap();
        assert_eq!(cases.len(), 1, "{pending}");
        self.station.gate.ask(&["approve", cases[0]["case"].as_str().unwrap(), "--as", "alice"]).unwrap();
    }

    /// The case that was judged last, and what has become of it.
    fn latest(&self) -> Option<(String, String)> {
        let latest = self.station.gate.json(&["show"]);
        let case = latest.as_array()?.first()?;
        Some((case["case"].as_str()?.to_owned(), case["fate"].as_str()?.to_owned()))
    }

    fn story(&self, case: &str) -> String {
        self.station.gate.ask(&["show", case]).unwrap()
    }

    /// One action, on the way of which the gate dies at this point; and all that must hold after it.
    async fn die_at(&mut self, point: Point) {
        let before = self.state();
        let wanted = before.replicas + 1;
        if self.held {
            assert_eq!(self.scale(wanted).await.unwrap().code, 429);
            self.approve();
        }
        let judged = self.latest().map(|(case, _)| case);
        self.station.gate.restart(&[("LAZARET_KILL_AT", &format!("{point:?}"))]);
        let answered = self.scale(wanted).await;
        until("the gate dies", async || self.station.gate.is_dead().then_some(())).await;

        let died = self.state();
        let sent = usize::from(point >= Point::Answered);
        let grown = i64::try_from(sent).unwrap();
        let changed = State {
            replicas: before.replicas + grown,
            generation: before.generation + grown,
            writes: before.writes + sent,
        };
        assert_eq!(died, changed, "{point:?}: sent before the intent was on disk, or not sent, or sent twice");
        // No agent is answered before production was and the record has it. After that the answer and the death of the
        // gate race each other: an answer that is lost on the way is what the restart below is about.
        assert!(answered.is_err() || point >= Point::Arrived, "{point:?}: {answered:?}");

        self.station.gate.restart(&[]);
        let verified = self.station.gate.ask(&["journal", "verify"]).unwrap();
        assert!(verified.contains("The journal is whole"), "{point:?}: {verified}");
        if point < Point::Intended && !self.held {
            let latest = self.latest().map(|(case, _)| case);
            assert_eq!(latest, judged, "{point:?}: there is a case of an action that was never decided");
        }
        let fates: &[&str] = match point {
            Point::Described | Point::Examined | Point::Permitted => &[],
            Point::Intended => &["did not happen"],
            Point::Answered => &["happened", "observed"],
            // The conclusion was handed over, but nobody waited for the disk.
            Point::Concluded | Point::Arrived | Point::Observed => &["happened", "committed", "observed"],
        };
        if !fates.is_empty() {
            let case = until("the case is settled", async || {
                self.latest().filter(|(_, fate)| fates.contains(&fate.as_str())).map(|(case, _)| case)
            })
            .await;
            let story = self.story(&case);
            assert_eq!(story.matches("intent written").count(), 1, "{point:?}: {story}");
            if matches!(point, Point::Intended | Point::Answered) {
                assert!(story.contains("in doubt: the gate ended between intent and conclusion"), "{point:?}: {story}");
            }
        }
        assert_eq!(self.state(), died, "{point:?}: the restarted gate sent something by itself");

        let mut again = self.insist(wanted).await;
        if self.held && point == Point::Intended {
            // An approval is for one intent, whatever became of it. Where the change has happened, the same request
            // changes nothing any more, and needs nobody.
            assert_eq!(again.code, 429, "{point:?}: {}", again.message());
            self.approve();
            again = self.insist(wanted).await;
        }
        assert_eq!(again.code, 200, "{point:?}: {}", again.message());
        let after = self.state();
        assert_eq!((after.replicas, after.generation), (wanted, before.generation + 1), "{point:?}");
        assert_eq!(after.writes, died.writes + 1, "{point:?}: one request, one write");
    }
}

async fn every_point(held: bool) {
    let mut scene = Scene::set(held).await;
    for point in Point::ALL {
        scene.die_at(point).await;
    }
    let pending = scene.station.gate.json(&["pending"]);
    assert_eq!(pending, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_action_survives_the_death_of_the_gate_at_every_point() {
    every_point(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_action_survives_the_death_of_the_gate_at_every_point() {
    every_point(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_dies_again_while_it_looks_leaves_the_doubt_to_the_next() {
    let mut scene = Scene::set(false).await;
    for point in [Point::Intended, Point::Answered] {
        let wanted = scene.state().replicas + 1;
        scene.station.gate.restart(&[("LAZARET_KILL_AT", &format!("{point:?}"))]);
        assert!(scene.scale(wanted).await.is_err());
        let died = scene.state();
        for _ in 0..2 {
            scene.station.gate.begin(&[("LAZARET_KILL_AT", "Observed")]);
            until("the gate dies again", async || scene.station.gate.is_dead().then_some(())).await;
        }
        scene.station.gate.restart(&[]);
        assert_eq!(scene.insist(wanted).await.code, 200);
        let (case, _) = scene.latest().unwrap();
        assert_eq!(scene.state().replicas, wanted, "{}", scene.story(&case));
        assert_eq!(scene.state().writes, died.writes + 1);
        scene.station.gate.ask(&["journal", "verify"]).unwrap();
    }
}
