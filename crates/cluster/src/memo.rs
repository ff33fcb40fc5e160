//! What was worked out about a part of a document, kept for when the same part comes again.
//!
//! Knows: that a part never changes, because changing it makes another; so what follows from it and its type alone need not be
//! worked out twice.
//! Does not know: what is worked out. Nothing depends on what is kept and what is forgotten but how long something takes.
//!
//! A write changes a few fields of a document, and all else in it is the very same as before: the template of a workload comes
//! by with every change of its status, and in every pod that is made from it.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::schema::TypeIdentity;
use crate::value::Value;

/// So many answers are worth keeping where each is small: more would lie further away than it is to work them out.
pub(crate) const MANY: usize = 1 << 12;

/// Whether a part is worth a question: of one that holds less, it is sooner worked out.
pub(crate) fn is_worth(part: &Value) -> bool {
    const LEAST: usize = 4;
    part.entries().len() >= LEAST || part.items().len() >= LEAST
}

/// Answers about parts of documents, for one thread.
pub(crate) struct Memo<T> {
    kept: RefCell<HashTable<Answer<T>>>,
    most: usize,
}

struct Answer<T> {
    ty: TypeIdentity,
    /// The part itself: while it is kept here, no other can stand where it stands.
    part: Value,
    said: T,
}

impl<T: Clone> Memo<T> {
    /// Keeps so many answers at most; then all are forgotten, and it begins anew.
    pub(crate) const fn of(most: usize) -> Self {
        Self { kept: RefCell::new(HashTable::new()), most }
    }

    /// What was said of a list or map before, if it was asked after.
    pub(crate) fn recall(&self, ty: TypeIdentity, part: &Value) -> Option<T> {
        let kept = self.kept.borrow();
        kept.find(hash(ty, part), |have| have.ty == ty && have.part.same(part)).map(|answer| answer.said.clone())
    }

    /// Keeps what is said of a list or map.
    pub(crate) fn keep(&self, ty: TypeIdentity, part: &Value, said: T) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= self.most {
            kept.clear();
        }
        let answer = Answer { ty, part: part.clone(), said };
        kept.insert_unique(hash(ty, part), answer, |answer| hash(answer.ty, &answer.part));
    }
}

fn hash(ty: TypeIdentity, part: &Value) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    let (arena, node, sharing) = ty;
    hasher.write_u64(arena);
    hasher.write_usize(node);
    hasher.write_u8(sharing);
    hasher.write_usize(part.address());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn an_answer_is_about_one_part_of_one_type_and_no_other_that_is_equal() {
        let memo = Memo::of(2);
        let (one, equal) = (doc!({"a": 1}), doc!({"a": 1}));
        memo.keep((1, 2, 0), &one, "said");
        assert_eq!(memo.recall((1, 2, 0), &one.clone()), Some("said"));
        for (ty, part) in [((2, 2, 0), &one), ((1, 3, 0), &one), ((1, 2, 1), &one), ((1, 2, 0), &equal)] {
            assert_eq!(memo.recall(ty, part), None);
        }
    }

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let memo = Memo::of(2);
        let parts = [doc!({"a": 1}), doc!({"a": 2}), doc!({"a": 3})];
        parts.iter().for_each(|part| memo.keep((0, 0, 0), part, ()));
        assert_eq!(parts.map(|part| memo.recall((0, 0, 0), &part)), [None, None, Some(())]);
    }

    #[test]
    fn what_is_changed_is_another_part() {
        let memo = Memo::of(2);
        let mut part = doc!({"a": 1});
        memo.keep((1, 2, 0), &part, ());
        part.set(&["a"], 2);
        assert_eq!(memo.recall((1, 2, 0), &part), None);
    }
}
