//! One declaration for a record and its JSON.
//!
//! Knows: that a number with doubt is written as two fields, `readyMin` and `readyMinRange: [best, worst]`, and a set
//! with doubt as `volumesLost` and `volumesLostPossible`.
//! Does not know: any record.
//!
//! serde's derive writes one key per field; two per field is what keeps the common, certain case a plain number that
//! any script can read. Absent keys take the default on reading, so that old journals stay readable.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Among, Number, Range, Simulated};

/// The keys of a record that is being read.
pub(crate) type Keys = BTreeMap<String, Value>;

/// Something that a record writes under a name of its own choosing.
pub(crate) trait Field: Sized {
    /// Adds its key or keys.
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error>;
    /// Takes its key or keys.
    fn read(name: &'static str, keys: &mut Keys) -> Result<Self, serde_json::Error>;
}

impl<T: Serialize + DeserializeOwned + Default> Field for T {
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, self)
    }

    fn read(name: &'static str, keys: &mut Keys) -> Result<Self, serde_json::Error> {
        keys.remove(name).map_or_else(|| Ok(T::default()), T::deserialize)
    }
}

impl<T: Number> Field for Range<T> {
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        if let Some(expected) = self.expected {
            map.serialize_entry(name, &expected)?;
        }
        if !self.is_exact() || self.expected != Some(self.best) {
            // An end that nobody knows is null: a number would look like knowledge.
            let end = |number: T| (number != T::MOST).then_some(number);
            map.serialize_entry(&format!("{name}Range"), &[end(self.best), end(self.worst)])?;
        }
        Ok(())
    }

    fn read(name: &'static str, keys: &mut Keys) -> Result<Self, serde_json::Error> {
        let expected = keys.remove(name).map(T::deserialize).transpose()?;
        let Some(ends) = keys.remove(&format!("{name}Range")) else {
            return Ok(expected.map_or_else(Self::unknown, Self::exact));
        };
        let [best, worst] = <[Option<T>; 2]>::deserialize(ends)?;
        Ok(Self { best: best.unwrap_or(T::MOST), expected, worst: worst.unwrap_or(T::MOST) })
    }
}

/// What nobody has looked at is not written at all; what was looked at and is not known is written as unknown.
impl<T: Number> Field for Simulated<T> {
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        self.0.as_ref().map_or(Ok(()), |range| range.write(name, map))
    }

    fn read(name: &'static str, keys: &mut Keys) -> Result<Self, serde_json::Error> {
        // Old journals wrote null for it.
        if keys.get(name).is_some_and(Value::is_null) {
            keys.remove(name);
        }
        let said = keys.contains_key(name) || keys.contains_key(&format!("{name}Range"));
        said.then(|| Range::read(name, keys)).transpose().map(Self)
    }
}

impl<T: Ord + Clone + Serialize + DeserializeOwned> Field for Among<T> {
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &self.sure)?;
        if !self.possible.is_empty() {
            map.serialize_entry(&format!("{name}Possible"), &self.possible)?;
        }
        if self.unlisted {
            map.serialize_entry(&format!("{name}Unlisted"), &true)?;
        }
        Ok(())
    }

    fn read(name: &'static str, keys: &mut Keys) -> Result<Self, serde_json::Error> {
        let sure = Field::read(name, keys)?;
        let possible = keys.remove(&format!("{name}Possible")).map(Deserialize::deserialize).transpose()?;
        let unlisted = keys.remove(&format!("{name}Unlisted")).map(bool::deserialize).transpose()?;
        Ok(Self { sure, possible: possible.unwrap_or_default(), unlisted: unlisted.unwrap_or_default() })
    }
}

/// Declares a record with public fields, each with the name it has in JSON.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty => $json:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$field_meta])* $vis $field: $type,)*
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $($crate::record::Field::write(&self.$field, $json, &mut map)?;)*
                map.end()
            }
        }

        impl $crate::schema::Described for $name {
            fn schema() -> $crate::schema::Schema {
                let fields = vec![$(($json, <$type as $crate::schema::Described>::schema()),)*];
                $crate::schema::Schema::Record(stringify!($name), fields)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut keys = $crate::record::Keys::deserialize(deserializer)?;
                Ok(Self {
                    $($field: $crate::record::Field::read($json, &mut keys)
                        .map_err(|error| serde::de::Error::custom(format_args!("{}: {error}", $json)))?,)*
                })
            }
        }
    };
}
pub(crate) use record;
