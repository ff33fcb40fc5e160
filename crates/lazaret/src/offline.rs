//! A throw-away gate over a snapshot: `judge` and `what-if`.
//!
//! Knows: how a snapshot becomes a target, and how a recorded request becomes one that could have come in.
//! Does not know: anything real. There is no production here, no disk, and no vault that holds anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use gate::{Case, Gate, Journal, Parts, Settings, TokioHost, Vault};
use model::{ActionPolicy, AgentId, TargetName};
use serde_json::{Value, json};
use target_kubernetes::decode::{self, Asked};
use target_kubernetes::mask::Mask;
use target_kubernetes::message::Received;
use target_kubernetes::snapshot;
use target_kubernetes::standalone::Standalone;

use crate::cli::Failure;
use crate::config::{Config, WINDOW_MS};

/// A request that was recorded, as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// The recorder's name for it.
    pub(crate) id: String,
    /// Who sent it.
    pub(crate) agent: String,
    /// Why, in the agent's words.
    pub(crate) reason: Option<String>,
    /// `GET`, `PATCH`…
    pub(crate) method: String,
    /// The path, percent-encoded.
    pub(crate) path: String,
    /// The query, percent-encoded.
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub(crate) body: Vec<u8>,
}

/// A snapshot from files: what was under way in it goes on, and nothing else moves until something is done to it.
pub(crate) fn load(files: &[PathBuf], seed: u64) -> Result<Cluster, Failure> {
    let mut cluster = snapshot::load(files, None, seed)?;
    cluster.resume();
    Ok(cluster)
}

/// A gate with nothing behind it but a snapshot.
pub(crate) struct Bench {
    start: Cluster,
    config: Config,
    gate: Arc<Gate<Standalone>>,
}

impl Bench {
    /// A gate over the snapshot in these files, whose rules have the configuration's limits.
    pub(crate) fn open(files: &[PathBuf], seed: u64, config: Config) -> Result<Self, Failure> {
        let start = load(files, seed)?;
        let gate = gate(start.clone(), config.policies()?)?;
        Ok(Self { start, config, gate })
    }

    /// Leaves one rule alone in force, so that no other settles what it has not been asked about. Whether there is such a
    /// rule.
    ///
    /// # Errors
    /// As opening does.
    pub(crate) fn alone(&mut self, rule: &str) -> Result<bool, Failure> {
        let mut rules = self.config.policies()?;
        rules.retain(|one| one.name() == rule);
        let known = !rules.is_empty();
        self.gate = gate(self.start.clone(), rules)?;
        Ok(known)
    }

    /// The gate itself, for whoever sends requests through it.
    pub(crate) fn gate(&self) -> &Arc<Gate<Standalone>> {
        &self.gate
    }

    /// Judges a recorded request: on the snapshot itself, or (`in_sequence`) on what those allowed before it left.
    pub(crate) async fn judge(&mut self, recorded: &Recorded, in_sequence: bool) -> Result<Value, Failure> {
        if !in_sequence {
            self.gate = gate(self.start.clone(), self.config.policies()?)?;
        }
        let agent = AgentId::from(recorded.agent.as_str());
        let asked = match self.decode(recorded) {
            Ok(asked) => asked,
            Err(why) => return Ok(refused(&recorded.id, &why)),
        };
        let case = match gate::examine(&self.gate, &agent, asked.clone()).await {
            Ok(case) => case,
            Err(refusal) => return Ok(refused(&recorded.id, &refusal.text())),
        };
        let mut ruling = case.ruling();
        ruling.id.clone_from(&recorded.id);
        if in_sequence && ruling.verdict == "allow" {
            // What production would refuse changes nothing, and is not tried.
            let _ = gate::pass(&self.gate, &agent, asked).await;
        }
        Ok(serde_json::to_value(&ruling)?)
    }

    /// Judges one recorded request, and keeps everything that is thought of it.
    ///
    /// # Errors
    /// When it cannot be decoded, or not be judged.
    pub(crate) async fn examine(&mut self, recorded: &Recorded) -> Result<Case<Asked>, Failure> {
        let asked = self.decode(recorded)?;
        let agent = AgentId::from(recorded.agent.as_str());
        gate::examine(&self.gate, &agent, asked).await.map_err(|refusal| refusal.text().into())
    }

    fn decode(&self, recorded: &Recorded) -> Result<Asked, String> {
        let target = if recorded.query.is_empty() {
            recorded.path.clone()
        } else {
            format!("{}?{}", recorded.path, recorded.query)
        };
        let mut request = http::Request::builder().method(recorded.method.as_str()).uri(target);
        for (name, value) in &recorded.headers {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        let received = Received { head: request.into_parts().0, body: recorded.body.clone().into() };
        let schema = self.gate.target().schema();
        let mut asked = decode::decode(&schema, &received).map_err(|status| status.message)?;
        if asked.reason.is_none() {
            asked.reason.clone_from(&recorded.reason);
        }
        Ok(asked)
    }
}

/// The verdict on what cannot be decoded, or not be judged: it would not have been forwarded.
fn refused(id: &str, why: &str) -> Value {
    json!({
        "id": id, "verdict": "deny", "tier": "signature", "micros": {},
        "policies": [{"name": "decode", "opinion": "deny", "because": why}],
        "why": [{"policy": "decode", "text": why}],
    })
}

fn gate(cluster: Cluster, policies: Vec<Box<dyn ActionPolicy>>) -> Result<Arc<Gate<Standalone>>, Failure> {
    let name = TargetName::from("kubernetes");
    Ok(Gate::new(Parts {
        target: Standalone::new(name, cluster, Mask::new()?),
        policies,
        journal: Journal::in_memory(WINDOW_MS)?,
        vault: Vault::in_memory()?,
        host: Arc::new(TokioHost::current()?),
        settings: Settings {
            patience_ms: 0,
            simulate_ms: u64::try_from(Duration::from_secs(60).as_millis()).unwrap_or(u64::MAX),
            ..Settings::default()
        },
        probe: None,
    }))
}
