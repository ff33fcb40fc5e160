//! What the tests of the whole share: production, the real gate before it, and clients of both.
//!
//! Knows: how each is started, and that it is ended with the test.
//! Does not know: what is tested.
//!
//! ```text
//! client ──HTTPS──▶ gate (the real binary) ──HTTPS──▶ tap (counts) ──HTTPS──▶ production (a served cluster, in this process)
//! ```
#![allow(dead_code, unreachable_pub, unused_imports)] // each test uses a part of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

pub mod client;
pub mod gate;
pub mod production;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[allow(unused_imports)]
pub use client::{Answered, Client};
#[allow(unused_imports)]
pub use gate::{Agent, Gate};
pub use production::{Production, shop};

/// Nothing in these tests takes longer unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A folder that is gone when it goes out of scope.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("lazaret-test-{}", target_kubernetes::message::random_word().unwrap());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gate before a production of its own. Ends with the test, in this order.
pub struct Station {
    pub gate: Gate,
    pub production: Production,
    pub folder: Folder,
}

impl Station {
    /// The shop (see [`shop`]) as production, and a gate before it whose twin is whole.
    pub async fn start() -> Self {
        Self::of(&shop(), "", &[]).await
    }

    /// A cluster with these objects as production, and a gate with this configuration and environment.
    pub async fn of(objects: &[serde_json::Value], config: &str, environment: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let production = Production::start(objects, &folder.join("production")).await;
        let gate = Gate::start(&production.kubeconfig, &folder.join("data"), config, environment);
        Self { gate, production, folder }
    }
}

/// Looks again and again until there is something to be seen.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
