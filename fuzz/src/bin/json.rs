//! JSON: what is read can be written and read again, and is the same; whatever it is.

use std::process::ExitCode;

use cluster::json;

fn main() -> ExitCode {
    fuzz::fuzz("json", |input| match json::parse(input) {
        Ok(parsed) => {
            let text = parsed.value.to_json_bytes();
            let again =
                json::parse(&text).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&text)));
            if fuzz::has_floats(&parsed.value) {
                return "floats".to_owned();
            }
            assert_eq!(again.value, parsed.value);
            assert!(again.duplicates.is_empty(), "{:?}", again.duplicates);
            assert_eq!(again.value.to_json_bytes(), text);
            format!("{} duplicates, {}", parsed.duplicates.len().min(3), shape(&parsed.value))
        }
        Err(error) => error.to_string(),
    })
}

fn shape(value: &cluster::Value) -> &'static str {
    match value {
        cluster::Value::Object(_) => "an object",
        cluster::Value::Array(_) => "a list",
        _ => "a scalar",
    }
}
