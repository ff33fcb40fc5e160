//! What is wrong with what a kubelet does to a container: probes, hooks, signals.
//!
//! Knows: what a probe or a hook may do.
//! Does not know: when it is done.

use super::container::Around;
use super::faults::{At, Faults};
use super::names;
use crate::value::Value;

/// Signals that a container may be ended with: those of C, and the real-time ones that count from either end.
const SIGNALS: &[&str] = &[
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
    "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGRTMAX",
];
const MORE_SIGNALS: &[&str] = &[
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

fn signals() -> Vec<String> {
    let counted = |from: &str, most: u8| {
        let mut all: Vec<String> = (1..=most).map(|count| format!("{from}{count}")).collect();
        all.sort();
        all
    };
    let plain = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let mut all = plain(SIGNALS);
    all.extend(counted("SIGRTMAX-", 14));
    all.push("SIGRTMIN".to_owned());
    all.extend(counted("SIGRTMIN+", 15));
    all.extend(plain(MORE_SIGNALS));
    all
}

/// What is done when a container starts and ends.
pub(super) fn lifecycle(at: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    for hook in ["postStart", "preStop"] {
        let hook = at.field(hook);
        if !hook.is_absent() {
            handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], around, faults);
        }
    }
    let signal = at.field("stopSignal");
    if signal.is_absent() {
        return;
    }
    match around.system() {
        None => faults.forbidden(&signal, "may not be set for containers with empty `spec.os.name`"),
        Some("windows") => faults.word(&signal, &["SIGKILL", "SIGTERM"]),
        Some("linux") => {
            let all = signals();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            faults.word(&signal, &all);
        }
        Some(_) => {}
    }
}

/// A probe by its name.
pub(super) fn probe(at: &At<'_>, name: &str, around: &Around<'_>, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    handler(at, &["exec", "httpGet", "tcpSocket", "grpc"], around, faults);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        faults.not_negative(&at.field(field));
    }
    let grace = at.field("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds <= 0) {
        faults.invalid(&grace, "must be greater than 0");
    }
    if name == "readinessProbe" {
        if !grace.is_absent() {
            faults.invalid(&grace, "must not be set for readinessProbes");
        }
    } else {
        let threshold = at.field("successThreshold");
        if threshold.number().is_some_and(|count| count != 1) {
            faults.invalid(&threshold, "must be 1");
        }
    }
}

/// The one thing that a probe or hook does.
fn handler(at: &At<'_>, kinds: &[&str], around: &Around<'_>, faults: &mut Faults) {
    let mut given = false;
    for kind in kinds {
        let it = at.field(kind);
        if it.is_absent() {
            continue;
        }
        if given {
            faults.forbidden(&it, "may not specify more than 1 handler type");
            continue;
        }
        given = true;
        match *kind {
            "exec" => faults.something(&it.field("command")),
            "httpGet" => {
                faults.some_text(&it.field("path"));
                port(&it.field("port"), faults);
                let scheme = it.field("scheme");
                if !scheme.text().is_empty() {
                    faults.one_of(&scheme, &["HTTP", "HTTPS"]);
                }
                for header in it.field("httpHeaders").value.items() {
                    // The real path names the list, not the header.
                    let name = it.named("httpHeaders", header.at(&["name"]));
                    faults.text_in(&name, names::header);
                }
            }
            "tcpSocket" => port(&it.field("port"), faults),
            "grpc" => port(&it.field("port"), faults),
            _ => {
                let seconds = it.field("seconds").number().unwrap_or(0);
                if let Some(grace) = around.grace().filter(|grace| !(0..=*grace).contains(&seconds)) {
                    let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    faults.invalid_as(&it, &seconds.to_string(), &why);
                }
            }
        }
    }
    if !given {
        faults.required(at, "must specify a handler type");
    }
}

/// A port by number or name.
pub(super) fn port(at: &At<'_>, faults: &mut Faults) {
    match at.value {
        Value::Int(number) if names::is_port(*number) => {}
        Value::Null => faults.invalid_as(at, "0", names::PORT_RANGE),
        Value::Int(_) => faults.invalid(at, names::PORT_RANGE),
        _ => faults.all(at, names::port_name(at.text())),
    }
}
