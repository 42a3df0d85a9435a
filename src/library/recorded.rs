//! The file of an item, open to be read whole: it is in the way of no program that saves it, and tells whether it was the same
//! from the beginning to the end.

use std::fs::File;
use std::io::{self, Read};

use mediafs_platform::wanted::GivesWay;

use crate::catalog::Evidence;

use super::disk::evidence_of;

/// A file that was what the catalog says when it was opened. Reading fails as soon as another program waits for it.
#[derive(Debug)]
pub(crate) struct Recorded {
    reading: GivesWay,
    evidence: Evidence,
}

impl Recorded {
    pub(super) fn new(file: File, evidence: Evidence) -> Self {
        Self {
            reading: GivesWay::new(file),
            evidence,
        }
    }

    /// What the disk said of it when it was opened.
    pub(crate) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Whether another program waits for it to be closed.
    pub(crate) fn is_wanted(&self) -> bool {
        self.reading.wanted.is_wanted()
    }

    /// What was read is what was there from the beginning to the end.
    pub(crate) fn is_unchanged(&self) -> bool {
        evidence_of(&self.reading.file).ok() == Some(self.evidence)
    }
}

impl Read for Recorded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reading.read(into)
    }
}
