//! Who may speak to whom in a service mesh, before and after.
//!
//! Knows: Istio's AuthorizationPolicy and PeerAuthentication, and which pods have the proxy that speaks for them.
//! Does not know: paths, methods and claims: a rule about some of them counts as one that admits, and not as one that refuses.

use cluster::{Cluster, ObjectKey, Value, labels};
use model::{Forecast, HazardKind};

use super::availability::ready_in;
use super::ledger::{Ledger, reference};
use super::{templates, warn};

const AUTHORIZATION: &str = "authorizationpolicies.security.istio.io";
const AUTHENTICATION: &str = "peerauthentications.security.istio.io";
/// What stands here is meant for every namespace.
const ROOT: &str = "istio-system";

/// Somebody who calls: as a mesh knows it.
struct Caller<'a> {
    key: Option<&'a ObjectKey>,
    object: &'a Value,
    template: &'a Value,
    account: &'a str,
}

/// Fills in the callers that would be refused, and the guards that would let in anybody.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let touched = |resource: &str| ledger.net().any(|(key, _)| key.is(resource));
    let (whom, how) = (touched(AUTHORIZATION), touched(AUTHENTICATION));
    if !whom && !how {
        return;
    }
    let nobody = Value::default();
    let anybody = Caller { key: None, object: &nobody, template: &nobody, account: "" };
    let callers: Vec<Caller<'_>> = templates::workloads(ledger.after, None)
        .map(|(key, object, template)| Caller {
            key: Some(key),
            object,
            template,
            account: template.at(&["spec", "serviceAccountName"]).as_str().unwrap_or("default"),
        })
        .collect();
    for (key, service) in ledger.after.list("services", None) {
        let selector = service.at(&["spec", "selector"]);
        if selector.is_empty() || ready_in(ledger.after, &key.namespace, &key.name) == 0 {
            continue;
        }
        let admits = |cluster: &Cluster, caller: &Caller<'_>| is_admitted(cluster, caller, key, selector);
        let told = callers.iter().filter(|caller| {
            let Some(own) = caller.key else { return false };
            templates::names_service(&templates::told(ledger.after, own, caller.template), &own.namespace, key)
        });
        for caller in told {
            let Some(own) = caller.key else { continue };
            if whom && admits(ledger.before, caller) && !admits(ledger.after, caller) {
                let because = format!("it calls {}, and the mesh would refuse it", reference(key, service));
                warn(forecast, HazardKind::Hollow, reference(own, caller.object), because);
            }
            let strict = |cluster: &Cluster| is_strict(cluster, key, selector);
            if how && strict(ledger.after) && !strict(ledger.before) && !has_proxy(ledger.after, caller) {
                let because = format!("it calls {} in plain text, which would be refused", reference(key, service));
                warn(forecast, HazardKind::Hollow, reference(own, caller.object), because);
            }
        }
        if !whom {
            continue;
        }
        let some =
            |cluster: &Cluster| admits(cluster, &anybody) || callers.iter().any(|caller| admits(cluster, caller));
        if some(ledger.before) && !some(ledger.after) {
            let because = "the mesh would let nobody reach it".to_owned();
            warn(forecast, HazardKind::Hollow, reference(key, service), because);
        }
        if !admits(ledger.before, &anybody) && admits(ledger.after, &anybody) {
            for (own, net) in ledger.of(AUTHORIZATION).filter(|(own, _)| governs(own, key)) {
                forecast.guards_removed.sure.extend(net.before.map(|object| reference(own, object)));
            }
        }
    }
}

fn governs(policy: &ObjectKey, service: &ObjectKey) -> bool {
    policy.namespace == service.namespace || policy.namespace == ROOT
}

/// The policies of a resource that are about the pods behind a service.
fn about<'a>(
    cluster: &'a Cluster,
    resource: &'a str,
    service: &'a ObjectKey,
    selector: &'a Value,
) -> impl Iterator<Item = &'a Value> {
    let all = cluster.list(resource, None).filter(|(key, policy)| governs(key, service) && !policy.is_terminating());
    all.map(|(_, policy)| policy).filter(move |policy| {
        let wanted = policy.at(&["spec", "selector", "matchLabels"]);
        wanted.is_empty()
            || labels::matches_map(wanted, selector)
            || cluster.list("pods", Some(&service.namespace)).any(|(_, pod)| {
                labels::matches_map(selector, pod.labels()) && labels::matches_map(wanted, pod.labels())
            })
    })
}

/// What refuses comes first; then, if anything admits, only whom it admits.
fn is_admitted(cluster: &Cluster, caller: &Caller<'_>, service: &ObjectKey, selector: &Value) -> bool {
    let (mut isolated, mut admitted) = (false, false);
    for policy in about(cluster, AUTHORIZATION, service, selector) {
        let rules = policy.at(&["spec", "rules"]).items();
        match policy.at(&["spec", "action"]).as_str().unwrap_or("ALLOW") {
            "DENY" if rules.iter().any(|rule| is_whole(rule) && is_from(rule, caller)) => return false,
            "ALLOW" => {
                isolated = true;
                admitted |= rules.iter().any(|rule| is_from(rule, caller));
            }
            _ => {}
        }
    }
    admitted || !isolated
}

fn is_whole(rule: &Value) -> bool {
    rule.at(&["to"]).items().is_empty() && rule.at(&["when"]).items().is_empty()
}

fn is_from(rule: &Value, caller: &Caller<'_>) -> bool {
    let from = rule.at(&["from"]).items();
    let space = caller.key.map_or("", |key| key.namespace.as_str());
    let principal =
        if space.is_empty() { String::new() } else { format!("cluster.local/ns/{space}/sa/{}", caller.account) };
    from.is_empty()
        || from.iter().map(|from| from.at(&["source"])).any(|source| {
            let says = |field: &str, name: &str| -> Option<bool> {
                let said = source.at(&[field]).items();
                (!said.is_empty()).then(|| said.iter().any(|pattern| fits(pattern.str_or_empty(), name)))
            };
            says("principals", &principal) != Some(false)
                && says("namespaces", space) != Some(false)
                && says("notPrincipals", &principal) != Some(true)
                && says("notNamespaces", space) != Some(true)
        })
}

/// A star at an end stands for anything; by itself for anybody who has a name.
fn fits(pattern: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(end), _) => name.ends_with(end),
        (_, Some(start)) => name.starts_with(start),
        _ => pattern == name,
    }
}

/// Whether pods behind a service take no plain text. What selects them says more than what is about their namespace.
fn is_strict(cluster: &Cluster, service: &ObjectKey, selector: &Value) -> bool {
    let mut policies: Vec<&Value> = about(cluster, AUTHENTICATION, service, selector).collect();
    policies.sort_by_key(|policy| (policy.at(&["spec", "selector"]).is_empty(), policy.namespace() == ROOT));
    policies.first().is_some_and(|policy| policy.at(&["spec", "mtls", "mode"]) == "STRICT")
}

fn has_proxy(cluster: &Cluster, caller: &Caller<'_>) -> bool {
    let own = templates::containers(caller.template.at(&["spec"]))
        .any(|container| *container.at(&["name"]) == *"istio-proxy");
    let said = |object: &Value, key: &str| object.label(key).or_else(|| object.annotation(key)).map(str::to_owned);
    let inject = said(caller.template, "sidecar.istio.io/inject");
    let space = caller.key.and_then(|key| cluster.get(&ObjectKey::new("namespaces", "", key.namespace.clone())));
    let injected = space.is_some_and(|space| {
        said(space, "istio-injection").as_deref() == Some("enabled")
            || said(space, "istio.io/rev").is_some()
            || said(space, "istio.io/dataplane-mode").as_deref() == Some("ambient")
    });
    own || inject.as_deref() == Some("true") || (injected && inject.as_deref() != Some("false"))
}
