//! The passage of an action, from request to reconciled record.
//!
//! Start at [`pass`]: one function that reads top to bottom. Everything else here is a station it calls.
//!
//! Knows: the stages, permits, grants, the journal, the vault, budgets.
//! Does not know: any concrete target or policy, HTTP, SQL of a target.

mod approvals;
mod budgets;
mod case;
mod classes;
mod commit;
mod fidelity;
mod gate;
mod host;
pub mod journal;
mod passage;
mod permit;
mod probe;
mod reconcile;
mod refusal;
mod story;
mod target;
mod tiers;
pub mod vault;

pub use approvals::{Held, Person, Vote, VoteError};
pub use case::{Case, CaseId, NotACaseId};
pub use classes::{Class, Terms};
pub use fidelity::Score;
pub use gate::{Gate, Mode, Parts, Settings};
pub use host::{Host, Task, TokioHost};
pub use journal::Journal;
pub use passage::{examine, pass};
pub use permit::{Grant, Intent, Permit};
pub use probe::{Point, Probe, Rule};
pub use reconcile::resume;
pub use refusal::Refusal;
pub use story::{Archive, Doubt, Line, Rejudged, Story, Summary};
pub use target::{
    CommitError, Committed, DecodeError, Observation, Pending, Rehearsal, Sent, SimulateError, Stale, Stop, Target,
    Twin,
};
pub use vault::Vault;
