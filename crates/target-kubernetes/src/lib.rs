//! Kubernetes as a target: the front door, the way to production, the twin's upkeep, and a cluster served as a live API.
//!
//! Knows: HTTP, TLS, kubeconfigs, and how a Kubernetes API server is spoken to.
//! Does not know: what the API server makes of a call (that is `cluster`), or how a verdict comes about (that is `gate`).
//!
//! | file | does |
//! |---|---|
//! | `target` | `impl gate::Target`: which file serves which stage |
//! | `front`, `decode` | lets agents in, and makes calls of what they ask |
//! | `refuse` | refusals, as Kubernetes clients understand them |
//! | `upstream` | the way to production: credentials, connections, and whether a request left |
//! | `read`, `mask/` | what agents see of production: everything but secret values |
//! | `commit` | a call in production, on condition that it is what the twin was |
//! | `describe` | a call in words that fit every target |
//! | `twin`, `effect/` | a call on a fork, and what came of it |
//! | `bound/` | what a call would lead to at the worst, with no controller asked |
//! | `observe` | what became of it in production |
//! | `sync/` | the twin of production, kept by list and watch |
//! | `telemetry` | the load on its services, from Prometheus |
//! | `serve/` | a cluster as a live API: the demo's production, branches, `lazaret twin serve` |
//! | `snapshot` | files of objects |
//! | `listen`, `tls`, `message`, `kubeconfig` | what all listeners share: connections, certificates, bodies, files for clients |

mod bound;
pub mod commit;
pub mod decode;
mod describe;
mod effect;
pub mod front;
pub mod kubeconfig;
pub mod listen;
pub mod mask;
pub mod message;
mod observe;
pub mod read;
pub mod refuse;
pub mod serve;
pub mod snapshot;
pub mod standalone;
pub mod sync;
pub mod target;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod twin;
pub mod upstream;

pub use target::Kubernetes;
