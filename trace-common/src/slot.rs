//! Where the record of a thread is: slots lie in chunks, since a map cannot grow, but further ones can be added.

/// Records in a chunk: a power of two, so that the kernel finds one with a shift and a mask.
pub const CHUNK: u32 = 1_024;
/// Most chunks.
pub const CHUNKS: u32 = 128;
/// Most records: 131,072, more threads than a process has had for as long as it was useful. Beyond, births are counted as lost.
pub const MOST: u32 = CHUNK * CHUNKS;

/// The chunk that slot `slot` is in.
#[inline(always)]
pub const fn chunk(slot: u32) -> u32 {
    slot / CHUNK
}

/// The place of slot `slot` in its chunk.
#[inline(always)]
pub const fn place(slot: u32) -> u32 {
    slot % CHUNK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        let (first, last) = (CHUNK - 1, CHUNK);
        assert_eq!((chunk(first), place(first)), (0, CHUNK - 1));
        assert_eq!((chunk(last), place(last)), (1, 0));
        assert_eq!((chunk(MOST - 1), place(MOST - 1)), (CHUNKS - 1, CHUNK - 1));
    }
}
