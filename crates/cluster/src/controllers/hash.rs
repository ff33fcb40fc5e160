//! The digests in the names of ReplicaSets and ControllerRevisions.
//!
//! Kubernetes names a ReplicaSet after a digest of what go-spew prints of the template in Go's own types, so the digest
//! changes with each release that adds a field anywhere below `PodTemplateSpec`. To give the same names we would have to
//! carry those types as tables, release by release; instead we digest the template's canonical JSON (keys in order, no
//! blanks), in the same alphabet and length. So a ReplicaSet or a DaemonSet's revision that the twin makes is not called
//! what production will call it, and **nothing may depend on the two being equal**: forecasts are compared with what
//! happened by workload and by count. What holds is what controllers rely on: the same template has the same name every
//! time, and another template another.
//!
//! A StatefulSet's revision is digested from JSON by Kubernetes too, so that name is the real one.
//!
//! Knows: FNV, and the letters that spell no words.
//! Does not know: what is named.

use std::fmt::{self, Write};

use crate::value::{Text, Value};

/// The digest of a pod template; `collisions` says how many others had its name before it, if any had.
pub(super) fn of_template(template: &Value, collisions: Option<i64>) -> Text {
    let mut digest = Fnv::new(Order::XorFirst);
    // A digest takes whatever is written.
    let _ = digest.write_str(&template.to_json());
    if let Some(collisions) = collisions {
        digest.bytes(&collisions.to_le_bytes());
    }
    digest.letters()
}

/// The digest of what a revision keeps; `collisions` as it is counted.
pub(super) fn of_revision(data: &Value, collisions: i64) -> Text {
    let mut digest = Fnv::new(Order::MultiplyFirst);
    let _ = write!(digest, "{}{collisions}", go_json(data));
    digest.letters()
}

/// Which of the two variants of FNV.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// FNV-1
    MultiplyFirst,
    /// FNV-1a
    XorFirst,
}

struct Fnv {
    sum: u32,
    order: Order,
}

impl Fnv {
    fn new(order: Order) -> Self {
        Self { sum: 0x811c_9dc5, order }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        const PRIME: u32 = 0x0100_0193;
        for byte in bytes {
            let byte = u32::from(*byte);
            self.sum = match self.order {
                Order::MultiplyFirst => self.sum.wrapping_mul(PRIME) ^ byte,
                Order::XorFirst => (self.sum ^ byte).wrapping_mul(PRIME),
            };
        }
    }

    /// The decimal digits as letters that spell no words (`rand.SafeEncodeString`).
    fn letters(&self) -> Text {
        const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        let letter = |digit: u8| LETTERS.get(usize::from(digit) % LETTERS.len()).copied().map_or('b', char::from);
        Text::from(self.sum.to_string().bytes().map(letter).collect::<String>())
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

/// JSON as Go writes it: what HTML reads as markup is escaped.
fn go_json(value: &Value) -> String {
    value.to_json().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    fn template(image: &str) -> Value {
        doc!({"metadata": {"labels": {"app": "nginx"}}, "spec": {"containers": [{"name": "nginx", "image": (image)}]}})
    }

    #[test]
    fn a_template_has_one_name_and_another_template_another() {
        let name = of_template(&template("nginx:1"), None);
        let reordered = doc!({
            "spec": {"containers": [{"image": "nginx:1", "name": "nginx"}]},
            "metadata": {"labels": {"app": "nginx"}},
        });
        assert_eq!(of_template(&reordered, None), name, "the order in which fields were written is no difference");
        assert_ne!(of_template(&template("nginx:2"), None), name, "another image is");
        assert_ne!(of_template(&template("nginx:1"), Some(1)), name, "and so is a collision");
    }

    #[test]
    fn a_name_is_of_letters_that_spell_no_words() {
        for image in ["a", "b", "c", "nginx:1.14.2", "nginx:1.16.1"] {
            let name = of_template(&template(image), None);
            assert!(name.len() <= 10 && name.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)), "{name}");
        }
    }
}
