//! What a harness that is built on `libtest-mimic` is called with.

/// Unless colors are always on, such a harness looks for them in all that it prints, byte by byte, to
/// take them out. In a debug build that takes longer than the rest of its work, and its lists and
/// logs have none.
pub const COLOR: [&str; 2] = ["--color", "always"];
