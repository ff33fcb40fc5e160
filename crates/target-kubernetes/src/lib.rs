//! Kubernetes as a target: the front door, the way to production, the twin's upkeep, and a cluster served as a live API.
//!
//! Knows: HTTP, TLS, kubeconfigs, and how a Kubernetes API server is spoken to.
//! Does not know: what the API server makes of a call (that is `cluster`), or how a verdict comes about (that is `gate`).
//!
//! | file | does |
//! |---|---|
//! | `message` | bodies and headers: bounded, unzipped, zipped, streamed |
//! | `tls` | a certificate authority of our own |
//! | `listen` | accepts connections: TLS, HTTP/1.1 and HTTP/2, and lets them end in peace |
//! | `kubeconfig` | writes the file that clients are handed |

pub mod kubeconfig;
pub mod listen;
pub mod message;
pub mod snapshot;
pub mod tls;
