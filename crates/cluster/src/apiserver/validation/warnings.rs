//! What a client is told of an object though nothing is wrong with it: it does not do what it seems to, or not for long.
//!
//! Knows: the warnings of each kind (`WarningsOnCreate`, `WarningsOnUpdate`).
//! Does not know: warnings about fields that do not exist, nor those that admission has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::faults::At;
use super::{names, pod_warnings};
use crate::object::ObjectKey;
use crate::value::Value;

/// Sentences so far.
#[derive(Default)]
pub(super) struct Warnings {
    pub(super) all: Vec<String>,
}

impl Warnings {
    /// What is to be said of a place.
    pub(super) fn at(&mut self, at: &At<'_>, what: &str) {
        self.all.push(format!("{}: {what}", at.path()));
    }

    fn says(&mut self, what: impl Into<String>) {
        self.all.push(what.into());
    }

    /// An address that is not written as it should be.
    pub(super) fn address(&mut self, at: &At<'_>) {
        let text = at.text();
        match text.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
                let plain = address.to_ipv4_mapped().map(|plain| plain.to_string()).unwrap_or_default();
                self.at(at, &format!("non-standard IP address {text:?} is invalid: use {plain:?}"));
            }
            Ok(address @ std::net::IpAddr::V6(_)) if address.to_string() != text => {
                self.at(
                    at,
                    &format!(
                        "IPv6 address {text:?} should be in RFC 5952 canonical format ({:?})",
                        address.to_string()
                    ),
                );
            }
            Ok(_) => {}
            Err(_) => {
                if let Some(plain) = names::sloppy_address(text) {
                    self.at(at, &format!("non-standard IP address {text:?} is invalid: use {:?}", plain.to_string()));
                }
            }
        }
    }

    /// A range that is not written as it should be.
    fn range(&mut self, at: &At<'_>) {
        let text = at.text();
        let Some((address, length)) = names::parse_cidr(text) else { return };
        let first = names::first_of(address, length);
        if first != address {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            self.at(
                at,
                &format!(
                    "CIDR value {text:?} is ambiguous in this context (should be {:?} or {:?}?)",
                    format!("{first}/{length}"),
                    format!("{address}/{bits}")
                ),
            );
        } else if address.is_ipv6() && format!("{address}/{length}") != text {
            let plain = format!("{address}/{length}");
            self.at(at, &format!("IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({plain:?})"));
        }
    }

    /// A name from which pods are called that is more than a label.
    fn label_name(&mut self, object: &Value) {
        let why = names::label(object.name());
        if !why.is_empty() {
            self.says(format!(
                "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS \
                 label is recommended: [{}]",
                why.join(" ")
            ));
        }
    }
}

/// What a label of nodes has become.
pub(super) fn old_label(key: &str) -> Option<&'static str> {
    Some(match key {
        "beta.kubernetes.io/arch" => r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#,
        "beta.kubernetes.io/os" => r#"deprecated since v1.14; use "kubernetes.io/os" instead"#,
        "failure-domain.beta.kubernetes.io/region" => {
            r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#
        }
        "failure-domain.beta.kubernetes.io/zone" => {
            r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#
        }
        "beta.kubernetes.io/instance-type" => {
            r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#
        }
        "app.kubernetes.io/created-by" => "deprecated since v1.9",
        "scheduler.alpha.kubernetes.io/preferAvoidPods" => "deprecated since v1.22; use Taints and Tolerations instead",
        _ => return None,
    })
}

/// What is to be said of a new object, or of one that was `old`.
pub(super) fn of(key: &ObjectKey, object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Warnings::default();
    let root = At::root(object);
    let resource = key.resource.as_str();
    let made_from_template = template_of(resource);
    if let Some((path, named)) = made_from_template {
        if old.is_none() && named {
            warnings.label_name(object);
        }
        let changed = match (old, resource) {
            (None, _) => true,
            (Some(old), "daemonsets.apps") => old.at(path) != object.at(path),
            (Some(old), _) => old.generation() != object.generation(),
        };
        if changed {
            many_indexes(&root, path, &mut warnings);
            pod_warnings::of(&root.down(path), true, &mut warnings);
        }
    }
    match resource {
        // Whoever changes no more than a pod's labels is not told again what its spec is worth.
        "pods" if old.is_none_or(|old| old.generation() != object.generation()) => {
            pod_warnings::of(&root, false, &mut warnings);
        }
        "statefulsets.apps" => stateful_set(&root, old.is_some(), &mut warnings),
        "services" => service(&root, &mut warnings),
        "endpoints" => {
            for subset in root.field("subsets").items() {
                for list in ["addresses", "notReadyAddresses"] {
                    subset.field(list).items().for_each(|address| warnings.address(&address.field("ip")));
                }
            }
        }
        "endpointslices.discovery.k8s.io" => {
            if old.is_none() && root.field("addressType").text() == "FQDN" {
                warnings.says("spec.addressType: FQDN endpoints are deprecated");
            }
            for endpoint in root.field("endpoints").items() {
                endpoint.field("addresses").items().for_each(|address| warnings.address(&address));
            }
        }
        "ingresses.networking.k8s.io" => {
            const OLD: &str = "kubernetes.io/ingress.class";
            if old.is_none() && object.annotation(OLD).is_some() && root.down(&["spec", "ingressClassName"]).is_absent()
            {
                warnings.says(format!("annotation {OLD:?} is deprecated, please use 'spec.ingressClassName' instead"));
            }
        }
        "networkpolicies.networking.k8s.io" => {
            for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
                for rule in root.field("spec").field(rules).items() {
                    for block in rule.field(peers).items().map(|peer| peer.field("ipBlock")) {
                        warnings.range(&block.field("cidr"));
                        block.field("except").items().for_each(|except| warnings.range(&except));
                    }
                }
            }
        }
        "nodes" => {
            if !root.down(&["spec", "externalID"]).text().is_empty() {
                warnings.says("spec.externalID: this field is deprecated, and is unused by Kubernetes");
            }
            root.down(&["spec", "podCIDRs"]).items().for_each(|range| warnings.range(&range));
        }
        "secrets" if root.field("type").text() == "kubernetes.io/tls" => {
            let held = |key: &str| STANDARD.decode(object.at(&["data", key]).str_or_empty()).unwrap_or_default();
            if let Some(why) = pem_fault("certificate", &held("tls.crt")).or_else(|| pem_fault("key", &held("tls.key")))
            {
                warnings.says(why);
            }
        }
        "persistentvolumes" => volume(&root, &mut warnings),
        "persistentvolumeclaims" => {
            let class = root.down(&["metadata", "annotations"]).key(OLD_CLASS);
            if !class.is_absent() {
                warnings.at(&class, r#"deprecated since v1.8; use "storageClassName" attribute instead"#);
            }
            claim(&root.field("spec"), &mut warnings);
        }
        "storageclasses.storage.k8s.io" => {
            for topology in root.field("allowedTopologies").items() {
                for key in topology.field("matchLabelExpressions").items().map(|term| term.field("key")) {
                    if let Some(what) = old_label(key.text()) {
                        warnings.at(&key, what);
                    }
                }
            }
        }
        "csidrivers.storage.k8s.io" => {
            let spec = root.field("spec");
            if !spec.field("tokenRequests").value.is_empty() && spec.field("serviceAccountTokenInSecrets").is_absent() {
                warnings.says(
                    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to \
                     prevent possible logging of tokens in volume attributes",
                );
            }
        }
        "resourceslices.resource.k8s.io" => {
            let driver = root.down(&["spec", "driver"]).text();
            if driver != driver.to_lowercase() {
                warnings.says(format!(
                    "spec.driver: driver names should be lowercase; {driver:?} contains uppercase characters"
                ));
            }
        }
        _ => {}
    }
    warnings.all
}

const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Where a kind's template stands, and whether its pods are called after it.
fn template_of(resource: &str) -> Option<(&'static [&'static str], bool)> {
    Some(match resource {
        "deployments.apps" | "replicasets.apps" | "replicationcontrollers" | "jobs.batch" => {
            (&["spec", "template"], true)
        }
        "statefulsets.apps" | "daemonsets.apps" => (&["spec", "template"], false),
        "cronjobs.batch" => (&["spec", "jobTemplate", "spec", "template"], true),
        "podtemplates" => (&["template"], false),
        _ => return None,
    })
}

/// More indexes than can be told apart when they fail.
fn many_indexes(root: &At<'_>, template: &[&str], warnings: &mut Warnings) {
    let Some((_, path)) = template.split_last() else { return };
    let spec = root.down(path);
    let number = |field: &str| spec.field(field).number().unwrap_or(0);
    if spec.field("completionMode").text() == "Indexed"
        && number("completions") > 100_000
        && number("parallelism") > 10_000
    {
        warnings.at(
            &spec,
            "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
        );
    }
}

fn stateful_set(root: &At<'_>, changed: bool, warnings: &mut Warnings) {
    let spec = root.field("spec");
    for template in spec.field("volumeClaimTemplates").items() {
        // What is said of a change names a field that there is not.
        claim(
            &if changed { template.named("Spec", template.value.at(&["spec"])) } else { template.with("spec") },
            warnings,
        );
    }
    if spec.field("revisionHistoryLimit").number().is_some_and(|count| count < 0) {
        warnings.says(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
        );
    }
}

/// What a claim asks for.
pub(super) fn claim(spec: &At<'_>, warnings: &mut Warnings) {
    for list in ["requests", "limits"] {
        pod_warnings::fraction(&spec.down(&["resources", list]).key("storage"), warnings);
    }
}

fn volume(root: &At<'_>, warnings: &mut Warnings) {
    let annotations = root.down(&["metadata", "annotations"]);
    for (key, what) in [
        (OLD_CLASS, r#"deprecated since v1.8; use "storageClassName" attribute instead"#),
        ("volume.beta.kubernetes.io/mount-options", r#"deprecated since v1.31; use "mountOptions" attribute instead"#),
    ] {
        if !annotations.key(key).is_absent() {
            warnings.at(&annotations.key(key), what);
        }
    }
    let spec = root.field("spec");
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        warnings.at(
            &policy,
            "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
        );
    }
    for term in spec.down(&["nodeAffinity", "required", "nodeSelectorTerms"]).items() {
        pod_warnings::node_term(&term, false, warnings);
    }
    pod_warnings::old_types(
        &spec,
        &["cephfs", "photonPersistentDisk", "scaleIO", "storageos", "glusterfs", "rbd"],
        warnings,
    );
}

fn service(root: &At<'_>, warnings: &mut Warnings) {
    let spec = root.field("spec");
    let (kind, outside) = (spec.field("type"), spec.field("externalIPs"));
    let headless = kind.text() == "ClusterIP" && spec.field("clusterIP").text() == "None";
    let named = kind.text() == "ExternalName";
    if root.value.annotation("service.kubernetes.io/topology-aware-hints").is_some() {
        warnings.says(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead",
        );
    }
    if !headless && !named {
        spec.field("clusterIPs").items().for_each(|address| warnings.address(&address));
    }
    if headless {
        if !spec.field("loadBalancerIP").text().is_empty() {
            warnings.says("spec.loadBalancerIP is ignored for headless services");
        }
        if !outside.value.is_empty() {
            warnings.says("spec.externalIPs is ignored for headless services");
        }
        if spec.field("sessionAffinity").text() != "None" {
            warnings.says("spec.SessionAffinity is ignored for headless services");
        }
    }
    outside.items().for_each(|address| warnings.address(&address));
    if !outside.value.is_empty() && !headless && !named {
        warnings.says("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
    }
    if !spec.field("loadBalancerIP").text().is_empty() {
        warnings.address(&spec.field("loadBalancerIP"));
    }
    spec.field("loadBalancerSourceRanges").items().for_each(|range| warnings.range(&range));
    if named && !outside.value.is_empty() {
        warnings.says(r#"spec.externalIPs is ignored when spec.type is "ExternalName""#);
    }
    if !named && !spec.field("externalName").text().is_empty() {
        warnings.says(r#"spec.externalName is ignored when spec.type is not "ExternalName""#);
    }
    if spec.field("trafficDistribution").text() == "PreferClose" {
        warnings.says(r#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#);
    }
}

/// Why a certificate or a key cannot be read as far as that can be told without looking into it.
fn pem_fault(what: &str, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let kinds: Vec<&str> = text
        .split("-----BEGIN ")
        .skip(1)
        .filter_map(|rest| rest.split_once("-----"))
        .filter(|(kind, rest)| rest.contains(&format!("-----END {kind}-----")))
        .map(|(kind, _)| kind)
        .collect();
    let fits = |kind: &&str| match what {
        "certificate" => *kind == "CERTIFICATE",
        _ => *kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY"),
    };
    if kinds.is_empty() {
        return Some(format!("tls: failed to find any PEM data in {what} input"));
    }
    if kinds.iter().any(fits) {
        return None;
    }
    let wanted = if what == "certificate" {
        r#""CERTIFICATE" PEM block"#
    } else {
        r#"PEM block with type ending in "PRIVATE KEY""#
    };
    Some(format!(
        "tls: failed to find {wanted} in {what} input after skipping PEM blocks of the following types: [{}]",
        kinds.join(" ")
    ))
}
