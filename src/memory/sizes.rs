//! What the allocator gives for what is asked: sizes rounded up to its classes.

/// Returns what a block of so many bytes takes. jemalloc has four sizes to each power of two, and none below
/// 16 that matters here; other allocators waste about as much.
#[must_use]
pub const fn block(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    if bytes <= 128 {
        return bytes.next_multiple_of(16);
    }
    // The distance between two sizes is a quarter of the power of two below.
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

/// Returns what an `Arc` of something so large takes.
#[must_use]
pub const fn shared(bytes: usize) -> usize {
    block(bytes + 2 * size_of::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_allocators_sizes() {
        for (asked, given) in [
            (0, 0),
            (1, 16),
            (16, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (257, 320),
            (1025, 1280),
            (4096, 4096),
            (65_537, 81_920),
        ] {
            assert_eq!(block(asked), given, "{asked}");
        }
    }
}
