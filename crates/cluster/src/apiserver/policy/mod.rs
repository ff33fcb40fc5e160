//! Admission policies: rules of the cluster that are objects themselves, written as expressions.
//!
//! Knows: ValidatingAdmissionPolicies, MutatingAdmissionPolicies, their bindings and parameters.
//! Does not know: the plugins that are built in, beside which `admission` runs these; or what is wrong with a policy itself,
//! which `validation` says.
//!
//! | file | does |
//! |---|---|
//! | `matching` | which policies and bindings a request is subject to |
//! | `names` | what expressions may speak of, and variables, which are expressions themselves |
//! | `request` | what those names stand for in a request |
//! | `params` | the objects that a binding parametrises its policy with |
//! | `validating` | what a policy says of a request |
//! | `mutating` | what a policy makes of an object |
//! | `typing` | what is odd about a policy's expressions, in view of types |

mod matching;
mod mutating;
mod names;
mod params;
mod request;
#[cfg(test)]
mod tests;
mod typing;
mod validating;

pub(super) use mutating::{mutate, with_types};
pub(super) use names::{env, with_variables};
pub(crate) use typing::warnings;
pub(super) use validating::validate;

use super::call::User;
use super::registry::Writer;
use crate::object::ObjectKey;
use crate::value::Value;

const VALIDATING: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const VALIDATING_BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";
const MUTATING: &str = "mutatingadmissionpolicies.admissionregistration.k8s.io";
const MUTATING_BINDINGS: &str = "mutatingadmissionpolicybindings.admissionregistration.k8s.io";

/// What all expressions of one policy and binding may cost together, in Kubernetes' units.
const BUDGET: u64 = 10_000_000;
/// The same for its match conditions.
const CONDITIONS_BUDGET: u64 = 2_500_000;

/// What somebody wants to do to an object.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// Who wants it, and through which version and subresource.
    pub(super) writer: &'a Writer,
    /// Where the object is kept.
    pub(super) key: &'a ObjectKey,
    /// As it would be; none if it would be gone.
    pub(super) object: Option<&'a Value>,
    /// As it is; none if it is new.
    pub(super) old: Option<&'a Value>,
    /// Whether it is no object, but what a stream is opened with.
    pub(super) connects: bool,
}

impl<'a> Attempt<'a> {
    fn operation(&self) -> &'static str {
        match (self.object, self.old) {
            _ if self.connects => "CONNECT",
            (_, None) => "CREATE",
            (Some(_), Some(_)) => "UPDATE",
            (None, Some(_)) => "DELETE",
        }
    }

    fn user(&self) -> &'a User {
        &self.writer.user
    }

    /// The labels that selectors of objects may match: those before, those after.
    fn objects(&self) -> impl Iterator<Item = &'a Value> {
        self.object.into_iter().chain(self.old)
    }

    /// Policies do not rule over policies: whoever breaks one can mend it. And what an eviction does to its pod was admitted
    /// with the eviction.
    fn is_exempt(&self) -> bool {
        let admitted = self.writer.subresource == "eviction" && self.old.is_some();
        admitted
            || [VALIDATING, VALIDATING_BINDINGS, MUTATING, MUTATING_BINDINGS].iter().any(|exempt| self.key.is(exempt))
    }
}
