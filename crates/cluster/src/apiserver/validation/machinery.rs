//! What is wrong with what configures the API server itself: webhooks, aggregated APIs, flow control, certificates.
//!
//! Knows: `pkg/apis/{admissionregistration,apiregistration,flowcontrol,certificates}/validation`.
//! Does not know: admission policies, whose expressions have a chapter of their own.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::faults::{At, Faults, quote};
use super::selectors::label_selector;
use super::{internal, names};
use crate::value::Value;

/// A ValidatingWebhookConfiguration, or a MutatingWebhookConfiguration.
pub(super) fn webhooks(root: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for hook in root.field("webhooks").items() {
        webhook(&hook, faults);
        let versions = hook.field("admissionReviewVersions");
        let listed = versions.value.items();
        if listed.is_empty() {
            faults.required(&versions, "must specify one of v1, v1beta1");
        } else {
            if !listed.iter().any(|version| version == "v1" || version == "v1beta1") {
                faults.invalid(&versions, "must include at least one of v1, v1beta1");
            }
            let mut seen = BTreeSet::new();
            for version in versions.items() {
                if !seen.insert(version.text()) {
                    faults.invalid(&version, "duplicate version");
                }
            }
        }
        let name = hook.field("name");
        if !name.text().is_empty() && !taken.insert(name.text()) {
            faults.duplicate(&name);
        }
    }
}

fn webhook(hook: &At<'_>, faults: &mut Faults) {
    qualified(&hook.field("name"), faults);
    for rule in hook.field("rules").items() {
        rule_with_operations(&rule, faults);
    }
    faults.one_of(&hook.field("failurePolicy"), &["Fail", "Ignore"]);
    faults.one_of(&hook.field("matchPolicy"), &["Equivalent", "Exact"]);
    let effects = hook.field("sideEffects");
    if effects.is_absent() {
        faults.required(&effects, "must specify one of None, NoneOnDryRun");
    } else {
        faults.one_of(&effects, &["None", "NoneOnDryRun"]);
    }
    let timeout = hook.field("timeoutSeconds");
    if timeout.number().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        faults.invalid(&timeout, "the timeout value must be between 1 and 30 seconds");
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        label_selector(&hook.field(selector), faults);
    }
    client(&hook.field("clientConfig"), faults);
    faults.one_of(&hook.field("reinvocationPolicy"), &["IfNeeded", "Never"]);
}

/// A name in a domain: three parts, as it is the reader who has to find out whose it is.
fn qualified(name: &At<'_>, faults: &mut Faults) {
    if !faults.some_text(name) {
        return;
    }
    let why = names::subdomain(name.text());
    let form = why.is_empty();
    faults.all(name, why);
    if form && name.text().split('.').count() < 3 {
        faults.invalid(name, "should be a domain with at least three segments separated by dots");
    }
}

/// What a webhook or a policy is asked about.
fn rule_with_operations(rule: &At<'_>, faults: &mut Faults) {
    let has_more = |list: &At<'_>| list.value.items().len() > 1 && list.value.items().iter().any(|one| one == "*");
    let operations = rule.field("operations");
    if operations.value.is_empty() {
        faults.required(&operations, "");
    }
    if has_more(&operations) {
        faults.invalid(&operations, "if '*' is present, must not specify other operations");
    }
    for operation in operations.items() {
        faults.one_of(&operation, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
    }
    for (field, words) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.field(field);
        if list.value.is_empty() {
            faults.required(&list, "");
        }
        if has_more(&list) {
            faults.invalid(&list, &format!("if '*' is present, must not specify other {words}"));
        }
        for one in list.items().filter(|one| field == "apiVersions" && one.text().is_empty()) {
            faults.required(&one, "");
        }
    }
    let resources = rule.field("resources");
    if resources.value.is_empty() {
        faults.required(&resources, "");
    }
    let all = resources.value.items().iter().any(|one| one == "*/*");
    if all && resources.value.items().len() > 1 {
        faults.invalid(&resources, "if '*/*' is present, must not specify other resources");
    }
    for one in resources.items().filter(|one| one.text().is_empty()) {
        faults.required(&one, "");
    }
    faults.one_of(&rule.field("scope"), &["*", "Cluster", "Namespaced"]);
}

/// Where a webhook is reached.
fn client(config: &At<'_>, faults: &mut Faults) {
    let (url, service) = (config.field("url"), config.field("service"));
    if url.is_absent() == service.is_absent() {
        faults.required(config, "exactly one of url or service is required");
        return;
    }
    if !url.is_absent() {
        let form = "; desired format: https://host[/path]";
        match url.text().split_once("://") {
            Some(("https", rest)) => {
                let host = rest.split('/').next().unwrap_or_default();
                if host.is_empty() {
                    faults.invalid_as(&url, &quote(host), &format!("host must be specified{form}"));
                }
                if host.contains('@') {
                    faults.invalid(&url, "user information is not permitted in the URL");
                }
                if rest.contains('#') {
                    faults.invalid(&url, "fragments are not permitted in the URL");
                }
                if rest.contains('?') {
                    faults.invalid(&url, "query parameters are not permitted in the URL");
                }
            }
            other => {
                let scheme = other.map_or("", |(scheme, _)| scheme);
                faults.invalid_as(&url, &quote(scheme), &format!("'https' is the only allowed URL scheme{form}"));
                if other.is_none() {
                    faults.invalid_as(&url, "\"\"", &format!("host must be specified{form}"));
                }
            }
        }
        return;
    }
    faults.some_text(&service.field("name"));
    faults.some_text(&service.field("namespace"));
    let path = service.field("path");
    if !path.is_absent() && !path.text().starts_with('/') {
        faults.invalid(&path, "must start with a '/'");
    }
    let port = service.field("port");
    if port.number().is_some_and(|port| !names::is_port(port)) {
        faults.invalid(&port, "port is not valid: must be between 1 and 65535, inclusive");
    }
}

/// An APIService.
pub(super) fn api_service(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let (group, version) = (spec.field("group"), spec.field("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    let name = root.down(&["metadata", "name"]);
    if name.text() != wanted {
        faults.invalid(&name, &format!("must be `spec.version+\".\"+spec.group`: {}", quote(&wanted)));
    }
    if group.text().is_empty() {
        if version.text() != "v1" {
            faults.required(&group, "only v1 may have an empty group and it better be legacy kube");
        }
    } else {
        faults.all(&group, names::subdomain(group.text()));
    }
    faults.all(&version, names::label(version.text()));
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let number = spec.field(field);
        let value = number.number().unwrap_or(0);
        if !(1..=most).contains(&value) {
            faults.invalid_as(&number, &value.to_string(), &format!("must be positive and less than {most}"));
        }
    }
    let (service, bundle) = (spec.field("service"), spec.field("caBundle"));
    let trusts_all = spec.field("insecureSkipTLSVerify");
    if service.is_absent() {
        if !bundle.value.is_empty() {
            let size = STANDARD.decode(bundle.text()).map_or(0, |bytes| bytes.len());
            faults.invalid_as(&bundle, &quote(&format!("{size} bytes")), "local APIServices may not have a caBundle");
        }
        if trusts_all.value.is_true() {
            faults.invalid(&trusts_all, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    }
    for field in ["namespace", "name"] {
        faults.some_text(&service.field(field));
    }
    let port = service.field("port");
    if port.number().is_some_and(|port| !names::is_port(port)) {
        faults.invalid(&port, "port is not valid: must be between 1 and 65535, inclusive");
    }
    if trusts_all.value.is_true() && !bundle.value.is_empty() {
        faults.invalid(&trusts_all, "may not be true if caBundle is present");
    }
}

/// A FlowSchema.
pub(super) fn flow_schema(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let name = root.value.name();
    let precedence = spec.field("matchingPrecedence");
    let value = precedence.number().unwrap_or(0);
    if value <= 0 {
        faults.invalid_as(&precedence, &value.to_string(), "must be a positive value");
    }
    if value > 10_000 {
        faults.invalid(&precedence, "must not be greater than 10000");
    }
    if value == 1 && name != "exempt" {
        faults.invalid(&precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    let method = spec.field("distinguisherMethod");
    if !method.is_absent() && !matches!(method.field("type").text(), "ByNamespace" | "ByUser") {
        let shown = internal::of("FlowDistinguisherMethod", method.value);
        faults.unsupported_as(&method.field("type"), &shown, &["ByNamespace", "ByUser"]);
    }
    let level = spec.down(&["priorityLevelConfiguration", "name"]);
    if level.text().is_empty() {
        faults.required(&level, "must reference a priority level");
    } else {
        faults.all(&level, names::subdomain(level.text()));
    }
    for rule in spec.field("rules").items() {
        let subjects = rule.field("subjects");
        if subjects.value.is_empty() {
            faults.required(&subjects, "subjects must contain at least one value");
        }
        for subject in subjects.items() {
            flow_subject(&subject, faults);
        }
        let (resources, urls) = (rule.field("resourceRules"), rule.field("nonResourceRules"));
        if resources.value.is_empty() && urls.value.is_empty() {
            faults.required(&rule, "at least one of resourceRules and nonResourceRules has to be non-empty");
        }
        for rule in resources.items() {
            flow_rule(&rule, faults);
        }
        for rule in urls.items() {
            verbs(&rule, faults);
            let paths = rule.field("nonResourceURLs");
            some_of(&paths, "nonResourceURLs must contain at least one value", "non-resource URLs", faults);
            let all = paths.value.items().iter().any(|one| one == "*");
            for path in paths.items().filter(|_| !all) {
                if let Some(why) = url_fault(path.text()) {
                    faults.invalid_as(&path, &quote(path.text()), why);
                }
            }
        }
    }
}

/// What is done; the list is told of as a whole.
fn verbs(rule: &At<'_>, faults: &mut Faults) {
    const VERBS: &[&str] =
        &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    let verbs = rule.field("verbs");
    some_of(&verbs, "verbs must contain at least one value", "verbs", faults);
    let listed: Vec<&str> = verbs.value.items().iter().map(Value::str_or_empty).collect();
    if !listed.contains(&"*") && listed.iter().any(|verb| !VERBS.contains(verb)) {
        faults.unsupported(&verbs, VERBS);
    }
}

fn url_fault(path: &str) -> Option<&'static str> {
    let stars = path.matches('*').count();
    Some(match path {
        "" => "must not be empty",
        "/" => return None,
        _ if !path.starts_with('/') => "must start with slash",
        _ if path.contains(' ') => "must not contain white-space",
        _ if path.contains("//") => "must not contain double slash",
        _ if stars > 1 || (stars == 1 && !path.ends_with("/*")) => "wildcard can only do suffix matching",
        _ => return None,
    })
}

fn flow_subject(subject: &At<'_>, faults: &mut Faults) {
    const KINDS: [(&str, &str); 3] = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];
    let kind = subject.field("kind");
    let Some((_, own)) = KINDS.iter().find(|(known, _)| *known == kind.text()) else {
        faults.unsupported_as(&kind, &quote(kind.text()), &["Group", "ServiceAccount", "User"]);
        return;
    };
    let details = subject.field(own);
    if details.is_absent() {
        faults.required(&details, &format!("{own} is required when subject kind is '{}'", kind.text()));
    } else {
        let (name, namespace) = (details.field("name"), details.field("namespace"));
        let one = faults.some_text(&name) && name.text() != "*";
        if kind.text() == "ServiceAccount" {
            if one {
                faults.all(&name, names::subdomain(name.text()));
            }
            if namespace.text().is_empty() {
                faults.required(&namespace, "must specify namespace for service account");
            } else {
                faults.all(&namespace, names::label(namespace.text()));
            }
        }
    }
    for (other, field) in KINDS.iter().filter(|(_, field)| field != own) {
        if !subject.field(field).is_absent() {
            faults
                .forbidden(&subject.field(field), &format!("{field} is forbidden when subject kind is not '{other}'"));
        }
    }
}

fn flow_rule(rule: &At<'_>, faults: &mut Faults) {
    verbs(rule, faults);
    let groups = rule.field("apiGroups");
    some_of(&groups, "resource rules must supply at least one api group", "api groups", faults);
    let resources = rule.field("resources");
    some_of(&resources, "resource rules must supply at least one resource", "resources", faults);
    let namespaces = rule.field("namespaces");
    if namespaces.value.is_empty() && !rule.field("clusterScope").value.is_true() {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        faults.required(&namespaces, why);
    } else if namespaces.value.items().len() > 1 && namespaces.value.items().iter().any(|one| one == "*") {
        faults.invalid(&namespaces, "if '*' is present, must not specify other namespaces");
    } else if !namespaces.value.items().iter().any(|one| one == "*") {
        for namespace in namespaces.items() {
            for why in names::label(namespace.text()) {
                let why = format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                faults.invalid_as(&namespace, &quote(namespace.text()), &why);
            }
        }
    }
}

/// Something, and nothing beside everything.
fn some_of(list: &At<'_>, why: &str, words: &str, faults: &mut Faults) {
    let items = list.value.items();
    if items.is_empty() {
        faults.required(list, why);
    } else if items.len() > 1 && items.iter().any(|one| one == "*") {
        faults.invalid(list, &format!("if '*' is present, must not specify other {words}"));
    }
}

/// Whether the sixty bits of a hash are enough to deal a hand from a deck.
fn is_dealt_from_a_hash(deck: i64, hand: i64) -> bool {
    let hands =
        (deck - hand + 1..=deck).try_fold(1_u128, |hands, cards| hands.checked_mul(u128::try_from(cards).ok()?));
    hands.is_some_and(|hands| hands <= 1 << 60)
}

/// A PriorityLevelConfiguration.
pub(super) fn priority_level(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let kind = spec.field("type");
    if (root.value.name() == "exempt") != (kind.text() == "Exempt") {
        faults.invalid(&kind, "type must be 'Exempt' if and only if `name` is 'exempt'");
    }
    let limited = spec.field("limited");
    match kind.text() {
        "Exempt" if !limited.is_absent() => faults.forbidden(&limited, "must be nil if the type is not Limited"),
        "Exempt" => {
            let exempt = spec.field("exempt");
            let shares = exempt.field("nominalConcurrencyShares");
            if shares.number().is_some_and(|shares| shares < 0) {
                faults.invalid(&shares, "must be a non-negative integer");
            }
            faults.between(&exempt.field("lendablePercent"), 0, 100, "must be between 0 and 100, inclusive");
        }
        "Limited" => {
            if !spec.field("exempt").is_absent() {
                faults.forbidden(&spec.field("exempt"), "must be nil if the type is Limited");
            }
            if limited.is_absent() {
                faults.required(&limited, "must not be empty when type is Limited");
            } else {
                limits(&limited, faults);
            }
        }
        other => faults.unsupported_as(&kind, &quote(other), &["Exempt", "Limited"]),
    }
}

fn limits(limited: &At<'_>, faults: &mut Faults) {
    let shares = limited.field("nominalConcurrencyShares");
    if shares.number().is_some_and(|shares| shares < 0) {
        faults.invalid(&shares, "must be a non-negative integer");
    }
    let response = limited.field("limitResponse");
    let (kind, queuing) = (response.field("type"), response.field("queuing"));
    match kind.text() {
        "Reject" if !queuing.is_absent() => {
            faults.forbidden(&queuing, "must be nil if limited.limitResponse.type is not Limited");
        }
        "Reject" => {}
        "Queue" if queuing.is_absent() => {
            faults.required(&queuing, "must not be empty if limited.limitResponse.type is Limited");
        }
        "Queue" => {
            for field in ["queueLengthLimit", "queues", "handSize"] {
                let number = queuing.field(field);
                let value = number.number().unwrap_or(0);
                if value <= 0 {
                    faults.invalid_as(&number, &value.to_string(), "must be positive");
                }
            }
            let (queues, hand) = (queuing.field("queues"), queuing.field("handSize"));
            let (count, taken) = (queues.number().unwrap_or(0), hand.number().unwrap_or(0));
            if count > 10_000_000 {
                faults.invalid(&queues, "must not be greater than 10000000");
            }
            if taken > 0 && taken > count {
                faults.invalid(&hand, &format!("should not be greater than queues ({count})"));
            } else if taken > 0 && !is_dealt_from_a_hash(count, taken) {
                let why = format!(
                    "required entropy bits of deckSize {count} and handSize {taken} should not be greater than 60"
                );
                faults.invalid(&hand, &why);
            }
        }
        other => faults.unsupported_as(&kind, &quote(other), &["Queue", "Reject"]),
    }
    let lendable = limited.field("lendablePercent");
    if lendable.number().is_some_and(|percent| !(0..=100).contains(&percent)) {
        faults.invalid(&lendable, "must be between 0 and 100, inclusive");
    }
    let borrowed = limited.field("borrowingLimitPercent");
    if borrowed.number().is_some_and(|percent| percent < 0) {
        faults.invalid(&borrowed, "if specified, must be a non-negative integer");
    }
}

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// A CertificateSigningRequest.
pub(super) fn signing_request(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let request = spec.field("request");
    let decoded = STANDARD.decode(request.text()).unwrap_or_default();
    let is_pem = String::from_utf8_lossy(&decoded).contains("-----BEGIN CERTIFICATE REQUEST-----");
    if !is_pem {
        let shown = if request.is_absent() { "null".to_owned() } else { super::faults::shown(request.value) };
        faults.invalid_as(&request, &shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = spec.field("usages");
    if usages.value.is_empty() {
        faults.required(&usages, "");
    }
    for usage in usages.items() {
        faults.one_of(&usage, USAGES);
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !seen.insert(usage.text()) {
            faults.duplicate(&usage);
        }
    }
    let signer = spec.field("signerName");
    if signer.text() == "kubernetes.io/legacy-unknown" {
        faults.invalid(&signer, "the legacy signerName is not allowed via this API version");
    } else if faults.some_text(&signer) {
        match signer.text().split('/').collect::<Vec<_>>().as_slice() {
            [domain, path] => {
                faults.all(&signer, names::subdomain(domain));
                if domain.split('.').count() < 2 {
                    faults.invalid(&signer, "should be a domain with at least two segments separated by dots");
                }
                faults.all(&signer, names::subdomain(path));
            }
            _ => {
                let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
                faults.invalid(&signer, why);
            }
        }
    }
    let seconds = spec.field("expirationSeconds");
    if seconds.number().is_some_and(|seconds| seconds < 600) {
        faults.invalid(&seconds, "may not specify a duration less than 600 seconds (10 minutes)");
    }
}
