//! Who wants what done to which things, and why they say so.
//!
//! Knows: the shape of a request, in words that fit a cluster, a cloud and a database.
//! Does not know: the request itself. Production is sent what was decoded, never what stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, ObjectRef};

macro_rules! name {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<String>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The agent, as its token says. What it claims about itself elsewhere counts for nothing.
    AgentId
}
name! {
    /// One production system behind the gate, as the operator named it.
    TargetName
}
name! {
    /// What production is asked to do, in its own word: `scale`, `delete`, `TerminateInstances`, `ALTER TABLE`.
    Operation
}

/// Does it change production, or only look?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Only looks.
    Read,
    /// May change something.
    Write,
}

/// What can be told about a request before anything is simulated: the words that signature rules are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// Production is asked to do everything but store it.
    DryRun,
    /// It acts as somebody else.
    Impersonation,
    /// It opens a channel that nobody can judge afterwards: exec, attach, port-forward, a proxy, a shell.
    Session,
    /// It reads, or watches, values that are secret.
    SecretRead,
    /// It makes a credential that outlives the request.
    CredentialMint,
    /// It reads the output of a workload (logs): text that nobody masked.
    OutputRead,
    /// It names a collection, not one object: what it touches is found by a selector.
    Collection,
    /// It takes fields over from another owner, or goes past a safeguard, because it says so.
    Force,
    /// It asks for something that the target's decoder knows but does not model.
    Unmodelled,
}

/// One request, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Who.
    pub agent: AgentId,
    /// On which system.
    pub target: TargetName,
    /// Does what.
    pub operation: Operation,
    /// Read or write.
    pub access: Access,
    /// To which things, as the request names them; a collection is `Kind/namespace/*`.
    pub resources: Vec<ObjectRef>,
    /// What is striking about the request itself.
    #[serde(default)]
    pub shape: BTreeSet<Shape>,
    /// Why, in the agent's words. Shown after the computed effect, as data; no rule trusts it.
    #[serde(default)]
    pub reason: Option<String>,
    /// Facts of this target that a site's own rules may ask for, such as `subresource` or `fieldManager`.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// Which kind of action this is, for the measure of how often the twin is right about it: `patch Deployment`.
    pub kind: String,
    /// The digest of everything that would be sent. A retry has the same one.
    pub payload: Digest,
}

impl Action {
    /// What a person calls it: `scale Deployment/shop/cart`.
    pub fn title(&self) -> String {
        format!("{} {}", self.operation, self.resource())
    }

    /// What it is done to, short: the first resource, and how many others.
    pub fn resource(&self) -> String {
        match self.resources.as_slice() {
            [] => "nothing named".to_owned(),
            [only] => only.to_string(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        }
    }

    /// Does the request have this shape?
    pub fn is(&self, shape: Shape) -> bool {
        self.shape.contains(&shape)
    }

    /// What makes two requests the same action: who, where, and every byte that would be sent; not the stated reason.
    pub fn identity(&self) -> Digest {
        Digest::of(&(&self.agent, &self.target, &self.operation, &self.resources, &self.payload))
    }
}
