//! Whether a call whose answer was lost has happened.
//!
//! Knows: how to ask production without changing it.
//! Does not know: what was decided about the call.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::Value;
use cluster::apiserver::{Call, Verb};
use gate::Observation;
use model::{Effect, Overtaken, Service};
use tokio::time::{Instant, sleep_until};

use super::measured;
use crate::commit::Receipt;
use crate::effect::availability::ready_in;
use crate::sync::Sync;
use crate::upstream::{Upstream, request};

/// How long a call may still be on its way after its connection was lost: kube-apiserver lets one take 60 seconds
/// (`--request-timeout`), with what its webhooks think about it, and may have been late to read it.
pub(crate) const LINGER: Duration = Duration::from_secs(65);
/// How often is looked meanwhile.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A call whose answer was lost.
pub(crate) struct Lost<'a> {
    pub(crate) call: &'a Call,
    /// The version of its object that it was conditional on.
    pub(crate) pin: Option<&'a str>,
    pub(crate) predicted: &'a Effect,
}

/// Whether a call whose answer was lost has happened. Nothing is changed to find out.
///
/// What has happened shows, and can be said at once. What does not show may still be on its way: that it did not happen is
/// said only of a look that began when nothing can be on its way any more. Nobody knows here when it was sent, but that it
/// was before this was asked.
pub(crate) async fn find_out(
    sync: &Sync,
    upstream: &Upstream,
    lost: &Lost<'_>,
    linger: Duration,
) -> Observation<Receipt> {
    let end = Instant::now() + linger;
    loop {
        let begun = Instant::now();
        match look(sync, upstream, lost).await {
            // A rehearsal stores nothing, however late.
            Observation::DidNot if begun < end && !lost.call.options.dry_run => {
                sleep_until((begun + PAUSE).min(end)).await;
            }
            seen => return seen,
        }
    }
}

/// What production shows of it now.
async fn look(sync: &Sync, upstream: &Upstream, lost: &Lost<'_>) -> Observation<Receipt> {
    let Lost { call, pin, predicted } = *lost;
    let happened = |object: Option<&Value>| {
        let receipt = Receipt {
            resource: call.resource().to_string(),
            namespace: call.on.namespace.to_string(),
            name: if call.on.name.is_empty() { call.body.name().to_owned() } else { call.on.name.to_string() },
            uid: object.map_or("", Value::uid).to_owned(),
            version: object.and_then(|object| object.resource_version().parse().ok()).unwrap_or(0),
            deleted: matches!(call.verb, Verb::Delete) || call.on.subresource == "eviction",
            dry_run: call.options.dry_run,
        };
        let snapshot = sync.newest();
        let steady: BTreeMap<String, Service> = predicted
            .forecast
            .services
            .keys()
            .filter_map(|name| {
                let (namespace, service) = name.split_once('/')?;
                Some((name.clone(), Service::steady(ready_in(&snapshot.cluster, namespace, service))))
            })
            .collect();
        let effect = Box::new(measured(&snapshot.cluster, predicted, steady));
        Observation::Happened { effect, overtaken: Overtaken::default(), receipt }
    };
    if call.options.dry_run {
        return Observation::DidNot;
    }
    let Some(look) = looking(call) else {
        return Observation::Unsure("it names no single object: compare the record with production by hand".to_owned());
    };
    let now = match ask(upstream, &look).await {
        Ok((200, object)) => Some(object),
        Ok((404, _)) => None,
        Ok((code, _)) => return Observation::Unsure(format!("production answered {code}")),
        Err(why) => return Observation::Unsure(why),
    };
    let unmoved = |object: &Value| pin.is_some_and(|pin| pin == object.resource_version());
    match (call.verb, call.on.subresource.as_str(), now) {
        (Verb::Delete, _, None) | (Verb::Create, "eviction", None) => happened(None),
        (Verb::Delete, _, Some(object)) | (Verb::Create, "eviction", Some(object)) => {
            if object.is_terminating() {
                happened(Some(&object))
            } else if unmoved(&object) || pin.is_none() {
                Observation::DidNot
            } else {
                Observation::Unsure("the object has changed, and it is not told by whom".to_owned())
            }
        }
        (Verb::Create, "", None) => Observation::DidNot,
        (_, _, None) => Observation::Unsure("the object is gone".to_owned()),
        (_, _, Some(object)) if unmoved(&object) => Observation::DidNot,
        // It has changed. If the call would change nothing now, it is this call that did: a dry run tells.
        (_, _, Some(object)) => match again(upstream, call).await {
            Ok(Some(result)) if same(&object, &result) => happened(Some(&object)),
            Ok(_) => Observation::Unsure("the object has changed, and not into what was asked for alone".to_owned()),
            Err(why) => Observation::Unsure(why),
        },
    }
}

/// A look at the object that a call names.
fn looking(call: &Call) -> Option<Call> {
    let mut look = call.clone();
    look.verb = Verb::Get;
    look.options = Default::default();
    look.body = Value::Null;
    look.output = Default::default();
    if matches!(look.on.subresource.as_str(), "eviction" | "binding" | "status" | "token") {
        look.on.subresource = Default::default();
    }
    if look.on.name.is_empty() {
        let name = call.body.name();
        if name.is_empty() || call.verb != Verb::Create {
            return None;
        }
        look.on.name = name.into();
    }
    Some(look)
}

/// What the call would make of the object now. A creation that finds its object there is compared with what it sent.
async fn again(upstream: &Upstream, call: &Call) -> Result<Option<Value>, String> {
    let mut again = call.clone();
    again.options.dry_run = true;
    again.output = Default::default();
    if call.verb == Verb::Create {
        // Made by this call or by another: the same content is all that can be told.
        again.verb = Verb::Update;
        again.on.name = call.body.name().into();
    }
    let (code, result) = ask(upstream, &again).await?;
    Ok((code < 300).then_some(result))
}

async fn ask(upstream: &Upstream, call: &Call) -> Result<(u16, Value), String> {
    let request = request(call).map_err(|error| error.to_string())?;
    let (head, body) =
        upstream.fetch(request, PATIENCE, ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())?.into_parts();
    Ok((head.status.as_u16(), Value::from_json(&body).unwrap_or_default()))
}

/// The same but for what every write changes.
fn same(one: &Value, two: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        for field in ["managedFields", "resourceVersion", "generation"] {
            if object.find(&["metadata", field]).is_some() {
                object.remove(&["metadata", field]);
            }
        }
        object.remove(&["status"]);
        object
    };
    bare(one) == bare(two)
}
