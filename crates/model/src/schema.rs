//! What there is to an effect, for whoever writes rules about effects: which fields, and what each is.
//!
//! Knows: the kinds of field, and those of every record, from the one declaration of each.
//! Does not know: the language that rules are written in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Access, Action, AgentId, Among, Change, Decimal, FieldChange, Flow, Hazard, HazardKind, Manner, ObjectRef,
    Operation, Privilege, Range, Reversibility, Shape, Simulated, Spent, Tally, TargetName,
};

/// What a field is. How it is written in JSON follows from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// A name, or one of a few words.
    Text,
    /// Yes or no.
    Truth,
    /// A whole number, known for sure.
    Count,
    /// A measure, known for sure.
    Measure,
    /// A number of which bounds are known: [`Range`].
    Range,
    /// The name of a thing, written `Kind/namespace/name`.
    Object,
    /// Anything at all.
    Any,
    /// Absent, or this.
    Optional(Box<Schema>),
    /// Some of these.
    List(Box<Schema>),
    /// Of these it is not sure that all will be there, nor that there are no others: [`Among`].
    Among(Box<Schema>),
    /// These, each under a name.
    Map(Box<Schema>),
    /// A record with these fields.
    Record(&'static str, Vec<(&'static str, Schema)>),
}

/// What can tell its schema.
pub trait Described {
    /// What it is.
    fn schema() -> Schema;
}

macro_rules! plain {
    ($($kind:ident: $($type:ty),+;)+) => {
        $($(impl Described for $type {
            fn schema() -> Schema {
                Schema::$kind
            }
        })+)+
    };
}

plain! {
    Text: String, AgentId, TargetName, Operation, Access, Shape, Manner, Reversibility, HazardKind;
    Truth: bool;
    Count: u64;
    Measure: Decimal;
    Range: Range<u64>, Range<Decimal>;
    Object: ObjectRef;
    Any: Value;
}

impl<T: Described> Described for Option<T> {
    fn schema() -> Schema {
        Schema::Optional(Box::new(T::schema()))
    }
}

impl Described for Simulated<Decimal> {
    fn schema() -> Schema {
        Schema::Optional(Box::new(Schema::Range))
    }
}

impl<T: Described> Described for Vec<T> {
    fn schema() -> Schema {
        Schema::List(Box::new(T::schema()))
    }
}

impl<T: Described> Described for BTreeSet<T> {
    fn schema() -> Schema {
        Schema::List(Box::new(T::schema()))
    }
}

impl<T: Described + Ord> Described for Among<T> {
    fn schema() -> Schema {
        Schema::Among(Box::new(T::schema()))
    }
}

impl<K, T: Described> Described for BTreeMap<K, T> {
    fn schema() -> Schema {
        Schema::Map(Box::new(T::schema()))
    }
}

/// For structs whose JSON serde derives. A test holds the names to what is really written.
macro_rules! described {
    ($($name:ident { $($json:literal: $type:ty,)+ })+) => {
        $(impl Described for $name {
            fn schema() -> Schema {
                Schema::Record(stringify!($name), vec![$(($json, <$type>::schema()),)+])
            }
        })+
    };
}

described! {
    Flow { "from": String, "to": String, "on": String, "outside": bool, "foreign": bool, }
    Privilege { "subject": String, "can": String, "within": String, "sweeping": bool, }
    Hazard { "kind": HazardKind, "object": ObjectRef, "because": String, "sure": bool, }
    FieldChange { "path": String, "before": Value, "after": Value, }
    // Of digests no rule can make anything.
    Change {
        "manner": Manner,
        "named": bool,
        "replicaOf": Option<ObjectRef>,
        "labels": BTreeMap<String, String>,
        "fields": Vec<FieldChange>,
        "facts": BTreeMap<String, Value>,
    }
    Action {
        "agent": AgentId,
        "target": TargetName,
        "operation": Operation,
        "access": Access,
        "resources": Vec<ObjectRef>,
        "shape": BTreeSet<Shape>,
        "reason": Option<String>,
        "facts": BTreeMap<String, String>,
        "kind": String,
    }
}

impl Described for Spent {
    fn schema() -> Schema {
        Schema::Record("Spent", vec![("agent", Tally::schema()), ("everyone", Tally::schema())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Forecast};

    fn fields(schema: Schema) -> BTreeSet<&'static str> {
        let Schema::Record(_, fields) = schema else { panic!("{schema:?}") };
        fields.into_iter().map(|(name, _)| name).collect()
    }

    fn written(value: impl serde::Serialize) -> BTreeSet<String> {
        serde_json::to_value(value).unwrap().as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn what_is_described_is_what_is_written() {
        let text = String::new;
        let object = ObjectRef::global("Node", "a");
        let flow = Flow { from: text(), to: text(), on: text(), outside: true, foreign: true };
        assert_eq!(written(flow), fields(Flow::schema()).into_iter().map(str::to_owned).collect());
        let hazard = Hazard { kind: HazardKind::Leaks, object: object.clone(), because: text(), sure: true };
        assert_eq!(written(hazard), fields(Hazard::schema()).into_iter().map(str::to_owned).collect());
        let privilege = Privilege { subject: text(), can: text(), within: text(), sweeping: true };
        assert_eq!(written(privilege), fields(Privilege::schema()).into_iter().map(str::to_owned).collect());
        let field = FieldChange { path: text(), before: 1.into(), after: 2.into() };
        let change = Change {
            named: true,
            replica_of: Some(object.clone()),
            before: Some(Digest::of(&1)),
            after: Some(Digest::of(&2)),
            labels: BTreeMap::from([(text(), text())]),
            facts: BTreeMap::from([(text(), Value::Null)]),
            fields: vec![field.clone()],
            ..Change::new(Manner::Created)
        };
        assert_eq!(written(field), fields(FieldChange::schema()).into_iter().map(str::to_owned).collect());
        let digests = BTreeSet::from(["before".to_owned(), "after".to_owned()]);
        let described: BTreeSet<String> = fields(Change::schema()).into_iter().map(str::to_owned).collect();
        assert_eq!(written(change), described.union(&digests).cloned().collect());
    }

    #[test]
    fn a_record_describes_every_key_that_it_writes() {
        let described: BTreeSet<String> = fields(Forecast::schema()).into_iter().map(str::to_owned).collect();
        let unknown = written(Forecast::unknown("nothing was read"));
        let plain = |key: &String| !["Range", "Possible", "Unlisted"].iter().any(|end| key.ends_with(end));
        assert!(unknown.iter().filter(|key| plain(key)).all(|key| described.contains(key)), "{unknown:?}");
        assert!(described.contains("volumesLost") && described.contains("settledSeconds"));
        assert_eq!(fields(Spent::schema()), BTreeSet::from(["agent", "everyone"]));
        assert!(matches!(Tally::schema(), Schema::Record("Tally", _)));
    }
}
