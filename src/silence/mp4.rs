//! Silence as mp4.

use super::{Capsule, NoPlaceholder};
use crate::model::Format;

/// The capsule of a file of `size` bytes that has this format and is silent.
pub(super) fn from_facts(_format: &Format, _size: u64) -> Result<Capsule, NoPlaceholder> {
    Err(NoPlaceholder::new("there is no silent form of mp4 yet"))
}
