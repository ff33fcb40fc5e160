//! Objects, schemas, and what the one has against the other.

use crate::doc;
use crate::value::Value;

/// What a schema has against an object, sentence by sentence.
fn against(schema: &str, object: &str, old: Option<&str>) -> Vec<String> {
    let read = |text: &str| Value::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let causes = super::causes(&read(schema), &read(object), old.map(read).as_ref());
    causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn spec(of: &str) -> String {
    format!(r#"{{"type":"object","properties":{{"spec":{of}}}}}"#)
}

#[test]
fn a_schema_refuses_in_the_real_words() {
    for (schema, value, sentences) in [
        (
            r#"{"type":"integer","minimum":1}"#,
            "0",
            &["spec: Invalid value: 0: spec in body should be greater than or equal to 1"][..],
        ),
        (
            r#"{"type":"integer","maximum":10,"exclusiveMaximum":true}"#,
            "10",
            &["spec: Invalid value: 10: spec in body should be less than 10"],
        ),
        (
            r#"{"type":"integer"}"#,
            r#""big""#,
            &[r#"spec: Invalid value: "string": spec in body must be of type integer: "string""#],
        ),
        (
            r#"{"type":"integer"}"#,
            "1.5",
            &[r#"spec: Invalid value: "number": spec in body must be of type integer: "number""#],
        ),
        (r#"{"type":"number"}"#, "1", &[]),
        (
            r#"{"type":"string","enum":["a","b"]}"#,
            r#""c""#,
            &[r#"spec: Unsupported value: "c": supported values: "a", "b""#],
        ),
        (
            r#"{"type":"string","pattern":"^[a-z]+$"}"#,
            r#""A1""#,
            &[r#"spec: Invalid value: "A1": spec in body should match '^[a-z]+$'"#],
        ),
        (r#"{"type":"string","maxLength":2}"#, r#""abc""#, &["spec: Too long: may not be more than 2 characters"]),
        (
            r#"{"type":"string","minLength":2}"#,
            r#""a""#,
            &[r#"spec: Invalid value: "a": spec in body should be at least 2 chars long"#],
        ),
        (
            r#"{"type":"string","format":"date-time"}"#,
            r#""now""#,
            &[r#"spec: Invalid value: "now": spec in body must be of type date-time: "now""#],
        ),
        (
            r#"{"type":"array","items":{"type":"string"},"maxItems":1}"#,
            r#"["a","b"]"#,
            &["spec: Too many: 2: must have at most 1 items"],
        ),
        (
            r#"{"type":"array","items":{"type":"string"}}"#,
            r#"["a",1]"#,
            &[r#"spec[1]: Invalid value: "integer": spec[1] in body must be of type string: "integer""#],
        ),
        (
            r#"{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}"#,
            "{}",
            &["spec.a: Required value"],
        ),
        (
            r#"{"type":"object","additionalProperties":{"type":"integer"}}"#,
            r#"{"k":"v"}"#,
            &[r#"spec.k: Invalid value: "string": spec.k in body must be of type integer: "string""#],
        ),
        (
            r#"{"x-kubernetes-int-or-string":true}"#,
            "true",
            &[r#"spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean""#],
        ),
        (r#"{"type":"string","nullable":true}"#, "null", &[]),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}"#,
            r#"{"a":"","b":""}"#,
            &[
                r#"spec: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
            ],
        ),
        (
            r#"{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set"}"#,
            r#"["a","b","a"]"#,
            &[r#"spec[2]: Duplicate value: "a""#],
        ),
        (
            r#"{"type":"array","items":{"type":"object","properties":{"k":{"type":"string"}}},"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"]}"#,
            r#"[{"k":"a"},{"k":"a"}]"#,
            &[r#"spec[1]: Duplicate value: {"k":"a"}"#],
        ),
    ] {
        assert_eq!(against(&spec(schema), &format!(r#"{{"spec":{value}}}"#), None), sentences, "{schema} {value}");
    }
}

#[test]
fn a_rule_refuses_with_its_message_and_says_where() {
    let check = |of: &str, rule: &str, value: &str, old: Option<&str>| {
        let schema = spec(&format!("{},\"x-kubernetes-validations\":[{rule}]}}", of.strip_suffix('}').unwrap()));
        let whole = |value: &str| format!(r#"{{"spec":{value}}}"#);
        against(&schema, &whole(value), old.map(whole).as_deref())
    };
    let n = r#"{"type":"integer"}"#;
    let object = r#"{"type":"object","properties":{"min-x":{"type":"integer"},"max":{"type":"integer"},"in":{"type":"string"}}}"#;
    for (of, rule, value, old, sentences) in [
        (n, r#"{"rule":"self < 10"}"#, "12", None, &["spec: Invalid value: 12: failed rule: self < 10"][..]),
        (n, r#"{"rule":"self < 10","message":"too much"}"#, "12", None, &["spec: Invalid value: 12: too much"]),
        (
            n,
            r#"{"rule":"self < 10","messageExpression":"'no ' + string(self)"}"#,
            "12",
            None,
            &["spec: Invalid value: 12: no 12"],
        ),
        (
            n,
            r#"{"rule":"self >= oldSelf","message":"may only grow"}"#,
            "4",
            Some("5"),
            &["spec: Invalid value: 4: may only grow"],
        ),
        (n, r#"{"rule":"self >= oldSelf"}"#, "4", None, &[]),
        (
            n,
            r#"{"rule":"!oldSelf.hasValue()","optionalOldSelf":true,"message":"fixed"}"#,
            "4",
            Some("5"),
            &["spec: Invalid value: 4: fixed"],
        ),
        (n, r#"{"rule":"!oldSelf.hasValue()","optionalOldSelf":true}"#, "4", None, &[]),
        // What was wrong before may stay so.
        (n, r#"{"rule":"self < 10"}"#, "12", Some("12"), &[]),
        (
            object,
            r#"{"rule":"self.min__dash__x <= self.max"}"#,
            r#"{"min-x":2,"max":1}"#,
            None,
            &["spec: Invalid value: failed rule: self.min__dash__x <= self.max"],
        ),
        (
            object,
            r#"{"rule":"self.__in__ == 'x'","fieldPath":".in","reason":"FieldValueForbidden","message":"no"}"#,
            r#"{"in":"y"}"#,
            None,
            &["spec.in: Forbidden: no"],
        ),
        (
            object,
            r#"{"rule":"self.max > 0"}"#,
            "{}",
            None,
            &[r#"spec: Invalid value: "object": no such key: max evaluating rule: self.max > 0"#],
        ),
        (
            r#"{"x-kubernetes-int-or-string":true,"type":""}"#,
            r#"{"rule":"self > 5"}"#,
            r#""a""#,
            None,
            &[
                r#"spec: Invalid value: "": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self > 5"#,
            ],
        ),
        (
            r#"{"type":"array","items":{"type":"integer"}}"#,
            r#"{"rule":"self.all(a, self.all(b, self.all(c, self.all(d, self.all(e, a + b + c + d + e > 0)))))"}"#,
            "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]",
            None,
            &[
                "spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self.all(a, self.all(b, self.all(c, self.all(d, self.all(e, a + b + c + d + e > 0)))))",
            ],
        ),
    ] {
        assert_eq!(check(of, rule, value, old), sentences, "{rule} {value}");
    }
}

#[test]
fn rules_wait_until_the_object_has_the_right_types() {
    let schema =
        r#"{"type":"object","properties":{"n":{"type":"integer","x-kubernetes-validations":[{"rule":"self < 10"}]}}}"#;
    assert_eq!(
        against(schema, r#"{"n":"x"}"#, None),
        [
            r#"n: Invalid value: "string": n in body must be of type integer: "string""#,
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct \
             the existing errors to complete validation",
        ]
    );
}

#[test]
fn what_is_missing_is_filled_in_and_so_is_what_that_lacks() {
    let schema = doc!({"type": "object", "properties": {
        "size": {"type": "integer", "default": 3},
        "maybe": {"type": "integer", "nullable": true, "default": 1},
        "part": {"type": "object", "default": {}, "properties": {"name": {"type": "string", "default": "x"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}},
    }});
    let mut object = doc!({"size": null, "maybe": null, "list": [{}, {"port": 1}]});
    super::fill(&schema, &mut object);
    let filled = doc!({"size": 3, "maybe": null, "part": {"name": "x"}, "list": [{"port": 80}, {"port": 1}]});
    assert_eq!(object, filled);
}

#[test]
fn a_large_object_takes_no_longer_than_it_is_large() {
    let schema = spec(
        r#"{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{
            "k":{"type":"string","pattern":"^([a-z0-9]{1,40}[.]?)+$","x-kubernetes-validations":[{"rule":"self != 'x'"}]}}}}"#,
    );
    // What looks at every element for every other, or reads a pattern or rule for each, is still busy tomorrow.
    let items: Vec<String> = (0..20_000).map(|at| format!(r#"{{"k":"a{at}"}}"#)).collect();
    let object = format!(r#"{{"spec":[{}]}}"#, items.join(","));
    let reversed: Vec<String> = items.into_iter().rev().collect();
    let old = format!(r#"{{"spec":[{}]}}"#, reversed.join(","));
    assert_eq!(against(&schema, &object, Some(&old)), Vec::<String>::new());
    assert_eq!(against(&schema, &object, None), Vec::<String>::new());
}
