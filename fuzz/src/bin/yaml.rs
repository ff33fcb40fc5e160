//! YAML: no panic, no explosion; and what is read can be written as JSON and read again.

use std::process::ExitCode;

use cluster::json;

fn main() -> ExitCode {
    fuzz::fuzz("yaml", |input| match json::parse_yaml(input) {
        Ok(parsed) => {
            let text = parsed.value.to_json_bytes();
            let again =
                json::parse(&text).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&text)));
            if fuzz::has_floats(&parsed.value) {
                return "floats".to_owned();
            }
            assert_eq!(again.value, parsed.value);
            format!("{} duplicates", parsed.duplicates.len().min(3))
        }
        Err(error) => error.to_string(),
    })
}
