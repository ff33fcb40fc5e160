//! Kubernetes behind the gate.
//!
//! Knows: the Kubernetes API on the wire, a production API server, and the cluster that stands for it.
//! Does not know: other targets, policies, how a permit or an intent is made.
