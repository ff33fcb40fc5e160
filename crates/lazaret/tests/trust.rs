//! How far the gate believes its twin, and why: what it saw come of its own forecasts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use serde_json::json;

use support::{Station, until};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

#[tokio::test(flavor = "multi_thread")]
async fn scaling_up_and_down_in_quick_turns_costs_the_twin_no_trust() {
    let station = Station::of(&support::shop(), "[hold]\npatience_seconds = 0\n", &[]).await;
    let client = station.gate.client(&station.gate.agent("oncall").token);
    let mut stories = Vec::new();
    for round in 0..2 {
        for turn in 0..25 {
            let replicas = 3 + (round + turn + 1) % 2;
            let answer = client.patch(WEB, &json!({"spec": {"replicas": replicas}})).await;
            assert_eq!(answer.code, 200, "round {round}, turn {turn}: {}", answer.message());
        }
        let latest = station.gate.json(&["show"]);
        let case = |n: usize| latest[n]["case"].as_str().unwrap().to_owned();
        let told = async |n: usize| {
            until("the case is observed", async || {
                let story = station.gate.ask(&["show", &case(n)]).unwrap();
                story.contains("observed").then_some(story)
            })
            .await
        };
        // The last is held to its forecast; the one before it can no longer be, and the record says why.
        stories.push((told(0).await, told(1).await, case(0)));
    }
    for (last, before, case) in stories {
        assert!(before.contains(&format!("overtaken by case {case}")), "{before}");
        let counted = last.lines().find_map(|line| line.split_once("observed: ")).unwrap().1;
        let (right, of) = counted.split_once(" of ").unwrap();
        assert!(right != "0" && of.starts_with(&format!("{right} ")), "{last}");
    }
}
