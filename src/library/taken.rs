//! Which names of a folder are free, so that its files stay apart wherever it is carried: on disks that do not tell upper
//! case from lower, `Kick.wav` and `kick.wav` are one file.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use crate::model::caseless;

/// The names in a folder.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashSet<Vec<u8>>);

impl Taken {
    pub(crate) fn of(names: impl IntoIterator<Item = OsString>) -> Self {
        let names = names.into_iter();
        Self(
            names
                .map(|name| caseless(name.as_encoded_bytes()))
                .collect(),
        )
    }

    /// Some file has this name, or one that is the same without regard to case and composition.
    pub(crate) fn has(&self, name: &OsStr) -> bool {
        self.0.contains(&caseless(name.as_encoded_bytes()))
    }

    pub(crate) fn add(&mut self, name: &OsStr) {
        self.0.insert(caseless(name.as_encoded_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case_and_composition() {
        let taken = Taken::of(["Take 1.wav".into(), "\u{c4}.wav".into()]);
        for name in ["take 1.WAV", "A\u{308}.wav", "a\u{308}.wav", "\u{e4}.wav"] {
            assert!(taken.has(name.as_ref()), "{name}");
        }
        for name in ["Take 2.wav", "A.wav"] {
            assert!(!taken.has(name.as_ref()), "{name}");
        }
    }
}
