//! One answer for many actions, through the real program: agreed with bounds, used, shown, taken back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use serde_json::json;
use support::{Folder, Station};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_agrees_to_every_number_of_replicas_between_two_and_takes_it_back() {
    let rules = Folder::new();
    std::fs::write(
        rules.join("site.yaml"),
        "rules:\n- name: ask\n  help: People look at every Deployment.\n  remedy: Ask.\n  require: 'false'\n  otherwise: hold\n  \
         when: objects.exists(o, o.named && o.object.kind == 'Deployment')\n",
    )
    .unwrap();
    let config = format!(
        "[hold]\npatience_seconds = 0\nretry_after_seconds = 0\n[policy]\nrules = {:?}\n",
        rules.0.to_str().unwrap()
    );
    let station = Station::of(&support::shop(), &config, &[]).await;
    let gate = &station.gate;
    let client = gate.client(&gate.agent("oncall").token);
    let scale = async |replicas: u32| {
        let path = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
        client.patch(path, &json!({"spec": {"replicas": replicas}})).await.code
    };
    assert_eq!(scale(4).await, 429);
    let case = gate.json(&["pending"])[0]["case"].as_str().unwrap().to_owned();
    gate.json(&[
        "approve",
        &case,
        "--class",
        "--uses",
        "3",
        "--between",
        "spec.replicas=4..6",
        "--objects",
        "9",
        "--as",
        "alice",
    ]);

    assert_eq!(scale(4).await, 200, "the one that was shown");
    assert_eq!(scale(5).await, 200, "one like it");
    assert_eq!(scale(9).await, 429, "nobody agreed to nine");
    let grants = gate.json(&["grants"]);
    assert_eq!((&grants[0]["case"], &grants[0]["uses"]), (&json!(case), &json!(1)));
    assert_eq!((&grants[0]["terms"]["usesMax"], &grants[0]["by"]), (&json!(3), &json!(["alice"])));
    gate.json(&["revoke", &case, "--as", "bob"]);
    assert_eq!(scale(6).await, 429);
    assert_eq!(gate.json(&["grants"]), json!([]));
}
