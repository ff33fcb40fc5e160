//! What is odd about a policy's expressions, in view of the types of what it is about.
//!
//! Knows: types of resources as types of expressions.
//! Does not know: values. What is odd may still be right: it only warns, in the policy's status.

use std::collections::BTreeMap;

use cel::Type;

use super::names;
use crate::cluster::Cluster;
use crate::schema::{self, GroupVersionKind, Scalar, Schema, Shape, split_api_version};
use crate::value::{Text, Value};

/// A policy is checked against so many kinds at most.
const KINDS_MAX: usize = 10;
/// Types within types are looked at to this depth.
const DEPTH_MAX: usize = 24;

/// What is odd: each with the path of the expression.
pub(crate) fn warnings(cluster: &Cluster, policy: &Value) -> Vec<(String, String)> {
    let kinds = kinds(&cluster.schema, policy);
    let (params, mut warnings) = (params(&cluster.schema, policy), Vec::new());
    for (at, validation) in policy.at(&["spec", "validations"]).items().iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = validation.at(&[field]).str_or_empty();
            if expression.is_empty() {
                continue;
            }
            let odd: Vec<String> = kinds
                .iter()
                .filter_map(|(kind, object)| {
                    let env = names::env_of(policy, object.clone(), params.clone(), true);
                    let error = names::with_variables(policy, &env).env.compile(expression).err()?;
                    Some(format!("{}/{}, Kind={}: {error}\n", kind.group, kind.version, kind.kind))
                })
                .collect();
            if !odd.is_empty() {
                warnings.push((format!("spec.validations[{at}].{field}"), odd.join("\n")));
            }
        }
    }
    warnings
}

/// The kinds that a policy names one by one, in order, with their types.
fn kinds(schema: &Schema, policy: &Value) -> Vec<(GroupVersionKind, Type)> {
    let mut kinds: BTreeMap<String, GroupVersionKind> = BTreeMap::new();
    for rule in policy.at(&["spec", "matchConstraints", "resourceRules"]).items() {
        let words = |key: &str| -> Vec<&str> { rule.at(&[key]).items().iter().filter_map(Value::as_str).collect() };
        let (groups, versions) = (words("apiGroups"), words("apiVersions"));
        if groups.contains(&"*") || versions.contains(&"*") {
            continue;
        }
        for group in &groups {
            for version in &versions {
                for plural in words("resources").into_iter().filter(|plural| !plural.contains(['*', '/'])) {
                    if let Some(resource) = schema.resource(group, version, plural) {
                        let kind = resource.gvk();
                        kinds.insert(format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind), kind);
                    }
                }
            }
        }
    }
    let typed = |kind: GroupVersionKind| {
        let resource = schema.by_kind(&kind.group, &kind.version, &kind.kind)?;
        Some((kind, Types::default().of(resource.ty(), 0)))
    };
    kinds.into_values().take(KINDS_MAX).filter_map(typed).collect()
}

/// The type of the parameters of a policy, if it names a kind that there is.
fn params(schema: &Schema, policy: &Value) -> Type {
    let kind = policy.at(&["spec", "paramKind"]);
    let (group, version) = split_api_version(kind.api_version());
    let resource = schema.by_kind(group, version, kind.kind());
    resource.map_or(Type::Dyn, |resource| Types::default().of(resource.ty(), 0))
}

/// Types that have been looked at, by name.
#[derive(Default)]
struct Types(BTreeMap<String, Type>);

impl Types {
    /// A type as expressions see it. What contains itself is known for one round only.
    fn of(&mut self, ty: schema::Type<'_>, depth: usize) -> Type {
        if let Some(known) = ty.name().and_then(|name| self.0.get(name)) {
            return known.clone();
        }
        if depth > DEPTH_MAX {
            return Type::Dyn;
        }
        let name = ty.name().map(str::to_owned);
        if let Some(name) = &name {
            self.0.insert(name.clone(), Type::Dyn);
        }
        let found = match ty.shape() {
            Shape::Any => Type::Dyn,
            Shape::Map(values) => Type::map(self.of(values, depth + 1)),
            Shape::List(list) => Type::list(self.of(list.items, depth + 1)),
            Shape::Scalar(scalar) => match scalar {
                Scalar::String | Scalar::Quantity | Scalar::Duration => Type::String,
                Scalar::Int32 | Scalar::Int64 => Type::Int,
                Scalar::Double => Type::Double,
                Scalar::Boolean => Type::Bool,
                Scalar::Bytes => Type::Bytes,
                Scalar::Time | Scalar::MicroTime => Type::Timestamp,
                Scalar::IntOrString => Type::Dyn,
            },
            Shape::Struct if ty.preserves_unknown() => Type::Dyn,
            Shape::Struct => {
                let fields: Vec<(Text, Type)> =
                    ty.fields().map(|field| (field.text().clone(), self.of(field.ty(), depth + 1))).collect();
                Type::structure(name.as_deref().unwrap_or("object"), fields)
            }
        };
        if let Some(name) = name {
            self.0.insert(name, found.clone());
        }
        found
    }
}
