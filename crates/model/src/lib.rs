//! The nouns of an action, and how opinions become a verdict.
//!
//! ```text
//! Request ─decode▶ Call ─describe▶ Action ─simulate▶ Effect ─judge▶ Verdict ─▶ Permit ─journal▶ Intent ─commit▶ Receipt ─observe▶ Drift
//! ```
//!
//! Knows: what an action, an effect, a range and a verdict are.
//! Does not know: any target, any policy, time, files or sockets.
//!
//! Everything here is data with an order and an equality: no floats (see [`Decimal`]), no unordered maps,
//! so that two effects can be compared, put in a digest and kept in a journal for years.

mod action;
mod among;
mod budget;
mod class;
mod decimal;
mod digest;
mod drift;
mod effect;
mod footprint;
mod forecast;
mod object;
mod policy;
mod range;
mod record;
mod ruling;
mod schema;
mod summary;
mod tier;
mod verdict;

pub use action::{Access, Action, AgentId, Operation, Shape, TargetName};
pub use among::Among;
pub use budget::{Course, Spent, Tally};
pub use class::{Bound, Likeness};
pub use decimal::Decimal;
pub use digest::{Digest, canonical_json};
pub use drift::{Drift, Miss, Overtaken};
pub use effect::{Change, Effect, FieldChange, Manner, Objects, Prediction};
pub use footprint::{Footprint, Key};
pub use forecast::{
    Blast, Budget, Capacity, Cost, Flow, Forecast, Hazard, HazardKind, Headroom, Load, Privilege, PrivilegeChange,
    Reach, Reversibility, Sample, Service, Touched, Workload,
};
pub use object::ObjectRef;
pub use policy::{ActionPolicy, Evidence, Judgement, PolicyError, judge};
pub use range::{Number, Range, Simulated};
pub use ruling::Ruling;
pub use schema::{Described, Schema};
pub use tier::{Micros, Moment, Tier};
pub use verdict::{Approval, Because, Finding, Opinion, Quorum, Verdict, Voice};
