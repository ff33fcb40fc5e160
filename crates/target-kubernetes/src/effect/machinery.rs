//! What the API server itself leans on: whoever it asks before it answers, and whose turn it is.
//!
//! Knows: webhooks, conversions and aggregated APIs, who answers for them and by what they are trusted; flow control; leases.
//! Does not know: what any of them would answer.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::{Cluster, ObjectKey, Value, labels};
use model::{Forecast, HazardKind, ObjectRef};

use super::Run;
use super::availability::ready_in;
use super::ledger::{Ledger, Net, reference};
use super::{templates, warn};

const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const AGGREGATED: &str = "apiservices.apiregistration.k8s.io";
const SCHEMAS: &str = "flowschemas.flowcontrol.apiserver.k8s.io";
const LEVELS: &str = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io";
const LEASES: &str = "leases.coordination.k8s.io";

/// Whoever renews a lease gives up after so many seconds without an answer (`renewDeadline` of every control plane part).
const GIVES_UP: i64 = 10;

static NOTHING: Value = Value::Null;

/// Fills in what the API server, or whoever talks to it, would wait for in vain.
pub(super) fn read(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) {
    // What is asked may change, and so may who answers: a scale, a drain or a deletion far away.
    let concerned = ["services", "endpointslices.discovery.k8s.io", VALIDATING, MUTATING, DEFINITIONS, AGGREGATED];
    if ledger.net().any(|(key, _)| concerned.contains(&key.resource.as_str())) {
        answers(ledger, forecast);
        waits(ledger, forecast);
    }
    for (key, net) in ledger.of(SCHEMAS) {
        exempt(key, net, forecast);
    }
    if ledger.of(LEVELS).next().is_some() || ledger.of(SCHEMAS).next().is_some() {
        shares(ledger, forecast);
    }
    for (key, net) in ledger.of(LEASES).filter(|(key, _)| run.named.contains(key)) {
        deposed(ledger, key, net, forecast);
    }
}

/// Somebody whom the API server asks before it answers others.
struct Asked<'a> {
    /// The object that says so, and which of its entries.
    key: &'a ObjectKey,
    object: &'a Value,
    entry: &'a str,
    client: &'a Value,
    /// What is refused while nobody answers, if anything is.
    refused: Option<String>,
    seconds: i64,
    /// Which requests it is asked about; none for what is not about requests.
    rules: &'a Value,
    whom: &'a Value,
}

/// Everybody whom the API server of a cluster asks.
fn asked(cluster: &Cluster) -> Vec<Asked<'_>> {
    let mut found = Vec::new();
    for (key, object) in cluster.list(VALIDATING, None).chain(cluster.list(MUTATING, None)) {
        for hook in object.at(&["webhooks"]).items() {
            let must = hook.at(&["failurePolicy"]).as_str() != Some("Ignore");
            let rules = hook.at(&["rules"]);
            found.push(Asked {
                key,
                object,
                entry: hook.at(&["name"]).str_or_empty(),
                client: hook.at(&["clientConfig"]),
                refused: (must && !rules.is_empty()).then(|| format!("every request about {}", about(rules))),
                seconds: hook.at(&["timeoutSeconds"]).as_int().unwrap_or(10),
                rules,
                whom: hook.at(&["namespaceSelector"]),
            });
        }
    }
    for (key, object) in cluster.list(DEFINITIONS, None) {
        let versions = object.at(&["spec", "versions"]).items();
        let converts = object.at(&["spec", "conversion", "strategy"]) == "Webhook" && versions.len() > 1;
        if converts {
            let plural = object.at(&["spec", "names", "plural"]).str_or_empty();
            found.push(Asked {
                key,
                object,
                entry: "",
                client: object.at(&["spec", "conversion", "webhook", "clientConfig"]),
                refused: Some(format!("every request about {plural} in another version than the stored one")),
                seconds: 0,
                rules: &NOTHING,
                whom: &NOTHING,
            });
        }
    }
    for (key, object) in
        cluster.list(AGGREGATED, None).filter(|(_, object)| object.at(&["spec"]).get("service").is_some())
    {
        let group = object.at(&["spec", "group"]).str_or_empty();
        found.push(Asked {
            key,
            object,
            entry: "",
            client: object.at(&["spec"]),
            refused: Some(format!("every request about {group}")),
            seconds: 0,
            rules: &NOTHING,
            whom: &NOTHING,
        });
    }
    found
}

/// What rules are about, as a person reads it.
fn about(rules: &Value) -> String {
    let found: BTreeSet<&str> =
        rules.items().iter().flat_map(|rule| rule.at(&["resources"]).items()).map(Value::str_or_empty).collect();
    if found.contains("*") || found.contains("*/*") {
        "anything".into()
    } else {
        found.into_iter().collect::<Vec<_>>().join(", ")
    }
}

impl Asked<'_> {
    fn id(&self) -> (&ObjectKey, &str) {
        (self.key, self.entry)
    }

    fn service(&self) -> Option<(&str, &str)> {
        let service = self.client.get("service")?;
        Some((service.at(&["namespace"]).str_or_empty(), service.at(&["name"]).str_or_empty()))
    }

    /// Whether somebody in the cluster answers. Who answers at an address outside nobody here knows.
    fn is_answered(&self, cluster: &Cluster) -> bool {
        self.service().is_none_or(|(namespace, name)| ready_in(cluster, namespace, name) > 0)
    }

    /// What it is trusted by: the certificates of its bundle, each by itself.
    fn trusted(&self) -> BTreeSet<String> {
        let bundle = self.client.at(&["caBundle"]).str_or_empty();
        let text = STANDARD.decode(bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
        let inner = blocks.filter_map(|block| block.split("-----END").next());
        let found: BTreeSet<String> =
            inner.map(|block| block.split_whitespace().collect()).filter(|block: &String| !block.is_empty()).collect();
        // Whatever stands there and is no certificate is at least not the same as something else.
        if found.is_empty() && !bundle.is_empty() { BTreeSet::from([bundle.to_owned()]) } else { found }
    }

    /// Whether it is asked before one of the pods that answer is made.
    fn guards_itself(&self, cluster: &Cluster) -> bool {
        let Some((namespace, _)) = self.service() else { return false };
        let pods = self.rules.items().iter().any(|rule| {
            let says = |field: &str, wanted: &[&str]| {
                rule.at(&[field]).items().iter().any(|said| wanted.contains(&said.str_or_empty()))
            };
            says("resources", &["pods", "*", "*/*"])
                && says("operations", &["CREATE", "*"])
                && says("apiGroups", &["", "*"])
        });
        let labels = cluster.get(&ObjectKey::new("namespaces", "", namespace)).map(Value::labels);
        pods && labels.is_some_and(|labels| self.whom.is_empty() || labels::matches(self.whom, labels))
    }
}

/// Whom nobody answers for any more, or whom nobody believes.
fn answers(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let before = asked(ledger.before);
    let had: BTreeMap<(&ObjectKey, &str), &Asked<'_>> = before.iter().map(|one| (one.id(), one)).collect();
    for now in asked(ledger.after) {
        let Some(refused) = &now.refused else { continue };
        let was = had.get(&now.id()).filter(|was| was.refused.is_some());
        let shown = reference(now.key, now.object);
        if !now.is_answered(ledger.after) {
            if was.is_none_or(|was| was.is_answered(ledger.before) || was.refused != now.refused) {
                let (namespace, name) = now.service().unwrap_or_default();
                let because = format!("{refused} would fail, as nobody answers at Service/{namespace}/{name}");
                let kind =
                    if now.guards_itself(ledger.after) { HazardKind::LocksOut } else { HazardKind::CannotChange };
                warn(forecast, kind, shown, because);
            }
            continue;
        }
        let Some(was) = was else {
            if now.guards_itself(ledger.after) {
                let because =
                    "it must answer before a pod is made that could answer: once down, it stays down".to_owned();
                warn(forecast, HazardKind::LocksOut, shown, because);
            } else if now.client.get("service").is_none() && now.client.get("url").is_some() {
                let because = format!("{refused} would wait for {}", now.client.at(&["url"]).str_or_empty());
                warn(forecast, HazardKind::CannotChange, shown, because);
            }
            continue;
        };
        let (trusted, trusts) = (was.trusted(), now.trusted());
        if !trusted.is_subset(&trusts) {
            let because =
                format!("{refused} would fail: whoever answers is trusted by a certificate that is taken out");
            warn(forecast, HazardKind::CannotChange, shown, because);
        } else if was.service() != now.service() && now.is_answered(ledger.after) && was.is_answered(ledger.before) {
            let because = format!("{refused} would be answered by somebody else than now");
            warn(forecast, HazardKind::Misrouted, shown, because);
        } else if now.guards_itself(ledger.after) && !was.guards_itself(ledger.before) {
            let because = "it must answer before a pod is made that could answer: once down, it stays down".to_owned();
            warn(forecast, HazardKind::LocksOut, shown, because);
        }
    }
}

/// How long a request may wait for those that may fail.
fn waits(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let silent = |cluster: &Cluster| -> i64 {
        let hooks = asked(cluster);
        let dead =
            hooks.iter().filter(|one| one.refused.is_none() && !one.rules.is_empty() && !one.is_answered(cluster));
        dead.map(|one| one.seconds).sum()
    };
    let (before, after) = (silent(ledger.before), silent(ledger.after));
    if after <= before || after < GIVES_UP {
        return;
    }
    let touched = ledger.net().find(|(key, _)| key.is(VALIDATING) || key.is(MUTATING));
    let object = touched.and_then(|(key, net)| Some(reference(key, net.after.or(net.before)?)));
    let because = format!("requests would wait {after} seconds for webhooks that nobody answers for");
    warn(forecast, HazardKind::Stampede, object.unwrap_or_else(|| ObjectRef::global("Path", "/")), because);
}

/// Requests that never wait crowd out those that do.
fn exempt(key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let never_waits = |schema: &Value| schema.at(&["spec", "priorityLevelConfiguration", "name"]) == "exempt";
    let Some(after) = net.after.filter(|after| never_waits(after)) else { return };
    let whose = |schema: &Value| schema.at(&["spec", "rules"]).clone();
    if net.before.is_none_or(|before| !never_waits(before) || whose(before) != whose(after)) {
        let because = "the requests it is about would never wait for anybody's".to_owned();
        warn(forecast, HazardKind::Stampede, reference(key, after), because);
    }
}

/// Of what the API server does at once, how much each level has that requests are led to.
fn shares(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let levels = |cluster: &Cluster| -> BTreeMap<String, i64> {
        let of = |level: &Value| level.at(&["spec", "limited", "nominalConcurrencyShares"]).as_int();
        cluster.list(LEVELS, None).filter_map(|(key, level)| Some((key.name.to_string(), of(level)?))).collect()
    };
    let (before, after) = (levels(ledger.before), levels(ledger.after));
    let (was, is) = (before.values().sum::<i64>().max(1), after.values().sum::<i64>().max(1));
    let used = |cluster: &Cluster, name: &str| {
        cluster
            .list(SCHEMAS, None)
            .any(|(_, schema)| schema.at(&["spec", "priorityLevelConfiguration", "name"]) == name)
    };
    for (name, had) in &before {
        if !used(ledger.before, name) {
            continue;
        }
        let has = after.get(name).copied().unwrap_or(0);
        if has.saturating_mul(was).saturating_mul(2) < had.saturating_mul(is) {
            let because =
                format!("requests of this level would get {has} of {is} shares, where they had {had} of {was}");
            warn(
                forecast,
                HazardKind::Stampede,
                ObjectRef::global("PriorityLevelConfiguration", name.as_str()),
                because,
            );
        }
    }
    for (key, net) in ledger.of(SCHEMAS).filter(|(_, net)| net.is_deletion()) {
        let Some(schema) = net.before else { continue };
        let because = "the requests it is about would wait behind everybody's".to_owned();
        warn(forecast, HazardKind::Stampede, reference(key, schema), because);
    }
}

/// A lease is what its holder believes of itself: whoever finds another's name there stops.
fn deposed(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let holder = |lease: &Value| lease.at(&["spec", "holderIdentity"]).str_or_empty().to_owned();
    let Some(before) = net.before else { return };
    let held_by = holder(before);
    let kept = net.after.is_some_and(|after| !net.is_deletion() && holder(after) == held_by);
    if held_by.is_empty() || kept {
        return;
    }
    // The part before the first `_` is a pod or a machine; the rest tells its lives apart.
    let name = held_by.split('_').next().unwrap_or(&held_by);
    let lives = ledger.before.get(&key.beside("pods", name)).is_some_and(|pod| !pod.is_terminating())
        || ledger.before.get(&ObjectKey::new("nodes", "", name)).is_some()
        || templates::workloads(ledger.before, Some(&key.namespace)).any(|(_, object, _)| *object.name() == *name);
    let seconds = before.at(&["spec", "leaseDurationSeconds"]).as_int().and_then(|seconds| u64::try_from(seconds).ok());
    let renewed = before.time(&["spec", "renewTime"]);
    let runs = renewed
        .zip(seconds)
        .is_some_and(|(at, seconds)| at + std::time::Duration::from_secs(seconds) >= ledger.before.now());
    if lives || runs {
        let because = format!("{held_by} holds it, and would find itself replaced");
        warn(forecast, HazardKind::QuorumLost, reference(key, before), because);
    }
}
