//! Who reaches whom over the network, before and after.
//!
//! Knows: NetworkPolicies as the API defines them (they add up; the first that selects a pod isolates it), pods by what
//! they are labelled, the dependencies that workloads are told of.
//! Does not know: network plugins with rules of their own, or what a program finds out by itself.
//!
//! Pods with the same labels in the same namespace are one [`Group`]; whoever is nobody's pod is `anywhere`. Only pairs with
//! an end that a changed policy, namespace or label concerns are looked at.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Cluster, ObjectKey, Value, labels};
use model::{Flow, Forecast, Hazard, HazardKind};

use super::ledger::{Ledger, reference};
use super::templates;

const POLICIES: &str = "networkpolicies.networking.k8s.io";
/// Beyond so many pairs nobody waits for the answer.
const PAIRS_MAX: usize = 200_000;

/// Pods that no policy can tell apart.
#[derive(Clone)]
struct Group {
    namespace: String,
    /// What people call it: a workload, or `any pod of …`.
    name: String,
    labels: Value,
    /// Ports that its containers declare, by name and number.
    ports: Vec<Port>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    protocol: String,
    number: i64,
    name: String,
}

/// One end of traffic.
#[derive(Clone, Copy)]
enum End<'a> {
    Pods(&'a Group),
    Anywhere,
}

/// Fills in the flows that open and close, and the dependencies that break.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let concerned = concerned(ledger);
    if concerned.is_empty() {
        return;
    }
    let groups = groups(ledger);
    let ends: Vec<End<'_>> = groups.iter().map(End::Pods).chain([End::Anywhere]).collect();
    let targets = groups.iter().filter(|group| concerned.contains(group.namespace.as_str())).count();
    if targets.saturating_mul(ends.len()).saturating_mul(2) > PAIRS_MAX {
        forecast.reach.opened.unlisted = true;
        forecast.reach.closed.unlisted = true;
        return;
    }
    let (before, after) = (Rules::of(ledger.before), Rules::of(ledger.after));
    let mut closed = Vec::new();
    for (from, to) in pairs(&groups, &ends, &concerned) {
        let mut ports = match to {
            End::Pods(group) => group.ports.clone(),
            End::Anywhere => vec![Port { protocol: "TCP".into(), number: 443, name: String::new() }],
        };
        if ports.is_empty() {
            ports.push(Port { protocol: "TCP".into(), number: 0, name: String::new() });
        }
        for port in &ports {
            let (was, is) = (before.let_through(from, to, port), after.let_through(from, to, port));
            if was == is {
                continue;
            }
            let on = format!("{}/{}", port.protocol.to_ascii_lowercase(), port.number);
            let outside = matches!(from, End::Anywhere) || matches!(to, End::Anywhere);
            let foreign = outside || from.namespace() != to.namespace();
            let flow = Flow { from: from.name(), to: to.name(), on, outside, foreign };
            if is {
                forecast.reach.opened.sure.insert(flow);
            } else {
                forecast.reach.closed.sure.insert(flow);
                closed.push((from, to, port.clone()));
            }
        }
    }
    broken(ledger, &closed, forecast);
    unreachable(ledger, &groups, &ends, (&before, &after), &closed, forecast);
}

impl End<'_> {
    fn name(&self) -> String {
        match self {
            Self::Pods(group) => group.name.clone(),
            Self::Anywhere => "anywhere".into(),
        }
    }

    fn namespace(&self) -> &str {
        match self {
            Self::Pods(group) => &group.namespace,
            Self::Anywhere => "",
        }
    }
}

/// The namespaces whose pods reach others, or are reached, otherwise than before.
fn concerned<'a>(ledger: &Ledger<'a>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (key, net) in ledger.net() {
        let spec = |object: Option<&Value>| object.map(|object| object.at(&["spec"]).clone());
        match key.resource.as_str() {
            POLICIES if spec(net.before) != spec(net.after) => {
                found.insert(key.namespace.as_str());
            }
            // A policy anywhere may have meant this label: of pods, all that is seen from their namespace.
            "namespaces" => {
                let (Some(before), Some(after)) = (net.before, net.after) else { continue };
                if before.labels() != after.labels() && !after.is_terminating() {
                    found.insert(key.name.as_str());
                }
            }
            _ => {}
        }
    }
    found
}

fn pairs<'a>(
    groups: &'a [Group],
    ends: &[End<'a>],
    concerned: &BTreeSet<&str>,
) -> impl Iterator<Item = (End<'a>, End<'a>)> {
    let is_concerned = |end: &End<'_>| concerned.contains(end.namespace());
    let mut found = Vec::new();
    for group in groups.iter().filter(|group| concerned.contains(group.namespace.as_str())) {
        for end in ends {
            // Who is nobody in particular asks, and is not asked.
            if !group.labels.is_empty() {
                found.push((*end, End::Pods(group)));
            }
            if !is_concerned(end) {
                found.push((End::Pods(group), *end));
            }
        }
    }
    found.into_iter()
}

/// Every sort of pod there is, one that is none of them in each namespace, and the cluster's DNS.
fn groups(ledger: &Ledger<'_>) -> Vec<Group> {
    let mut found: BTreeMap<(String, String), Group> = BTreeMap::new();
    for (key, object, template) in templates::workloads(ledger.after, None) {
        if ledger.before.get(key).is_none() {
            continue;
        }
        let labels = template.labels().clone();
        let group = Group {
            namespace: key.namespace.to_string(),
            name: reference(key, object).to_string(),
            ports: ports(template),
            labels,
        };
        found.entry((group.namespace.clone(), labels::print(&group.labels))).or_insert(group);
    }
    for (key, _) in ledger.after.list("namespaces", None).filter(|(_, namespace)| !namespace.is_terminating()) {
        let group = |name: String, labels: Value, ports: Vec<Port>| Group {
            namespace: key.name.to_string(),
            name,
            labels,
            ports,
        };
        let other = group(format!("any other pod of {}", key.name), Value::default(), Vec::new());
        found.entry((other.namespace.clone(), String::new())).or_insert(other);
        if key.name == "kube-system" {
            let mut labels = Value::default();
            labels.set(&["k8s-app"], "kube-dns");
            let dns = ["UDP", "TCP"].map(|protocol| Port { protocol: protocol.into(), number: 53, name: "dns".into() });
            let dns = group(DNS.into(), labels, dns.to_vec());
            found.insert((dns.namespace.clone(), labels::print(&dns.labels)), dns);
        }
    }
    found.into_values().collect()
}

/// What the group that answers names is called.
const DNS: &str = "the cluster's DNS";

fn ports(template: &Value) -> Vec<Port> {
    let declared = templates::containers(template.at(&["spec"])).flat_map(|container| container.at(&["ports"]).items());
    let mut found: Vec<Port> = declared
        .filter_map(|port| {
            Some(Port {
                protocol: port.at(&["protocol"]).as_str().unwrap_or("TCP").to_owned(),
                number: port.at(&["containerPort"]).as_int()?,
                name: port.at(&["name"]).str_or_empty().to_owned(),
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The policies of a cluster, by namespace.
struct Rules<'a> {
    cluster: &'a Cluster,
    policies: BTreeMap<&'a str, Vec<&'a Value>>,
}

impl<'a> Rules<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let mut policies: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (key, policy) in cluster.list(POLICIES, None).filter(|(_, policy)| !policy.is_terminating()) {
            policies.entry(key.namespace.as_str()).or_default().push(policy);
        }
        Self { cluster, policies }
    }

    fn let_through(&self, from: End<'_>, to: End<'_>, port: &Port) -> bool {
        self.side(to, from, port, "Ingress", "ingress", "from") && self.side(from, to, port, "Egress", "egress", "to")
    }

    /// What the policies of one end say of the other.
    fn side(&self, mine: End<'_>, other: End<'_>, port: &Port, kind: &str, rules: &str, peers: &str) -> bool {
        let End::Pods(group) = mine else { return true };
        let selecting = self.policies.get(group.namespace.as_str()).into_iter().flatten().filter(|policy| {
            labels::matches(policy.at(&["spec", "podSelector"]), &group.labels) && concerns(policy, kind)
        });
        let mut isolated = false;
        for policy in selecting {
            isolated = true;
            let admits = |rule: &Value| {
                let who = rule.at(&[peers]).items();
                let what = rule.at(&["ports"]).items();
                (who.is_empty() || who.iter().any(|peer| self.is_peer(peer, other, &group.namespace)))
                    && (what.is_empty() || what.iter().any(|wanted| is_port(wanted, port)))
            };
            if policy.at(&["spec", rules]).items().iter().any(admits) {
                return true;
            }
        }
        !isolated
    }

    fn is_peer(&self, peer: &Value, end: End<'_>, own: &str) -> bool {
        if let Some(block) = peer.get("ipBlock") {
            // Which addresses pods have is the network's own affair: only a block of everything surely has them.
            return block.at(&["cidr"]).str_or_empty().ends_with("/0") || matches!(end, End::Anywhere);
        }
        let End::Pods(group) = end else { return false };
        let namespace_fits = match peer.get("namespaceSelector") {
            None => group.namespace == own,
            Some(selector) => self.namespace_labels(&group.namespace).is_some_and(|l| labels::matches(selector, l)),
        };
        namespace_fits && peer.get("podSelector").is_none_or(|selector| labels::matches(selector, &group.labels))
    }

    fn namespace_labels(&self, name: &str) -> Option<&'a Value> {
        self.cluster.get(&ObjectKey::new("namespaces", "", name)).map(Value::labels)
    }
}

/// Whether a policy is about this direction. Where it does not say, it is about ingress, and about egress if it has rules.
fn concerns(policy: &Value, kind: &str) -> bool {
    let types = policy.at(&["spec", "policyTypes"]).items();
    if types.is_empty() {
        return kind == "Ingress" || !policy.at(&["spec", "egress"]).items().is_empty();
    }
    types.iter().any(|said| *said == kind)
}

fn is_port(wanted: &Value, port: &Port) -> bool {
    let protocol = wanted.at(&["protocol"]).as_str().unwrap_or("TCP");
    let number = wanted.at(&["port"]);
    let end = wanted.at(&["endPort"]).as_int();
    protocol == port.protocol
        && match (number.as_int(), number.as_str()) {
            (Some(first), _) => (first..=end.unwrap_or(first)).contains(&port.number),
            (None, Some(name)) => name == port.name,
            (None, None) => true,
        }
}

/// Callers that are told of a service they no longer reach, and those that can no longer ask for names.
fn broken(ledger: &Ledger<'_>, closed: &[(End<'_>, End<'_>, Port)], forecast: &mut Forecast) {
    let mut said: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (from, to, port) in closed {
        let (End::Pods(caller), End::Pods(callee)) = (from, to) else { continue };
        let Some(object) = named(ledger.after, caller) else { continue };
        let because = if callee.name == DNS {
            "it could no longer resolve names".to_owned()
        } else {
            let told = said.entry(caller.name.as_str()).or_insert_with(|| {
                let found = workload_of(ledger.after, caller);
                found.map_or_else(Vec::new, |(key, _, template)| templates::told(ledger.after, key, template))
            });
            let services = ledger.after.list("services", Some(&callee.namespace));
            let Some((service, shown)) = services.into_iter().find(|(key, service)| {
                let selector = service.at(&["spec", "selector"]);
                let leads = !selector.is_empty() && labels::matches_map(selector, &callee.labels);
                let near = caller.namespace == callee.namespace;
                let far = format!("{}.{}", key.name, key.namespace);
                leads
                    && told
                        .iter()
                        .any(|word| if near { templates::says(word, &key.name) } else { templates::says(word, &far) })
            }) else {
                continue;
            };
            format!("it calls {}, and could no longer reach it on port {}", reference(service, shown), port.number)
        };
        forecast.hazards.insert(Hazard { kind: HazardKind::Hollow, object, because, sure: true });
    }
}

fn named(cluster: &Cluster, group: &Group) -> Option<model::ObjectRef> {
    workload_of(cluster, group).map(|(key, object, _)| reference(key, object))
}

fn workload_of<'a>(cluster: &'a Cluster, group: &'a Group) -> Option<(&'a ObjectKey, &'a Value, &'a Value)> {
    templates::workloads(cluster, Some(&group.namespace)).find(|(_, _, template)| *template.labels() == group.labels)
}

/// Services that the outside reaches through an Ingress or a load balancer, or that take requests, and that nobody but
/// their own pods reaches any more.
fn unreachable(
    ledger: &Ledger<'_>,
    groups: &[Group],
    ends: &[End<'_>],
    (before, after): (&Rules<'_>, &Rules<'_>),
    closed: &[(End<'_>, End<'_>, Port)],
    forecast: &mut Forecast,
) {
    let hit: BTreeSet<&str> = closed
        .iter()
        .map(|(_, to, _)| *to)
        .filter_map(|to| match to {
            End::Pods(group) => Some(group.name.as_str()),
            End::Anywhere => None,
        })
        .collect();
    for group in groups.iter().filter(|group| hit.contains(group.name.as_str())) {
        for (service, object) in ledger.after.list("services", Some(&group.namespace)) {
            let selector = object.at(&["spec", "selector"]);
            if selector.is_empty() || !labels::matches_map(selector, &group.labels) {
                continue;
            }
            let public = matches!(object.at(&["spec", "type"]).str_or_empty(), "LoadBalancer" | "NodePort")
                || ledger.after.list("ingresses.networking.k8s.io", Some(&group.namespace)).any(|(_, ingress)| {
                    let rules = ingress.at(&["spec", "rules"]).items().iter();
                    let mut paths = rules.flat_map(|rule| rule.at(&["http", "paths"]).items());
                    paths.any(|path| *path.at(&["backend", "service", "name"]) == *service.name)
                });
            let busy = super::load::said(ledger.after, object)
                .is_some_and(|load| load.requests_per_second.high() > model::Decimal::ZERO);
            let callers = |rules: &Rules<'_>| {
                ends.iter().any(|end| {
                    let apart = if public { end.namespace() != group.namespace } else { end.name() != group.name };
                    apart && group.ports.iter().any(|port| rules.let_through(*end, End::Pods(group), port))
                })
            };
            if (public || busy) && callers(before) && !callers(after) {
                let who = if public { "from outside of its namespace" } else { "any more" };
                forecast.hazards.insert(Hazard {
                    kind: HazardKind::Hollow,
                    object: reference(service, object),
                    because: format!("nobody could reach {} {who}", group.name),
                    sure: true,
                });
            }
        }
    }
}
