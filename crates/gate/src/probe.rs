//! Places where a test may look in, wait, or pull the plug.
//!
//! Knows: the points between which an action can be interrupted.
//! Does not know: what the test does there. Without a probe a point costs one branch.

use crate::{CaseId, Task};

/// A place on an action's way. At each, a gate may be killed and nothing is lost or done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Decoded and described; nothing is written.
    Described,
    /// A fork was taken, the effect judged.
    Examined,
    /// A permit was issued; nothing is written.
    Permitted,
    /// The intent is on disk; nothing was sent.
    Intended,
    /// Production has answered, or not; nothing is concluded.
    Answered,
    /// The conclusion is handed to the journal.
    Concluded,
    /// The twin has seen the change; the intent leaves the overlay.
    Arrived,
    /// Production was observed; the observation is not written.
    Observed,
}

impl Point {
    /// All of them, in the order in which an action meets them.
    pub const ALL: [Self; 8] = [
        Self::Described,
        Self::Examined,
        Self::Permitted,
        Self::Intended,
        Self::Answered,
        Self::Concluded,
        Self::Arrived,
        Self::Observed,
    ];
}

/// A rule that a test may put out of force, to see that the disaster it prevents then happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// An intent is written only if none that it touches was written since its fork.
    CompareAndAppend,
    /// A fork shows what is on its way.
    Overlay,
    /// A grant covers only effects that lie within the one that was seen.
    Cover,
}

/// Whoever looks in.
pub trait Probe: Send + Sync + 'static {
    /// Called at every point; the action goes on when the task is done.
    fn at(&self, point: Point, case: &CaseId) -> Task;

    /// Is this rule out of force?
    fn breaks(&self, _rule: Rule) -> bool {
        false
    }
}
