//! Facts of avi.

use super::{Probe, ProbeError, Source};

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(_source: &mut dyn Source, _size: u64) -> Result<Probe, ProbeError> {
    Err(ProbeError::Damaged {
        container: "avi",
        reason: "not read yet".to_owned(),
    })
}
