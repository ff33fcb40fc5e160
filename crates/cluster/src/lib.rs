//! A Kubernetes cluster in memory.
//!
//! Knows: objects, the API machinery, controllers, the scheduler, kubelets, virtual time.
//! Does not know: that it is a twin, or that a gate is watching.
