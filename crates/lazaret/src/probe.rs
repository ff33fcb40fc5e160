//! Where a test pulls the plug of a real gate.
//!
//! Knows: a variable of the environment, in debug builds only.
//! Does not know: anything in a release build.

use std::sync::Arc;

use gate::Probe;

/// Ends the process, as `kill -9` would, at the point that `LAZARET_KILL_AT` names. None in a release build.
#[must_use]
pub(crate) fn from_environment() -> Option<Arc<dyn Probe>> {
    #[cfg(debug_assertions)]
    if let Ok(point) = std::env::var("LAZARET_KILL_AT") {
        return Some(Arc::new(plug::Plug(point)));
    }
    None
}

#[cfg(debug_assertions)]
mod plug {
    use gate::{CaseId, Point, Probe, Task};

    pub(super) struct Plug(pub(super) String);

    impl Probe for Plug {
        fn at(&self, point: Point, _: &CaseId) -> Task {
            if format!("{point:?}") == self.0 {
                std::process::abort();
            }
            Box::pin(async {})
        }
    }
}
