//! What the server makes up: suffixes of names, uids.
//!
//! Knows: their alphabets and forms.
//! Does not know: what they are made for. All of it follows from the cluster's seed.

use crate::cluster::Cluster;

/// The letters that generated names end in: no vowels, so that they spell nothing (`k8s.io/apimachinery/pkg/util/rand`).
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The longest that a prefix may be, so that what is made of it is no longer than a DNS label.
const PREFIX_MAX: usize = 58;

/// A random string as generated names end in.
pub fn random_suffix(cluster: &mut Cluster, length: usize) -> String {
    let count = u64::try_from(LETTERS.len()).unwrap_or(1);
    (0..length)
        .filter_map(|_| {
            let at = usize::try_from(cluster.random().below(count)).unwrap_or(0);
            LETTERS.get(at).copied().map(char::from)
        })
        .collect()
}

/// A name that begins with `prefix`.
pub(super) fn generated(cluster: &mut Cluster, prefix: &str) -> String {
    let cut = prefix.char_indices().map(|(at, _)| at).find(|at| *at >= PREFIX_MAX).unwrap_or(prefix.len());
    format!("{}{}", prefix.get(..cut).unwrap_or(prefix), random_suffix(cluster, 5))
}

/// A random uid: a version 4 UUID.
pub fn random_uid(cluster: &mut Cluster) -> String {
    let high = (cluster.random().bits() & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (cluster.random().bits() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
