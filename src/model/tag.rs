//! What is known of a sound beyond its format: tags and attributes, each with where it comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who says so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TagSource {
    /// A person.
    User,
    /// The file's own tags.
    File,
    /// The file's or folder's name.
    Name,
    /// Analysis of the sound.
    Analysis,
    /// The shared knowledge service.
    Composer,
}

/// How sure the source is, from 0 to 1.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Confidence(f32);

impl Confidence {
    /// Without doubt.
    pub const CERTAIN: Self = Self(1.0);

    /// Clamped to 0…1; not-a-number is 0.
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self(if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        })
    }

    /// From 0 to 1.
    #[must_use]
    pub fn value(self) -> f32 {
        self.0
    }
}

/// A word for a sound. Compared without regard to case.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tag {
    /// The word.
    pub name: String,
    /// Who says so.
    pub source: TagSource,
    /// How sure.
    pub confidence: Confidence,
}

/// A named value of a sound: `bpm`, `key`, `rootNote`, …
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Who says so.
    pub source: TagSource,
    /// How sure.
    pub confidence: Confidence,
}
