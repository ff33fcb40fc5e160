//! The streaming mask: whatever a list of Secrets looks like, and in whatever pieces it comes, no secret gets through.
//!
//! The secret is the text [`SECRET`]. An input counts only where that stands in the values of Secrets and nowhere else; then it
//! must not be in anything that is passed on, also not in what was passed on of a list that breaks off.

use std::process::ExitCode;

use cluster::apiserver::{Call, Options, Output, Subject, Verb};
use cluster::{Value, json};
use fuzz::Dice;
use target_kubernetes::mask::{Mask, Passing};

const SECRET: &str = "aHVudGVyMg";

fn main() -> ExitCode {
    let mask = Mask::new().expect("randomness");
    let call = secrets();
    fuzz::fuzz("mask", |input| {
        let seed = input.iter().fold(input.len() as u64, |seed, byte| seed.rotate_left(7) ^ u64::from(*byte));
        let mut dice = Dice::new(seed);
        let parsed = json::parse(input);
        // Of what stands twice only one is in the document, and the other would not be looked at here.
        let duplicates = parsed.as_ref().is_ok_and(|parsed| !parsed.duplicates.is_empty());
        let parsed = parsed.map(|parsed| parsed.value);
        // A list that is no JSON: all of it that came before the fault must be masked too, which only shows if the secret
        // can be nowhere but in a value. The seeds are such lists, and cutting leaves them so.
        let counts = match &parsed {
            Ok(document) => !duplicates && !text_outside(document).contains(SECRET),
            Err(_) => false,
        };
        let (passed, over) = pass(&mask, input, &mut dice);
        // Where the pieces end makes no difference.
        let mut whole = Passing::new(mask.clone());
        if let (Ok(at_once), true) = (whole.pass(input), over) {
            assert!(whole.is_over() && at_once == passed, "in pieces otherwise than at once");
        }
        if counts {
            assert!(!contains(&passed), "{}", String::from_utf8_lossy(&passed));
            // However it breaks off.
            let cut = dice.below(input.len() + 1);
            let (passed, _) = pass(&mask, &input[..cut], &mut dice);
            assert!(!contains(&passed), "cut at {cut}: {}", String::from_utf8_lossy(&passed));
        }
        let whole = match (&parsed, over) {
            (Ok(document), true) => {
                let passed =
                    json::parse(&passed).unwrap_or_else(|error| panic!("what was passed on is no JSON: {error}"));
                let mut held = document.clone();
                mask.answer(&call, &mut held);
                if passed.value == held { "as if it had been held" } else { "otherwise than if it had been held" }
            }
            (Err(_), true) => "passed, and no JSON",
            _ => "not passed",
        };
        format!("{whole}; {counts}; {}", parsed.err().map(|error| error.to_string()).unwrap_or_default())
    })
}

/// What passes, in pieces of any size; and whether it was whole.
fn pass(mask: &Mask, input: &[u8], dice: &mut Dice) -> (Vec<u8>, bool) {
    let mut passing = Passing::new(mask.clone());
    let (mut passed, mut rest) = (Vec::new(), input);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + dice.below(40)).min(rest.len()));
        rest = after;
        match passing.pass(piece) {
            Ok(out) => passed.extend(out),
            Err(_) => return (passed, false),
        }
    }
    (passed, passing.is_over())
}

fn contains(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// The text of a list without the values of the Secrets in it.
fn text_outside(list: &Value) -> String {
    let mut list = list.clone();
    let bare = |secret: &mut Value| {
        for part in ["data", "stringData"] {
            secret.find_mut(&[part]).into_iter().for_each(blank);
        }
    };
    for (key, inner) in [("items", None), ("rows", Some("object"))] {
        let Some(elements) = list.find_mut(&[key]).and_then(Value::as_array_mut) else { continue };
        for element in elements.edit() {
            match inner {
                None => bare(element),
                Some(inner) => element.find_mut(&[inner]).into_iter().for_each(bare),
            }
        }
    }
    list.to_json()
}

/// Leaves the names of values; they are no secrets.
fn blank(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(blank),
        Value::Array(list) => list.edit().iter_mut().for_each(blank),
        other => *other = Value::Null,
    }
}

fn secrets() -> Call {
    Call {
        verb: Verb::List,
        on: Subject { version: "v1".into(), resource: "secrets".into(), ..Subject::default() },
        options: Options::default(),
        body: Value::Null,
        faults: Vec::new(),
        output: Output::default(),
        user_agent: String::new(),
        impersonate: None,
    }
}
