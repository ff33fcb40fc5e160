//! Label and field selectors, and the selectors in objects.

use std::process::ExitCode;

use cluster::apiserver::selector::FieldSelector;
use cluster::labels::{self, Selector};
use cluster::{Schema, Value, doc};

fn main() -> ExitCode {
    let schema = Schema::default();
    let pods = schema.resource("", "v1", "pods").expect("pods");
    let pod = doc!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "web", "n": "3"}},
        "spec": {"nodeName": "node-1"}, "status": {"phase": "Running"},
    });
    fuzz::fuzz("selector", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let by_label = match Selector::parse(text) {
            Ok(selector) => format!("label selector: {}", selector.matches(pod.labels())),
            Err(error) => error,
        };
        let by_field = match FieldSelector::parse(text) {
            Ok(selector) => match selector.check(pods) {
                Ok(()) => format!("field selector: {}", selector.matches(pods, &pod)),
                Err(status) => status.message,
            },
            Err(status) => status.message,
        };
        // As it stands in an object. What matches there must match in words too.
        if let Ok(selector) = Value::from_json(input) {
            let matches = labels::matches(&selector, pod.labels());
            let printed = labels::print(&selector);
            return format!("{matches} {}", printed.len().min(3));
        }
        format!("{by_label} / {by_field}")
    })
}
