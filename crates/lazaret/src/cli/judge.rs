//! `lazaret judge`: recorded actions in, verdicts out, nothing real touched.
//!
//! Knows: the JSON of an action and of a verdict (`docs/formats.md`).
//! Does not know: how a verdict comes about.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::{DENIED, HELD, Limits, Out, Outcome};
use crate::offline::{Bench, Recorded};

/// Judge recorded actions against a snapshot
///
/// Reads one JSON object a line from standard input and writes one verdict a line to standard output. Nothing real is
/// touched: every action is played on a fork of the snapshot.
///
/// Exit status: 0 if every action would be allowed, 3 if one would be held, 4 if one would be denied, 1 if a line is no action.
#[derive(Debug, clap::Args)]
pub(crate) struct Judge {
    /// The cluster that the actions are judged on: a List in JSON or YAML, a folder of such files, or JSON Lines; .gz and
    /// .zst of any
    #[arg(long, required = true, num_args = 1..)]
    snapshot: Vec<PathBuf>,

    /// Judge each action on its own fork of the snapshot, or on the result of those allowed before it
    #[arg(long, value_enum, default_value_t = Each::Fresh)]
    each: Each,

    /// The seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Each {
    Fresh,
    Sequence,
}

/// An action as it is written: one line of input.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    #[serde(default)]
    id: String,
    #[serde(default = "kubernetes")]
    target: String,
    #[serde(default = "anyone")]
    agent: String,
    #[serde(default)]
    reason: Option<String>,
    request: Request,
}

fn kubernetes() -> String {
    "kubernetes".into()
}

fn anyone() -> String {
    "agent".into()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    query: serde_json::Map<String, Value>,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    raw_body: Option<String>,
    #[serde(default)]
    raw_body_base64: Option<String>,
}

impl Judge {
    pub(crate) async fn run(self) -> Outcome {
        let mut bench = Bench::open(&self.snapshot, self.seed, self.limits.read()?)?;
        let mut worst = 0;
        let mut out = io::BufWriter::new(Out);
        for (number, line) in io::stdin().lock().lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let recorded = serde_json::from_str(&line).map_err(|error| error.to_string()).and_then(recorded);
            let recorded = recorded.map_err(|error| format!("line {}: {error}", number + 1))?;
            let verdict = bench.judge(&recorded, self.each == Each::Sequence).await?;
            worst = worst.max(match verdict.get("verdict").and_then(Value::as_str) {
                Some("allow") => 0,
                Some("hold") => HELD,
                _ => DENIED,
            });
            writeln!(out, "{verdict}")?;
            out.flush()?;
        }
        Ok(ExitCode::from(worst))
    }
}

/// An action as it is written, as a request that could have come in.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn recorded(line: Line) -> Result<Recorded, String> {
    if line.target != "kubernetes" {
        return Err(format!("target {:?} is not known here; known: kubernetes", line.target));
    }
    let request = line.request;
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect();
    let body = match (request.body, request.raw_body, request.raw_body_base64) {
        (None, None, None) => Vec::new(),
        (Some(body), None, None) => body.to_string().into_bytes(),
        (None, Some(raw), None) => raw.into_bytes(),
        (None, None, Some(raw)) => STANDARD.decode(raw).map_err(|error| format!("rawBodyBase64: {error}"))?,
        _ => return Err("only one of body, rawBody and rawBodyBase64 may stand in a request".into()),
    };
    if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".into(), "application/json".into()));
    }
    Ok(Recorded {
        id: line.id,
        agent: line.agent,
        reason: line.reason,
        method: request.method,
        path: request.path,
        query: query(&request.query),
        headers,
        body,
    })
}

/// The query as it would stand in the URL. A list is the same parameter several times.
fn query(parameters: &serde_json::Map<String, Value>) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        match value {
            Value::Array(values) => {
                for value in values {
                    out.append_pair(name, &text(value));
                }
            }
            value => {
                out.append_pair(name, &text(value));
            }
        }
    }
    out.finish()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
