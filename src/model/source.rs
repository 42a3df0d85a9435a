//! The number of a source: one root of storage that lives or hangs as one.

/// Number of a source, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct SourceNo(pub u32);
