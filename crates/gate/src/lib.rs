//! The passage of an action, from request to reconciled record.
//!
//! Knows: the stages, permits, grants, the journal, the vault, budgets.
//! Does not know: any concrete target or policy, HTTP, SQL of a target.
