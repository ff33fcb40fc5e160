//! The patch types, on any document: two lines of JSON, the document and the patch.

use std::process::ExitCode;

use cluster::apiserver::{PatchType, patch};
use cluster::{Schema, Value, json};

fn main() -> ExitCode {
    let schema = Schema::default();
    let ty = schema.resource("apps", "v1", "deployments").expect("deployments").ty();
    fuzz::fuzz("patch", |input| {
        let (document, change) = fuzz::line(input);
        let (Ok(document), Ok(change)) = (json::parse(document), json::parse(change)) else {
            return "no JSON".to_owned();
        };
        let (document, change) = (document.value, change.value);
        let exact = !fuzz::has_floats(&document) && !fuzz::has_floats(&change);
        let mut outcome = String::new();
        for kind in [PatchType::Json, PatchType::Merge, PatchType::Strategic] {
            match patch::apply(kind, ty, &document, &change) {
                Ok(patched) => {
                    let text = patched.to_json_bytes();
                    let again = Value::from_json(&text);
                    assert!(again.is_ok() && (!exact || again.as_ref() == Ok(&patched)), "{kind:?}: {patched}");
                    if kind == PatchType::Merge {
                        // RFC 7386: done twice, it is as done once.
                        assert_eq!(patch::apply(kind, ty, &patched, &change).as_ref(), Ok(&patched));
                    }
                    outcome.push_str(if patched == document { "as it was; " } else { "changed; " });
                }
                Err(status) => {
                    outcome.push_str(&status.message);
                    outcome.push_str("; ");
                }
            }
        }
        outcome
    })
}
