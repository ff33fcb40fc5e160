//! What differs from one run of the same day to the next.
//!
//! Knows: a seed.
//! Does not know: what is drawn for.
//!
//! Each draw is a function of the seed, of who it is for and of when: nothing is drawn in turn. So two courses of the same
//! service have the same luck under the same seed, and what differs between them is the course.

/// The luck of one run. Without a seed nothing is left to luck: the expected run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Luck(pub Option<u64>);

impl Luck {
    /// So much more or less than what is expected of `count` arrivals, in standard deviations of such a count: the sum of
    /// twelve draws, which is as good as normal and needs nothing but sums.
    pub(crate) fn deviation(self, who: u64, when: u64) -> f64 {
        let Some(seed) = self.0 else { return 0.0 };
        (0..12).map(|part| unit(mix(seed, who, when, part))).sum::<f64>() - 6.0
    }

    /// Between 0 and 1; half where nothing is left to luck.
    pub(crate) fn share(self, who: u64, when: u64) -> f64 {
        self.0.map_or(0.5, |seed| unit(mix(seed, who, when, 99)))
    }
}

/// A number for a name: FNV-1a.
pub(crate) fn who(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// SplitMix64's finisher over all that names a draw.
fn mix(seed: u64, who: u64, when: u64, part: u64) -> u64 {
    [who, when, part].into_iter().fold(seed, |state, word| {
        let mut z = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
