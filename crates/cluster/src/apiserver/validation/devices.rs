//! What is wrong with claims to devices, and with classes of devices (`pkg/apis/resource/validation`).
//!
//! Knows: what may be asked for, and how.
//! Does not know: which devices there are; drivers say that, in slices.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use cel::{Env, Type};

use super::faults::{At, Faults, quote};
use super::{internal, metadata, names, resources, selectors, source};
use crate::value::{Text, Value};

const REQUESTS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const CONFIG_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;
const PARAMETERS_MAX: usize = 10 * 1024;
const EXPRESSION_MAX: usize = 10 * 1024;
pub(super) const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];

// Lists, as all of these kinds look at them.

/// Some of which there may not be too many. If there are, nothing else is said.
pub(super) fn few<'v>(
    list: &At<'v>,
    most: usize,
    faults: &mut Faults,
    mut each: impl FnMut(&At<'v>, &mut Faults),
) -> bool {
    let count = list.value.items().len();
    if count > most {
        faults.too_many(list, count, most);
        return false;
    }
    list.items().for_each(|item| each(&item, faults));
    true
}

/// The same, and no two alike.
pub(super) fn distinct<'v>(
    list: &At<'v>,
    most: usize,
    faults: &mut Faults,
    key: impl Fn(&At<'v>) -> String,
    each: impl FnMut(&At<'v>, &mut Faults),
) {
    if !few(list, most, faults, each) {
        return;
    }
    let mut known = BTreeSet::new();
    for item in list.items() {
        let key = key(&item);
        if known.contains(&key) {
            faults.duplicate_as(&item, &quote(&key));
        }
        known.insert(key);
    }
}

/// The name of an item.
pub(super) fn name_of(item: &At<'_>) -> String {
    item.field("name").text().to_owned()
}

fn itself(item: &At<'_>) -> String {
    item.text().to_owned()
}

/// A ResourceClaim.
pub(super) fn claim(root: &At<'_>, faults: &mut Faults) {
    claim_spec(&root.field("spec"), faults);
}

/// A ResourceClaimTemplate.
pub(super) fn template(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let about = spec.field("metadata");
    metadata::annotations(&about.field("annotations"), faults);
    metadata::labels(&about.field("labels"), faults);
    for (field, _) in about.value.entries() {
        if !matches!(field.as_str(), "annotations" | "labels" | "creationTimestamp") {
            faults.forbidden(&about.field(field), "cannot be set");
        }
    }
    claim_spec(&spec.field("spec"), faults);
}

/// A DeviceClass.
pub(super) fn class(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    selected(&spec.field("selectors"), faults);
    few(&spec.field("config"), CONFIG_MAX, faults, configured);
    let resource = spec.field("extendedResourceName");
    let sound = |name: &str| resources::is_extended(name) && names::qualified(name).is_empty();
    if !resource.is_absent() && !sound(resource.text()) {
        faults.invalid(&resource, "must be a valid extended resource name");
    }
}

/// What has been asked for stays so.
pub(super) fn unchanged(root: &At<'_>, old: &Value, shape: &str, faults: &mut Faults) {
    let spec = root.field("spec");
    if spec.value != old.at(&["spec"]) {
        faults.invalid_as(&spec, &internal::of(shape, spec.value), "field is immutable");
    }
}

/// The names of requests, and of the alternatives in each.
type Requests<'v> = BTreeMap<&'v str, BTreeSet<&'v str>>;

fn claim_spec(spec: &At<'_>, faults: &mut Faults) {
    let devices = spec.field("devices");
    let requests = devices.field("requests");
    let named = |list: &'_ Value| -> BTreeSet<Text> {
        list.items().iter().filter_map(|one| one.at(&["name"]).as_text().cloned()).collect()
    };
    let known: BTreeMap<Text, BTreeSet<Text>> = (requests.value.items().iter())
        .map(|one| (Text::from(one.at(&["name"]).str_or_empty()), named(one.at(&["firstAvailable"]))))
        .collect();
    let known: Requests<'_> = (known.iter())
        .map(|(name, alternatives)| (name.as_str(), alternatives.iter().map(Text::as_str).collect()))
        .collect();
    distinct(&requests, REQUESTS_MAX, faults, name_of, request);
    few(&devices.field("constraints"), CONSTRAINTS_MAX, faults, |constraint, faults| {
        distinct(&constraint.field("requests"), REQUESTS_MAX, faults, itself, |name, faults| {
            asked(name, &known, faults);
        });
        let (same, other) = (constraint.field("matchAttribute"), constraint.field("distinctAttribute"));
        if !same.is_absent() {
            full_name(&same, faults);
        } else if !other.is_absent() {
            full_name(&other, faults);
        } else {
            let why =
                r#"exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#;
            faults.required(constraint, why);
        }
    });
    few(&devices.field("config"), CONFIG_MAX, faults, |config, faults| {
        distinct(&config.field("requests"), REQUESTS_MAX, faults, itself, |name, faults| asked(name, &known, faults));
        configured(config, faults);
    });
}

fn request(request: &At<'_>, faults: &mut Faults) {
    faults.text_in(&request.field("name"), names::label);
    let (one, several) = (request.field("exactly"), request.field("firstAvailable"));
    match (one.is_absent(), several.value.is_empty()) {
        (true, true) => faults.required(request, "exactly one of `exactly` or `firstAvailable` is required"),
        (false, false) => {
            let why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            faults.invalid_as(request, "null", why);
        }
        (true, false) => distinct(&several, ALTERNATIVES_MAX, faults, name_of, |one, faults| {
            faults.text_in(&one.field("name"), names::label);
            wanted(one, faults);
        }),
        (false, true) => wanted(&one, faults),
    }
}

/// Devices of a class, some or all of them.
fn wanted(at: &At<'_>, faults: &mut Faults) {
    faults.text_of(&at.field("deviceClassName"), names::subdomain);
    selected(&at.field("selectors"), faults);
    let (mode, count) = (at.field("allocationMode"), at.field("count"));
    let number = count.number().unwrap_or(0);
    match mode.text() {
        "All" if number != 0 => faults.invalid(&count, "must not be specified when allocationMode is 'All'"),
        "All" => {}
        "ExactCount" if number <= 0 => faults.invalid_as(&count, &number.to_string(), "must be greater than zero"),
        "ExactCount" => {}
        _ => faults.word(&mode, &["All", "ExactCount"]),
    }
    for toleration in at.field("tolerations").items() {
        tolerated(&toleration, faults);
    }
}

fn tolerated(at: &At<'_>, faults: &mut Faults) {
    let (key, operator, value) = (at.field("key"), at.field("operator"), at.field("value"));
    if !key.text().is_empty() {
        selectors::label_name(&key, faults);
    }
    match operator.text() {
        "Exists" if !value.text().is_empty() => faults.invalid(&value, "must be empty for operator `Exists`"),
        "Exists" => {}
        "Equal" => faults.text_in(&value, names::label_value),
        _ => faults.some_of(&operator, &["Equal", "Exists"]),
    }
    let effect = at.field("effect");
    if !effect.text().is_empty() {
        faults.one_of(&effect, EFFECTS);
    }
}

/// Expressions that choose among devices.
fn selected(list: &At<'_>, faults: &mut Faults) {
    few(list, SELECTORS_MAX, faults, |selector, faults| {
        let rule = selector.field("cel");
        if rule.is_absent() {
            return faults.required(&rule, "");
        }
        let expression = rule.field("expression");
        if expression.text().len() > EXPRESSION_MAX {
            faults.too_long(&expression, EXPRESSION_MAX);
        }
        let shown = quote(expression.text());
        match env().compile(expression.text()) {
            Err(error) => faults.invalid_as(&expression, &shown, &format!("compilation failed: {error}")),
            Ok(program) if Type::Bool.is(program.ty()) || program.ty().is_dyn() => {}
            Ok(_) => faults.invalid_as(&expression, &shown, "must evaluate to bool or the unknown type, not string"),
        }
    });
}

/// What an expression about a device may name.
fn env() -> Env {
    let of_driver = || Type::map(Type::map(Type::Dyn));
    let fields = [
        ("driver", Type::String),
        ("attributes", of_driver()),
        ("capacity", of_driver()),
        ("allowMultipleAllocations", Type::Bool),
    ];
    let device = Type::structure("DRADevice", fields.map(|(name, ty)| (Text::from(name), ty)));
    Env::new().with("device", device)
}

/// One of the requests, or of its alternatives.
fn asked(name: &At<'_>, known: &Requests<'_>, faults: &mut Faults) {
    const WHY: &str =
        "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let parts: Vec<&str> = name.text().split('/').collect();
    if parts.len() > 2 {
        faults.invalid(name, WHY);
    }
    for part in &parts {
        for why in names::label(part) {
            faults.invalid_as(name, &quote(part), &why);
        }
    }
    let is_known = match parts.as_slice() {
        [request] => known.contains_key(request),
        [request, alternative] => known.get(request).is_some_and(|alternatives| alternatives.contains(alternative)),
        _ => false,
    };
    if !is_known {
        faults.invalid_as(name, &quote(name.text()), WHY);
    }
}

/// What a driver is told.
fn configured(config: &At<'_>, faults: &mut Faults) {
    let own = config.field("opaque");
    if own.is_absent() {
        return faults.required(&own, "");
    }
    source::driver_name(&own.field("driver"), faults);
    let parameters = own.field("parameters");
    match parameters.value {
        Value::Null => faults.required(&parameters, ""),
        value if value.to_json().len() > PARAMETERS_MAX => faults.too_long(&parameters, PARAMETERS_MAX),
        Value::Object(_) => {}
        _ => faults.invalid_as(&parameters, "\"<value omitted>\"", "must be a valid JSON object"),
    }
}

const IDENTIFIER_MAX: usize = 32;

/// The name of an attribute, in the driver's domain or another's. Its faults are told at `at`.
pub(super) fn qualified(at: &At<'_>, text: &str, faults: &mut Faults) {
    match text.split('/').collect::<Vec<_>>()[..] {
        [name] => identifier(at, name, faults),
        [domain, name] => {
            if domain.is_empty() {
                faults.invalid_as(at, "\"\"", "the domain must not be empty");
            } else {
                driver_text(at, domain, faults);
            }
            if name.is_empty() {
                faults.invalid_as(at, "\"\"", "the name must not be empty");
            } else {
                identifier(at, name, faults);
            }
        }
        _ => {}
    }
}

fn driver_text(at: &At<'_>, text: &str, faults: &mut Faults) {
    let value = Value::from(text);
    let mut below = Faults::default();
    source::driver_name(&at.named("", &value), &mut below);
    for cause in below.causes {
        faults.causes.push(crate::apiserver::status::Cause { field: at.path().to_owned(), ..cause });
    }
}

fn identifier(at: &At<'_>, text: &str, faults: &mut Faults) {
    if text.len() > IDENTIFIER_MAX {
        faults.too_long(at, IDENTIFIER_MAX);
    }
    for why in names::identifier(text) {
        faults.invalid_as(at, &quote(text), &why);
    }
}

fn full_name(at: &At<'_>, faults: &mut Faults) {
    qualified(at, at.text(), faults);
    if !at.text().contains('/') {
        let why = "a fully qualified name must be a domain and a name separated by a slash";
        faults.invalid_as(at, &quote(at.text()), why);
    }
}
