//! A Kubernetes cluster in memory.
//!
//! Knows: objects, the API machinery, controllers, the scheduler, kubelets, virtual time.
//! Does not know: that it is a twin, or that a gate is watching.

pub mod apiserver;
pub mod build;
pub mod cluster;
pub mod controllers;
mod index;
pub mod intern;
pub mod json;
mod kin;
mod kubelet;
pub mod labels;
mod memo;
pub mod object;
pub mod population;
pub mod quantity;
mod quota;
mod scan;
pub mod scheduler;
pub mod schema;
pub mod snapshot;
#[cfg(test)]
mod testing;
pub mod time;
pub mod traffic;
pub mod value;

pub use cluster::{Advance, Change, Cluster, Settings};
pub use intern::Interner;
pub use object::ObjectKey;
pub use schema::Schema;
pub use value::{List, Map, Text, Value};
