//! What production says of itself: discovery and OpenAPI, fetched again when it changes.
//!
//! Knows: which paths to ask, and that an OpenAPI document's address changes when the document does.
//! Does not know: what the answers mean; the schema does.

use std::collections::BTreeMap;

use bytes::Bytes;
use cluster::{Schema, Value};
use http::Request;
use http::header::ACCEPT;

use crate::upstream::{PATIENCE, Upstream};

/// The largest document: OpenAPI of the core group is 1.5 MB on a real server.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Fetches production's schema, and remembers the OpenAPI documents that have not changed.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// By address, which holds the document's hash.
    documents: BTreeMap<String, Bytes>,
}

impl Discovery {
    /// The schema as production has it now.
    pub(super) async fn schema(&mut self, upstream: &Upstream) -> Result<Schema, String> {
        let mut answers = Vec::new();
        for path in ["/version", "/api", "/apis"] {
            answers.push((path.to_owned(), get(upstream, path).await?));
        }
        // What other paths there are is not for everyone to see, and nothing depends on it.
        if let Ok(paths) = get(upstream, "/").await {
            answers.push(("/".to_owned(), paths));
        }
        for path in versions(&answers)? {
            // An aggregated API whose server is away is listed but answers 503; its resources are not there, then.
            match get(upstream, &path).await {
                Ok(answer) => answers.push((path, answer)),
                Err(why) => tracing::warn!(path, why, "a group cannot be discovered"),
            }
        }
        let index = get(upstream, "/openapi/v3").await?;
        let paths = parse("/openapi/v3", &index)?;
        let mut documents = BTreeMap::new();
        for (path, entry) in paths.at(&["paths"]).entries() {
            let path = format!("/openapi/v3/{path}");
            let address = entry.at(&["serverRelativeURL"]).as_str().unwrap_or(&path).to_owned();
            let document = match self.documents.remove(&address) {
                Some(known) => known,
                None => match get(upstream, &address).await {
                    Ok(document) => document,
                    Err(why) => {
                        tracing::warn!(address, why, "an OpenAPI document cannot be fetched");
                        continue;
                    }
                },
            };
            // One whose address does not change with it must be fetched again each time.
            if address.contains("hash=") {
                documents.insert(address, document.clone());
            }
            answers.push((path, document));
        }
        answers.push(("/openapi/v3".to_owned(), index));
        self.documents = documents;
        // Half a megabyte of JSON takes a while to be read.
        tokio::task::spawn_blocking(move || Schema::from_answers(answers))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }
}

/// The paths of every group's versions.
fn versions(answers: &[(String, Bytes)]) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for (path, answer) in answers {
        let document = match path.as_str() {
            "/api" | "/apis" => parse(path, answer)?,
            _ => continue,
        };
        for version in document.at(&["versions"]).items() {
            paths.push(format!("/api/{}", version.str_or_empty()));
        }
        for group in document.at(&["groups"]).items() {
            for version in group.at(&["versions"]).items() {
                paths.push(format!("/apis/{}", version.at(&["groupVersion"]).str_or_empty()));
            }
        }
    }
    Ok(paths)
}

fn parse(path: &str, answer: &[u8]) -> Result<Value, String> {
    Value::from_json(answer).map_err(|error| format!("{path}: {error}"))
}

async fn get(upstream: &Upstream, path: &str) -> Result<Bytes, String> {
    let request = Request::get(path).header(ACCEPT, "application/json").body(Bytes::new());
    let request = request.map_err(|error| format!("{path}: {error}"))?;
    let answer = upstream.fetch(request, PATIENCE, BYTES_MAX).await.map_err(|error| format!("{path}: {error}"))?;
    if answer.status().is_success() { Ok(answer.into_body()) } else { Err(format!("{path}: {}", answer.status())) }
}
