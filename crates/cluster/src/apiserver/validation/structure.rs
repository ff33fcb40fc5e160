//! What is wrong with the schema of a version of a CustomResourceDefinition.
//!
//! Knows: which of OpenAPI's keywords may be used where (the schema is structural), and rules written as expressions.
//! Does not know: what a schema is good for.

use super::faults::{At, Faults, quote};
use crate::apiserver::custom;
use crate::value::Value;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const REASONS: &[&str] = &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// How deep a schema may be; what walks over one recurses.
const DEPTH_MAX: usize = 100;

/// Where a schema stands in another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// The schema of a version.
pub(super) fn check(schema: &At<'_>, faults: &mut Faults) {
    if schema.field("nullable").value.is_true() {
        faults.forbidden(&schema.field("nullable"), "nullable cannot be true at the root");
    }
    let before = faults.len();
    keywords(schema, 0, faults);
    let mut all = 0;
    let place = Place { top: true, lost: None, many: Some(1), depth: 0 };
    rules(schema, &place, &mut all, faults);
    if let Some(why) = custom::all_too_costly(all) {
        faults.forbidden(schema, &why);
    }
    if faults.len() > before {
        return;
    }
    structural(schema, Level::Root, faults);
    if faults.len() == before {
        defaults(schema, faults);
    }
}

/// The schemas that stand directly in one.
fn below<'v>(schema: &At<'v>) -> Vec<At<'v>> {
    let mut all: Vec<At<'v>> = Vec::new();
    let others = schema.field("additionalProperties");
    all.extend((others.value.as_object().is_some()).then_some(others));
    all.extend(schema.field("properties").entries().map(|(_, property)| property));
    for place in ["not", "items"] {
        let one = schema.field(place);
        all.extend((one.value.as_object().is_some()).then_some(one));
    }
    for place in ["allOf", "oneOf", "anyOf"] {
        all.extend(schema.field(place).items());
    }
    all
}

fn keywords(schema: &At<'_>, depth: usize, faults: &mut Faults) {
    if depth > DEPTH_MAX {
        return faults.invalid_bare(schema, "the schema is too deep");
    }
    for keyword in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        let place = schema.field(keyword);
        if !place.is_absent() {
            faults.forbidden(&place, &format!("{keyword} is not supported"));
        }
    }
    let ty = schema.field("type");
    if ty.text() == "null" {
        faults.forbidden(&ty, "type cannot be set to null, use nullable as an alternative");
    } else if !ty.text().is_empty() && !TYPES.contains(&ty.text()) {
        faults.unsupported(&ty, TYPES);
    }
    let pattern = schema.field("pattern");
    if let Err(why) = cel::pattern::read(pattern.text()) {
        faults.invalid(&pattern, &format!("must be a valid regular expression, but isn't: {why}"));
    }
    if schema.field("uniqueItems").value.is_true() {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        faults.forbidden(&schema.field("uniqueItems"), why);
    }
    let others = schema.field("additionalProperties");
    if !schema.field("properties").value.is_empty()
        && (others.value.as_object().is_some() || *others.value == Value::Bool(false))
    {
        faults.forbidden(&others, "additionalProperties and properties are mutual exclusive");
    }
    let keeps = schema.field("x-kubernetes-preserve-unknown-fields");
    if *keeps.value == Value::Bool(false) {
        faults.invalid(&keeps, "must be true or undefined");
    }
    let map = schema.field("x-kubernetes-map-type");
    if !map.is_absent() {
        wants(&ty, "object", "must be object if x-kubernetes-map-type is specified", faults);
        faults.one_of(&map, &["atomic", "granular"]);
    }
    list(schema, faults);
    for schema in below(schema) {
        keywords(&schema, depth + 1, faults);
    }
}

/// A type has to be this one.
fn wants(ty: &At<'_>, wanted: &str, why: &str, faults: &mut Faults) {
    if ty.text().is_empty() {
        faults.required(ty, why);
    } else if ty.text() != wanted {
        faults.invalid(ty, why);
    }
}

/// How a list's elements are told apart.
fn list(schema: &At<'_>, faults: &mut Faults) {
    const OF_MAP: &str = "must be map if x-kubernetes-list-map-keys is non-empty";
    let (list, keys, items) =
        (schema.field("x-kubernetes-list-type"), schema.field("x-kubernetes-list-map-keys"), schema.field("items"));
    if !list.is_absent() {
        wants(&schema.field("type"), "array", "must be array if x-kubernetes-list-type is specified", faults);
        faults.one_of(&list, &["atomic", "map", "set"]);
    }
    if !keys.value.is_empty() {
        if list.is_absent() {
            faults.required(&list, OF_MAP);
        } else if list.text() != "map" {
            faults.invalid(&list, OF_MAP);
        }
    }
    if list.text() != "map" {
        return;
    }
    if keys.value.is_empty() {
        faults.required(&keys, "must not be empty if x-kubernetes-list-type is map");
    }
    if items.is_absent() {
        return faults.required(&items, "must have a schema if x-kubernetes-list-type is map");
    }
    wants(&items.field("type"), "object", "must be object if parent array's x-kubernetes-list-type is map", faults);
    let (properties, required) = (items.field("properties"), items.field("required"));
    let mut known: Vec<&str> = Vec::new();
    for key in keys.value.items().iter().filter_map(Value::as_str) {
        if known.contains(&key) {
            faults.invalid(&keys, "must not contain duplicate entries");
        }
        known.push(key);
        let property = properties.key(key);
        if property.is_absent() {
            faults.invalid(&keys, "entries must all be names of item properties");
        } else if property.field("default").is_absent() && !required.value.items().iter().any(|one| *one == key) {
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            faults.required(&property.field("default"), why);
        }
    }
}

/// Whether it is said of every value what it is: so that unknown fields can be told and dropped.
fn structural(schema: &At<'_>, level: Level, faults: &mut Faults) {
    let flag = |name: &str| schema.field(name).value.is_true();
    let (mixed, keeps) = (flag("x-kubernetes-int-or-string"), flag("x-kubernetes-preserve-unknown-fields"));
    let whole = flag("x-kubernetes-embedded-resource");
    let ty = schema.field("type");
    if ty.text().is_empty() && !mixed && !keeps {
        faults.required(
            &ty,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Field => "must not be empty for specified object fields",
                Level::Item => "must not be empty for specified array items",
            },
        );
    }
    if level == Level::Root && !ty.text().is_empty() && ty.text() != "object" {
        faults.invalid(&ty, "must be object at the root");
    }
    if whole {
        wants(&ty, "object", "must be object if x-kubernetes-embedded-resource is true", faults);
        if !keeps && schema.field("properties").value.is_empty() {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            faults.required(&schema.field("properties"), why);
        }
    }
    if mixed && !ty.text().is_empty() {
        faults.invalid(&ty, "must be empty if x-kubernetes-int-or-string is true");
    }
    if whole || level == Level::Root {
        metadata(schema, faults);
    }
    for place in ["allOf", "anyOf", "oneOf"] {
        for part in schema.field(place).items() {
            nested(&part, schema, mixed, faults);
        }
    }
    let not = schema.field("not");
    if !not.is_absent() {
        nested(&not, schema, mixed, faults);
    }
    for (_, property) in schema.field("properties").entries() {
        structural(&property, Level::Field, faults);
    }
    let others = schema.field("additionalProperties");
    if others.value.as_object().is_some() {
        structural(&others, Level::Field, faults);
    }
    let items = schema.field("items");
    if items.is_absent() {
        if ty.text() == "array" {
            faults.required(&items, "must be specified");
        }
    } else {
        structural(&items, Level::Item, faults);
    }
}

/// What every object has is not for a definition to describe.
fn metadata(schema: &At<'_>, faults: &mut Faults) {
    let metadata = schema.field("properties").key("metadata");
    if metadata.is_absent() {
        return;
    }
    let allowed = |key: &str| matches!(key, "type" | "description" | "properties");
    let named = |key: &str| matches!(key, "name" | "generateName");
    let plain = metadata.value.entries().iter().all(|(key, _)| allowed(key))
        && metadata.field("properties").value.entries().iter().all(|(key, _)| named(key));
    if !plain {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        faults.forbidden(&metadata, why);
    }
}

/// A part of a choice says what values are taken, not what they are.
fn nested(part: &At<'_>, whole: &At<'_>, mixed: bool, faults: &mut Faults) {
    if !mixed && !part.field("type").is_absent() {
        faults.forbidden(&part.field("type"), "must be empty to be structural");
    }
    for keyword in ["title", "description"] {
        if !part.field(keyword).value.is_empty() {
            faults.forbidden(&part.field(keyword), "must be empty to be structural");
        }
    }
    for keyword in ["default", "additionalProperties"] {
        if !part.field(keyword).is_absent() {
            faults.forbidden(&part.field(keyword), "must be undefined to be structural");
        }
    }
    for keyword in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        if part.field(keyword).value.is_true() {
            faults.forbidden(&part.field(keyword), "must be false to be structural");
        }
    }
    for (name, property) in part.field("properties").entries() {
        let outside = whole.field("properties").key(name);
        if outside.is_absent() {
            faults.required(&outside, &format!("because it is defined in {}", property.path()));
        } else {
            nested(&property, &outside, outside.field("x-kubernetes-int-or-string").value.is_true(), faults);
        }
    }
    let (items, outside) = (part.field("items"), whole.field("items"));
    if !items.is_absent() {
        if outside.is_absent() {
            faults.required(&outside, &format!("because it is defined in {}", items.path()));
        } else {
            nested(&items, &outside, outside.field("x-kubernetes-int-or-string").value.is_true(), faults);
        }
    }
    for place in ["allOf", "anyOf", "oneOf"] {
        for part in part.field(place).items() {
            nested(&part, whole, mixed, faults);
        }
    }
}

/// A default is a value that the schema takes.
fn defaults(schema: &At<'_>, faults: &mut Faults) {
    let default = schema.field("default");
    if !default.is_absent() {
        for cause in custom::causes(schema.value, default.value, None) {
            let field = if matches!(cause.field.as_str(), "" | "<nil>") {
                default.path().to_owned()
            } else {
                format!("{}.{}", default.path(), cause.field)
            };
            faults.causes.push(crate::apiserver::status::Cause { field, ..cause });
        }
    }
    for schema in below(schema) {
        defaults(&schema, faults);
    }
}

/// Where a rule stands in a schema.
#[derive(Clone, Copy)]
struct Place<'a> {
    top: bool,
    /// The list from which on elements are not known again.
    lost: Option<&'a str>,
    /// How many values there may be here in one object; none if only the size of a request bounds them.
    many: Option<u64>,
    depth: usize,
}

/// Rules written as expressions. Adds up what they may cost.
fn rules(schema: &At<'_>, place: &Place<'_>, all: &mut u64, faults: &mut Faults) {
    if place.depth > DEPTH_MAX {
        return;
    }
    for rule in schema.field("x-kubernetes-validations").items() {
        *all = all.saturating_add(self::rule(schema, &rule, place, faults));
    }
    let inside = Place { top: false, depth: place.depth + 1, ..*place };
    for (_, property) in schema.field("properties").entries() {
        rules(&property, &inside, all, faults);
    }
    let times = |bound: Option<u64>| Some(place.many?.saturating_mul(bound?));
    let many = times(custom::bound(schema.value));
    let others = schema.field("additionalProperties");
    if others.value.as_object().is_some() {
        rules(&others, &Place { many, ..inside }, all, faults);
    }
    let items = schema.field("items");
    if !items.is_absent() {
        let told = schema.field("x-kubernetes-list-type").text() == "map";
        let path = schema.path().to_owned();
        let lost = place.lost.or_else(|| (!told).then_some(path.as_str()));
        rules(&items, &Place { many, lost, ..inside }, all, faults);
    }
}

/// Checks a rule, and gives what it may cost.
fn rule(schema: &At<'_>, at: &At<'_>, place: &Place<'_>, faults: &mut Faults) -> u64 {
    let (rule, message, made) = (at.field("rule"), at.field("message"), at.field("messageExpression"));
    let lines = |text: &str| text.trim().contains(['\n', '\r']);
    let blank = |at: &At<'_>| !at.text().is_empty() && at.text().trim().is_empty();
    if rule.text().trim().is_empty() {
        faults.required(&rule, "rule is not specified");
    }
    if blank(&message) {
        faults.invalid(&message, "message must be non-empty if specified");
    } else if lines(message.text()) {
        faults.invalid(&message, "message must not contain line breaks");
    } else if lines(rule.text()) && message.text().is_empty() {
        faults.required(&message, "message must be specified if rule contains line breaks");
    }
    if blank(&made) {
        faults.required(&made, "must be non-empty if specified");
    }
    faults.one_of(&at.field("reason"), REASONS);
    let path = at.field("fieldPath");
    if blank(&path) {
        faults.invalid(&path, "fieldPath must be non-empty if specified");
    } else if lines(path.text()) {
        faults.invalid(&path, "fieldPath must not contain line breaks");
    } else if !path.text().is_empty()
        && let Err(why) = field_path(schema.value, path.text())
    {
        faults.invalid(&path, &format!("fieldPath must be a valid path: {why}"));
    }
    let (shown, mut total) = (as_go(at.value), 0);
    let mut cost = |at: &At<'_>, what: &str, program: &cel::Program, faults: &mut Faults| {
        let cost = custom::cost(program, schema.value, place.many);
        if let Some(why) = custom::too_costly(what, cost) {
            faults.forbidden(at, &why);
        }
        total = cost.saturating_add(total);
    };
    match custom::compile(schema.value, at.value, "rule", place.top) {
        None => {}
        Some(Err(error)) => faults.invalid_as(&rule, &shown, &format!("compilation failed: {error}")),
        Some(Ok(program)) => {
            cost(&rule, "estimated rule cost", &program, faults);
            if !program.ty().is(&cel::Type::Bool) {
                faults.invalid_as(&rule, &shown, "cel expression must evaluate to a bool");
            }
            if program.uses("oldSelf")
                && let Some(lost) = place.lost
            {
                let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}");
                faults.invalid(&rule, &why);
            }
        }
    }
    match custom::compile(schema.value, at.value, "messageExpression", place.top) {
        None => {}
        Some(Err(error)) => {
            faults.invalid_as(&made, &shown, &format!("messageExpression compilation failed: {error}"));
        }
        Some(Ok(program)) if !program.ty().is(&cel::Type::String) => {
            faults.invalid_as(&made, &shown, "messageExpression must evaluate to a string");
        }
        Some(Ok(program)) => cost(&made, "estimated messageExpression cost", &program, faults),
    }
    total
}

/// A rule as Go shows its struct, which has no names for JSON.
fn as_go(rule: &Value) -> String {
    let text = |key: &str| quote(rule.at(&[key]).str_or_empty());
    let reason = rule.at(&["reason"]).as_str().map_or_else(|| "null".to_owned(), quote);
    format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{reason},"FieldPath":{},"OptionalOldSelf":{}}}"#,
        text("rule"),
        text("message"),
        text("messageExpression"),
        text("fieldPath"),
        rule.at(&["optionalOldSelf"]).to_json()
    )
}

/// Whether a path (`.spec.x`, `['a']`) leads to a field that a schema has.
fn field_path(schema: &Value, path: &str) -> Result<(), &'static str> {
    let (mut schema, mut rest) = (schema, path);
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix("['") {
            let end = after.find("']").ok_or("unexpected end of JSON path")?;
            (name, rest) = (after.get(..end).unwrap_or(""), after.get(end + 2..).unwrap_or(""));
        } else {
            let after = rest.strip_prefix('.').ok_or("expected [ or . but got something else")?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err("unexpected end of JSON path");
            }
            (name, rest) = after.split_at_checked(end).unwrap_or((after, ""));
        }
        let below = schema.at(&["properties"]).get(name).or_else(|| schema.get("additionalProperties"));
        schema = below.ok_or("does not refer to a valid field")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a definition of `widgets` with this schema of `spec`, sentence by sentence.
    fn against(spec: &str) -> Vec<String> {
        let schema = format!(r#"{{"type":"object","properties":{{"spec":{spec}}}}}"#);
        let schema = Value::from_json(schema.as_bytes()).unwrap();
        let mut faults = Faults::default();
        check(&At::root(&schema), &mut faults);
        let strip = |field: &str| field.replace("properties[spec]", "spec");
        faults.causes.iter().map(|cause| format!("{}: {}", strip(&cause.field), cause.message)).collect()
    }

    #[test]
    fn a_schema_says_of_every_value_what_it_is() {
        for (spec, sentences) in [
            (r#"{"type":"object","properties":{"a":{"type":"string","enum":["x"]}}}"#, &[][..]),
            (r#"{"type":"object","x-kubernetes-preserve-unknown-fields":true}"#, &[]),
            (r#"{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}"#, &[]),
            (
                r#"{"type":"object","properties":{"a":{}}}"#,
                &["spec.properties[a].type: Required value: must not be empty for specified object fields"],
            ),
            (r#"{"type":"array"}"#, &["spec.items: Required value: must be specified"]),
            (
                r#"{"type":"text"}"#,
                &[
                    r#"spec.type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string""#,
                ],
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}}"#,
                &["spec.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
            ),
            (r##"{"$ref":"#/x"}"##, &["spec.$ref: Forbidden: $ref is not supported"]),
            (
                r#"{"type":"string","pattern":"("}"#,
                &[
                    "spec.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`",
                ],
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"properties":{"b":{"minLength":1}}}]}"#,
                &["spec.properties[b]: Required value: because it is defined in spec.anyOf[0].properties[b]"],
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"integer","default":"x"}}}"#,
                &[r#"spec.properties[a].default: Invalid value: "string":  in body must be of type integer: "string""#],
            ),
            (
                r#"{"type":"array","items":{"type":"object","properties":{"k":{"type":"string"}}},"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"]}"#,
                &[
                    "spec.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                ],
            ),
            (
                r#"{"type":"array","items":{"type":"string"},"x-kubernetes-list-map-keys":["k"]}"#,
                &[
                    "spec.x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty",
                ],
            ),
        ] {
            let sentences: Vec<String> =
                sentences.iter().map(|one| one.replace("spec.", "properties[spec].")).collect();
            let found: Vec<String> =
                against(spec).iter().map(|one| one.replace("spec.", "properties[spec].")).collect();
            assert_eq!(found, sentences, "{spec}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_asked_is_refused_with_the_definition() {
        for (rule, sentence) in [
            (r#"{"rule":"self.a > 1"}"#, ""),
            (r#"{"rule":" "}"#, ".rule: Required value: rule is not specified"),
            (
                r#"{"rule":"self.b > 1"}"#,
                "compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b > 1\n | ....^",
            ),
            (r#"{"rule":"self.a"}"#, "cel expression must evaluate to a bool"),
            (r#"{"rule":"self.a > 1","messageExpression":"1"}"#, "messageExpression must evaluate to a string"),
            (r#"{"rule":"self.a > 1","reason":"Odd"}"#, ".reason: Unsupported value"),
            (
                r#"{"rule":"self.a > 1","fieldPath":".c"}"#,
                "fieldPath must be a valid path: does not refer to a valid field",
            ),
            (r#"{"rule":"self.l.all(x, x > 0)"}"#, ""),
        ] {
            let spec = format!(
                r#"{{"type":"object","properties":{{"a":{{"type":"integer"}},"l":{{"type":"array","maxItems":5,"items":{{"type":"integer"}}}}}},"x-kubernetes-validations":[{rule}]}}"#
            );
            let found = against(&spec).join("\n");
            assert!(if sentence.is_empty() { found.is_empty() } else { found.contains(sentence) }, "{rule}\n{found}");
        }
        let unbounded = r#"{"type":"array","items":{"type":"string"},"x-kubernetes-validations":[{"rule":"self.all(x, self.all(y, x == y))"}]}"#;
        assert!(against(unbounded).join("").contains("estimated rule cost exceeds budget by factor of more than 100x"));
        let bounded = unbounded
            .replace(r#""items":{"type":"string"}"#, r#""maxItems":10,"items":{"type":"string","maxLength":10}"#);
        assert_eq!(against(&bounded), Vec::<String>::new());
        let list = r#"{"type":"array","maxItems":5,"items":{"type":"integer","x-kubernetes-validations":[{"rule":"self > oldSelf"}]}}"#;
        assert!(
            against(list)
                .join("")
                .contains("oldSelf cannot be used on the uncorrelatable portion of the schema within")
        );
    }
}
