//! What is wrong with what a driver says of its devices: a ResourceSlice.
//!
//! Knows: pools, devices, their attributes and capacities, and counters that they share.
//! Does not know: who claims them.

use std::collections::BTreeSet;

use super::devices::{EFFECTS, distinct, few, name_of, qualified};
use super::faults::{At, Faults, quote};
use super::selectors::{label_name, node_selector};
use super::{internal, names, source};
use crate::quantity::Quantity;
use crate::value::Value;

const DEVICES_MAX: usize = 128;
const ADVANCED_MAX: usize = 64;
const COUNTER_SETS_MAX: usize = 8;
const COUNTERS_MAX: usize = 32;
const CONSUMPTIONS_MAX: usize = 2;
const ATTRIBUTES_MAX: usize = 32;
const TAINTS_MAX: usize = 16;
const CONDITIONS_MAX: usize = 4;
const VALUE_MAX: usize = 64;
const POOL_NAME_MAX: usize = 253;
const OPTIONS_MAX: usize = 10;
/// A place is not told with more of a key than this.
const KEY_SHOWN: usize = 96;

/// The slice as it is, and as it was if it changes.
pub(super) fn check(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    source::driver_name(&spec.field("driver"), faults);
    pool(&spec.field("pool"), faults);
    whole(&spec, &Value::Null, faults);
}

/// A slice that was another.
pub(super) fn update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let spec = root.field("spec");
    let old = old.at(&["spec"]);
    source::driver_name(&spec.field("driver"), faults);
    pool(&spec.field("pool"), faults);
    for path in [&["pool", "name"][..], &["driver"], &["nodeName"]] {
        let place = spec.down(path);
        let shown = if place.is_absent() && path != ["nodeName"] {
            "\"\"".to_owned()
        } else {
            super::faults::shown(place.value)
        };
        if place.value != old.at(path) {
            faults.invalid_as(&place, &shown, "field is immutable");
        }
    }
    whole(&spec, old, faults);
}

fn pool(at: &At<'_>, faults: &mut Faults) {
    let name = at.field("name");
    if name.text().is_empty() {
        faults.required(&name, "");
    } else {
        if name.text().len() > POOL_NAME_MAX {
            faults.too_long(&name, POOL_NAME_MAX);
        }
        for part in name.text().split('/') {
            for why in names::subdomain(part) {
                faults.invalid_as(&name, &quote(part), &why);
            }
        }
    }
    for (field, least, why) in [
        ("resourceSliceCount", 1, "must be greater than zero"),
        ("generation", 0, "must be greater than or equal to zero"),
    ] {
        let number = at.field(field).number().unwrap_or(0);
        if number < least {
            faults.invalid_as(&at.field(field), &number.to_string(), why);
        }
    }
}

fn whole(spec: &At<'_>, old: &Value, faults: &mut Faults) {
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let mut said = Vec::new();
    let node = spec.field("nodeName");
    if !node.is_absent() {
        if node.text().is_empty() {
            faults.invalid(&node, "must be either unset or set to a non-empty string");
        } else {
            said.push("`nodeName`");
            faults.all(&node, names::subdomain(node.text()));
        }
    }
    let selector = spec.field("nodeSelector");
    if !selector.is_absent() {
        said.push("`nodeSelector`");
        node_selector(&selector, faults);
        let terms = selector.field("nodeSelectorTerms");
        if terms.value.items().len() != 1 {
            let shown =
                if terms.is_absent() { "null".to_owned() } else { internal::list_of("NodeSelectorTerm", terms.value) };
            faults.invalid_as(&terms, &shown, "must have exactly one node selector term");
        }
    }
    for (field, word) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")] {
        said.extend(set(&spec.field(field), faults).then_some(word));
    }
    one_of_these(spec, &said, ONE, &format!("{ONE}, but multiple fields are set"), faults);
    let (devices, counters) = (spec.field("devices"), spec.field("sharedCounters"));
    if !devices.value.is_empty() && !counters.value.is_empty() {
        faults.invalid_as(spec, "\"\"", "only one of `sharedCounters` or `devices` is allowed");
    }
    let advanced = |device: &Value| {
        let lists = |attribute: &Value| {
            ["bools", "ints", "strings", "versions"].iter().any(|list| !attribute.at(&[list]).is_null())
        };
        !device.at(&["taints"]).is_empty()
            || !device.at(&["consumesCounters"]).is_empty()
            || device.at(&["attributes"]).entries().iter().any(|(_, attribute)| lists(attribute))
    };
    let most = if devices.value.items().iter().any(advanced) { ADVANCED_MAX } else { DEVICES_MAX };
    let placed = spec.field("perDeviceNodeSelection").value.is_true();
    distinct(&devices, most, faults, name_of, |device, faults| {
        let had = old.at(&["devices"]).items().iter().find(|had| had.at(&["name"]) == device.value.at(&["name"]));
        self::device(device, had, placed, faults);
    });
    distinct(&counters, COUNTER_SETS_MAX, faults, name_of, |set, faults| {
        faults.text_of(&set.field("name"), names::label);
        counted(&set.field("counters"), faults);
    });
}

/// Something that is either left out or true. Says whether it is true.
fn set(at: &At<'_>, faults: &mut Faults) -> bool {
    if at.value.as_bool() == Some(false) {
        faults.invalid(at, "must be either unset or set to true");
    }
    at.value.is_true()
}

fn one_of_these(at: &At<'_>, said: &[&str], none: &str, many: &str, faults: &mut Faults) {
    match said {
        [] => faults.required(at, none),
        [_] => {}
        several => faults.invalid_as(at, &quote(&format!("{{{}}}", several.join(", "))), many),
    }
}

fn counted(counters: &At<'_>, faults: &mut Faults) {
    if counters.value.is_empty() {
        return faults.required(counters, "");
    }
    let count = counters.value.entries().len();
    if count > COUNTERS_MAX {
        faults.too_many(counters, count, COUNTERS_MAX);
    }
    for (name, _) in counters.value.entries() {
        for why in names::label(name) {
            faults.invalid_as(counters, &quote(name), &why);
        }
    }
}

fn device(at: &At<'_>, old: Option<&Value>, placed: bool, faults: &mut Faults) {
    faults.text_in(&at.field("name"), names::label);
    let (attributes, capacity) = (at.field("attributes"), at.field("capacity"));
    let count = attributes.value.entries().len() + capacity.value.entries().len();
    if count > ATTRIBUTES_MAX {
        let why = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        faults.invalid_as(at, &count.to_string(), &why);
    }
    for (key, _) in attributes.value.entries() {
        qualified(&attributes, key, faults);
        attribute(&attributes.key(&short(key)).sibling(attributes.value.at(&[key])), faults);
    }
    let shared = at.field("allowMultipleAllocations").value.is_true();
    for (key, _) in capacity.value.entries() {
        qualified(&capacity, key, faults);
        let one = capacity.key(&short(key)).sibling(capacity.value.at(&[key]));
        let policy = one.field("requestPolicy");
        if !policy.is_absent() {
            if shared {
                self::policy(&policy, Quantity::or_zero(one.value.at(&["value"])), faults);
            } else {
                faults.forbidden(&policy, "allowMultipleAllocations must be true");
            }
        }
    }
    let taints = at.field("taints");
    if old.is_none_or(|old| old.at(&["taints"]) != taints.value) {
        few(&taints, TAINTS_MAX, faults, |taint, faults| {
            label_name(&taint.field("key"), faults);
            let value = taint.field("value");
            if !value.text().is_empty() {
                faults.all(&value, names::label_value(value.text()));
            }
            faults.some_of(&taint.field("effect"), EFFECTS);
        });
    }
    let uses = at.field("consumesCounters");
    let set_of = |one: &At<'_>| one.field("counterSet").text().to_owned();
    distinct(&uses, CONSUMPTIONS_MAX, faults, set_of, |one, faults| {
        faults.text_of(&one.field("counterSet"), names::label);
        counted(&one.field("counters"), faults);
    });
    place(at, placed, faults);
    conditions(at, faults);
}

fn short(key: &str) -> String {
    let rest = KEY_SHOWN - 3;
    match (key.get(..rest.div_ceil(2)), key.get(key.len().saturating_sub(rest / 2)..)) {
        (Some(first), Some(last)) if key.len() > KEY_SHOWN => format!("{first}...{last}"),
        _ => key.to_owned(),
    }
}

/// Which nodes a device can be reached from.
fn place(at: &At<'_>, placed: bool, faults: &mut Faults) {
    let fields = ["nodeName", "nodeSelector", "allNodes"].map(|field| at.field(field));
    if !placed {
        if fields.iter().any(|field| !field.is_absent()) {
            let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to \
                       true in the ResourceSlice spec";
            faults.invalid_as(at, "null", why);
        }
        return;
    }
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
                       `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    let [node, selector, all] = fields;
    let mut said = Vec::new();
    if !node.is_absent() {
        if node.text().is_empty() {
            faults.invalid(&node, "must not be empty");
        } else {
            said.push("`nodeName`");
            faults.all(&node, names::subdomain(node.text()));
        }
    }
    if !selector.is_absent() {
        said.push("`nodeSelector`");
        node_selector(&selector, faults);
    }
    said.extend(set(&all, faults).then_some("`allNodes`"));
    one_of_these(at, &said, ONE, ONE, faults);
}

/// What has to come true before a device can be used, and what says that it never will.
fn conditions(at: &At<'_>, faults: &mut Faults) {
    let (good, bad) = (at.field("bindingConditions"), at.field("bindingFailureConditions"));
    for list in [&good, &bad] {
        few(list, CONDITIONS_MAX, faults, label_name);
    }
    for list in [&good, &bad] {
        let mut known = BTreeSet::new();
        for one in list.items() {
            if !known.insert(one.text()) {
                faults.duplicate(&one);
            }
            if list.path() == bad.path() && good.value.items().iter().any(|other| *other == one.text()) {
                faults.invalid(&one, "bindingFailureConditions must not overlap with bindingConditions");
            }
        }
    }
    for (one, other, names) in [
        (&good, &bad, ("bindingConditions", "bindingFailureConditions")),
        (&bad, &good, ("bindingFailureConditions", "bindingConditions")),
    ] {
        if one.value.is_empty() && !other.value.is_empty() {
            faults.invalid(one, &format!("{} are required to use {}", names.0, names.1));
        }
    }
}

fn attribute(at: &At<'_>, faults: &mut Faults) {
    let mut count = 0;
    for (field, is_version) in [("bool", false), ("int", false), ("string", false), ("version", true)] {
        let one = at.field(field);
        if !one.is_absent() {
            count += 1;
            text_value(&one, is_version, faults);
        }
    }
    for (field, is_version) in [("bools", false), ("ints", false), ("strings", false), ("versions", true)] {
        let list = at.field(field);
        if list.is_absent() {
            continue;
        }
        count += 1;
        if list.value.is_empty() {
            faults.invalid(&list, "must not be empty if specified");
        }
        list.items().for_each(|one| text_value(&one, is_version, faults));
    }
    match count {
        0 => faults.invalid_as(at, "\"\"", "exactly one value must be specified"),
        1 => {}
        _ => faults.invalid_as(at, &internal::of("DeviceAttribute", at.value), "exactly one value must be specified"),
    }
}

fn text_value(at: &At<'_>, is_version: bool, faults: &mut Faults) {
    if is_version && !is_semantic(at.text()) {
        faults.invalid(at, "must be a string compatible with semver.org spec 2.0.0");
    }
    if at.text().len() > VALUE_MAX {
        faults.too_long(at, VALUE_MAX);
    }
}

/// `1.2.3-alpha.1+build`
fn is_semantic(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|before| before.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// How much of a capacity may be asked for at a time.
fn policy(at: &At<'_>, most: Quantity, faults: &mut Faults) {
    let (few, range, default) = (at.field("validValues"), at.field("validRange"), at.field("default"));
    if !few.value.is_empty() && !range.is_absent() {
        let why =
            r#"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#;
        return faults.forbidden(at, why);
    }
    let what = if !few.value.is_empty() {
        "validValues"
    } else if !range.is_absent() {
        "validRange"
    } else {
        return;
    };
    let Some(default) = Quantity::of(default.value) else {
        return faults.required(&default, &format!("required when {what} is defined"));
    };
    if what == "validValues" { values(&few, default, most, faults) } else { span(&range, default, most, faults) }
}

fn values(list: &At<'_>, default: Quantity, most: Quantity, faults: &mut Faults) {
    let read: Vec<Quantity> = list.value.items().iter().map(Quantity::or_zero).collect();
    for (index, pair) in read.windows(2).enumerate() {
        if let [one, next] = pair
            && one > next
        {
            let why = "values must be sorted in ascending order";
            faults.invalid_as(&list.element(index + 1), &quote(&next.to_string()), why);
        }
    }
    let key = |at: &At<'_>| Quantity::or_zero(at.value).as_whole().to_string();
    distinct(list, OPTIONS_MAX, faults, key, |one, faults| {
        let amount = Quantity::or_zero(one.value);
        if amount > most {
            let why = format!("option is larger than capacity value: {most}");
            faults.invalid_as(one, &quote(&amount.to_string()), &why);
        }
    });
    if !read.contains(&default) {
        faults.invalid_as(
            list,
            &quote(&default.to_string()),
            "default value is not valid according to the requestPolicy",
        );
    }
}

fn span(at: &At<'_>, default: Quantity, most: Quantity, faults: &mut Faults) {
    let (low, high, step) = (at.field("min"), at.field("max"), at.field("step"));
    let Some(least) = Quantity::of(low.value) else {
        return faults.required(&low, "required when validRange is defined");
    };
    let mut say = |at: &At<'_>, shown: Quantity, why: String| faults.invalid_as(at, &quote(&shown.to_string()), &why);
    if least > most {
        say(&low, least, format!("min is larger than capacity value: {most}"));
    }
    if default < least {
        say(&low, default, format!("default is less than min: {least}"));
    }
    let bound = Quantity::of(high.value);
    if let Some(bound) = bound {
        if least > bound {
            say(&high, least, format!("min is larger than max: {bound}"));
        }
        if bound > most {
            say(&high, bound, format!("max is larger than capacity value: {most}"));
        }
        if default > bound {
            say(&high, default, format!("default is more than max: {bound}"));
        }
    }
    let Some(by) = Quantity::of(step.value) else { return };
    let next = least + by;
    if next > most {
        say(&step, by, format!("one step {next} is larger than capacity value: {most}"));
    }
    for value in std::iter::once(default).chain(bound) {
        let steps = by.as_whole();
        if steps != 0 && (value.as_whole() - least.as_whole()) % steps != 0 {
            say(&step, value, format!("value is not a multiple of a given step ({by}) from ({least})"));
        }
    }
}
