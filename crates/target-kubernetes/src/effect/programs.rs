//! What programs would do once they run: destroy rows, send secrets away.
//!
//! Knows: the commands and arguments of what is made, changed or let loose, the secrets it reads, the hosts it speaks of.
//! Does not know: what an image does that nobody tells it to.

use std::collections::BTreeSet;

use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, Hazard, HazardKind, ObjectRef};

use super::ledger::{Ledger, Net, reference};
use super::templates;

/// Words that end data, in shells, databases and cloud tools, as they stand in lower case.
const DESTROYS: &[&str] = &[
    "delete from",
    "truncate",
    "drop table",
    "drop database",
    "drop schema",
    "dropdatabase",
    "deletemany",
    "flushall",
    "flushdb",
    "rm -rf",
    "rm -fr",
    "rm -r",
    "mkfs",
    "shred",
    "wipefs",
    "kubectl delete",
    "s3 rm",
    "s3 rb",
    "gsutil rm",
    "terraform destroy",
    "purge",
    "wipe",
    "--delete",
    "--prune",
    "destroy",
    "-delete",
];

/// Words that say that nothing is changed.
const LOOKS_ONLY: &[&str] = &["--dry-run", "--read-only", "--readonly", "--check-only", "--noop"];

/// Programs that print what they were given in confidence.
const TELLS: &[&str] = &["env", "printenv", "set", "export"];

/// Programs that carry something elsewhere.
const CARRIES: &[&str] = &["curl", "wget", "nc", "ncat", "scp", "rsync", "sftp", "ftp", "socat", "telnet"];

/// Fills in what would run by itself.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.net() {
        let Some(after) = net.after.filter(|after| after.controller().is_none() && !after.is_terminating()) else {
            continue;
        };
        let Some(template) = templates::template(&key.resource, after) else { continue };
        if is_let_loose(key, net, template) {
            let shown = reference(key, after);
            let said = spoken(template.at(&["spec"]));
            destroys(&said, &shown, forecast);
            leaks(ledger, key, net, template, &said, &shown, forecast);
        }
    }
}

/// Whether something runs after this that did not run before: it is new, other than it was, or no longer held back.
fn is_let_loose(key: &ObjectKey, net: &Net<'_>, template: &Value) -> bool {
    let held = |object: &Value| {
        object.at(&["spec", "suspend"]).is_true() || object.at(&["spec", "replicas"]).as_int() == Some(0)
    };
    if net.after.is_some_and(held) {
        return false;
    }
    match net.before {
        None => true,
        Some(before) => {
            let same = templates::template(&key.resource, before)
                .is_some_and(|old| spoken(old.at(&["spec"])) == spoken(template.at(&["spec"])));
            let when = |object: &Value| ["schedule", "timeZone"].map(|field| object.at(&["spec", field]).clone());
            held(before) || net.is_deletion() || !same || net.after.is_some_and(|after| when(after) != when(before))
        }
    }
}

/// All that a pod's programs are told, as one line a container.
fn spoken(spec: &Value) -> Vec<String> {
    templates::containers(spec)
        .map(|container| {
            let lists = ["command", "args"].into_iter().flat_map(|list| container.at(&[list]).items());
            let words: Vec<&str> = lists.map(Value::str_or_empty).collect();
            words.join(" ")
        })
        .filter(|line| !line.is_empty())
        .collect()
}

fn destroys(said: &[String], object: &ObjectRef, forecast: &mut Forecast) {
    for line in said {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let harmless = LOOKS_ONLY.iter().any(|word| line.contains(word));
        if let Some(word) = DESTROYS.iter().find(|word| !harmless && stands(&line, word)) {
            forecast.hazards.insert(Hazard {
                kind: HazardKind::RunsLater,
                object: object.clone(),
                because: format!("what it runs destroys data: it is told to `{word}`"),
                sure: false,
            });
        }
    }
}

/// Whether a word stands in a line by itself, not within another.
fn stands(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let left = line.get(..at).and_then(|left| left.chars().next_back());
        let right = line.get(at + word.len()..).and_then(|right| right.chars().next());
        let inner = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        !inner(left) && !inner(right)
    })
}

/// A secret that somebody newly reads, who also speaks to the outside or prints what it is given.
fn leaks(
    ledger: &Ledger<'_>,
    key: &ObjectKey,
    net: &Net<'_>,
    template: &Value,
    said: &[String],
    object: &ObjectRef,
    forecast: &mut Forecast,
) {
    let secrets: BTreeSet<&str> = templates::secrets(template.at(&["spec"])).collect();
    let mounts_token = template.at(&["spec", "automountServiceAccountToken"]).as_bool() != Some(false);
    if secrets.is_empty() && !mounts_token {
        return;
    }
    let had =
        net.before.and_then(|before| templates::template(&key.resource, before)).map(|old| spoken(old.at(&["spec"])));
    let sends = said.iter().filter(|line| had.as_ref().is_none_or(|had| !had.contains(line))).find_map(|line| {
        let programs: BTreeSet<&str> = line
            .split(|c: char| c.is_whitespace() || "|;&()$`\"'".contains(c))
            .filter_map(|word| word.rsplit('/').next())
            .collect();
        let carries = CARRIES.iter().any(|program| programs.contains(program));
        let tells = TELLS.iter().any(|program| programs.contains(program)) || line.contains("/var/run/secrets/");
        let host = outside_host(ledger.after, line);
        match host {
            Some(host) if carries || tells => Some((format!("sends to {host}"), tells || !secrets.is_empty())),
            // What is printed stands in the log, which more people may read than the secret.
            None if tells && !carries => Some(("prints".to_owned(), !secrets.is_empty())),
            _ => None,
        }
    });
    let Some((how, true)) = sends else { return };
    let names: Vec<&str> = secrets.iter().copied().collect();
    let what = if names.is_empty() { "its token".to_owned() } else { format!("the Secrets {}", names.join(", ")) };
    for name in &names {
        forecast.secrets_exposed.possible.insert(ObjectRef::namespaced("Secret", key.namespace.as_str(), *name));
    }
    forecast.hazards.insert(Hazard {
        kind: HazardKind::Leaks,
        object: object.clone(),
        because: format!("it reads {what}, and {how} what it reads"),
        sure: false,
    });
}

/// A host in a line that is none of the cluster's own names.
fn outside_host<'l>(cluster: &Cluster, line: &'l str) -> Option<&'l str> {
    line.split(|c: char| c.is_whitespace() || "\"'`,=<>|;@".contains(c)).find_map(|word| {
        let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
        let host = rest.split(['/', ':', '?']).next()?;
        let named = word.contains("://") || word.starts_with("/dev/tcp/");
        let host = word.strip_prefix("/dev/tcp/").map_or(host, |rest| rest.split('/').next().unwrap_or(rest));
        let dotted = host.contains('.') && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
        let mut labels = host.split('.');
        let (first, second) = (labels.next()?, labels.next());
        let inside = host.contains(".svc")
            || host.ends_with(".cluster.local")
            || host.starts_with("127.")
            || host.starts_with("10.")
            || second.is_some_and(|space| cluster.get(&ObjectKey::new("services", space, first)).is_some());
        let top = host.rsplit('.').next()?;
        let looks = named || (top.len() >= 2 && !is_file(top));
        (dotted && looks && !inside && !host.starts_with('.') && !host.starts_with('-')).then_some(host)
    })
}

fn is_file(ending: &str) -> bool {
    matches!(
        ending,
        "sh" | "py"
            | "js"
            | "rb"
            | "jar"
            | "json"
            | "yaml"
            | "yml"
            | "toml"
            | "conf"
            | "cfg"
            | "ini"
            | "sql"
            | "txt"
            | "log"
            | "csv"
            | "gz"
            | "tar"
            | "pem"
            | "crt"
            | "key"
            | "env"
            | "properties"
            | "xml"
    )
}
