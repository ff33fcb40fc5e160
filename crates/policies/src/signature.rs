//! What the request itself gives away, before anything is simulated.

use std::collections::BTreeMap;

use model::{Access, ActionPolicy, Evidence, Opinion, PolicyError, Shape};
use serde_json::Value;

use crate::limits;

/// Reads pass after masking; what leaves the twin's knowledge, or another's identity, does not.
#[derive(Debug, Clone, Default)]
pub struct Signature {
    /// Whether the output of workloads may be read. Nobody masks what they print.
    pub output_readable: bool,
}

impl ActionPolicy for Signature {
    fn name(&self) -> &str {
        "signature"
    }

    fn help(&self) -> &str {
        "Decides what the shape of a request alone decides: reads pass masked, sessions and borrowed identities do not."
    }

    fn remedy(&self) -> &str {
        "Ask for the change itself, under the agent's own identity, so that its effect can be simulated."
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        limits([("output_readable", self.output_readable.into())])
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        let action = evidence.action;
        if action.is(Shape::Impersonation) {
            return Ok(Opinion::deny("it acts under another identity than the agent's own")
                .remedy("the same request without impersonation"));
        }
        if action.is(Shape::Session) {
            return Ok(Opinion::deny(format!(
                "{} opens a session in which nothing can be simulated, judged or undone",
                action.operation
            ))
            .remedy("a change of the workload's own declaration"));
        }
        if action.is(Shape::OutputRead) && !self.output_readable {
            return Ok(Opinion::deny("the output of a workload may hold secrets, and nobody masks it")
                .remedy("reading events, status and metrics; or a policy that lets this agent read output"));
        }
        if action.is(Shape::CredentialMint) {
            return Ok(Opinion::hold("it makes a credential that outlives this request"));
        }
        if action.is(Shape::Unmodelled) {
            return Ok(Opinion::hold("the twin knows of this request but does not model what it does"));
        }
        let everywhere = action.resources.iter().any(|object| object.name == "*" && object.namespace.is_none());
        if action.is(Shape::SecretRead) && everywhere {
            return Ok(
                Opinion::hold("it reads the secrets of every namespace at once").remedy("one namespace's secrets")
            );
        }
        match action.access {
            Access::Read => Ok(Opinion::allow("it only looks, and secrets are masked")),
            // Production is asked to check and to store nothing.
            Access::Write if action.is(Shape::DryRun) => Ok(Opinion::allow("it is a dry run")),
            Access::Write => Ok(Opinion::Abstain),
        }
    }
}
