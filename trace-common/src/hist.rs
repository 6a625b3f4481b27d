//! Log-linear distributions: 16 buckets an octave, so a bucket's width is at most 6.25 % of its lower edge.

/// log2 of the buckets in an octave.
const SUB_BITS: u32 = 4;
/// Buckets in an octave.
const SUB: u64 = 1 << SUB_BITS;
/// Largest exponent with buckets of its own: 2^41 ns is 36 minutes; longer goes to the last bucket.
const MAX_EXPONENT: u32 = 40;
/// Buckets in use.
pub const BUCKETS: usize = ((MAX_EXPONENT - SUB_BITS + 2) as usize) << SUB_BITS;
/// Length of a distribution's array: a power of two, for the verifier.
pub const SLOTS: usize = 1024;

/// One distribution.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Histogram {
    /// Number of values in each bucket; see [`bucket`].
    pub counts: [u64; SLOTS],
}

/// The bucket of `value`. Values below 16 have a bucket each.
#[inline(always)]
pub fn bucket(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let exponent = 63 - value.leading_zeros();
    if exponent > MAX_EXPONENT {
        return BUCKETS - 1;
    }
    let shift = exponent - SUB_BITS;
    let sub = (value >> shift) & (SUB - 1);
    (((shift + 1) as usize) << SUB_BITS) + sub as usize
}

/// The largest value of a bucket (`u64::MAX` for the last).
pub fn upper(bucket: usize) -> u64 {
    if bucket < SUB as usize {
        return bucket as u64;
    }
    if bucket >= BUCKETS - 1 {
        return u64::MAX;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let sub = (bucket as u64) & (SUB - 1);
    ((SUB + sub + 1) << shift) - 1
}

impl Histogram {
    /// Counts `value`.
    #[inline(always)]
    pub fn record(&mut self, value: u64) {
        let i = crate::bounded::<SLOTS>(bucket(value));
        self.counts[i] = self.counts[i].wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for b in 1..BUCKETS - 1 {
            assert_eq!(bucket(upper(b - 1) + 1), b);
            assert_eq!(bucket(upper(b)), b);
        }
    }

    proptest! {
        #[test]
        fn a_value_lies_within_a_sixteenth_below_the_edge_of_its_bucket(v in 0u64..1 << 40) {
            let edge = upper(bucket(v));
            prop_assert!(edge >= v);
            prop_assert!(edge - v <= v / 16 + 1);
        }
    }
}
