//! Suggestions: files that may stand in for a sound. Who knows more about sounds adds a [`Suggest`] of its own.

use crate::catalog::{CatalogError, ItemNo, ItemRow, Likeness, Reader};

/// A file that may stand in for an item.
#[derive(Clone, PartialEq, Debug)]
pub struct Suggestion {
    /// The file, absolute, as text.
    pub path: String,
    /// The item that it is already, if it is one.
    pub item: Option<ItemNo>,
    /// From 1 (the same bytes) to 0.
    pub score: f64,
    /// Why, for people.
    pub reason: String,
}

/// Whoever can suggest files for an item. Changes nothing, touches no storage.
pub trait Suggest: Send + Sync {
    /// In a word, stable: programs may rely on it.
    fn name(&self) -> &'static str;

    /// At most `limit` suggestions, the best first.
    ///
    /// # Errors
    /// When the catalog fails.
    fn suggest(
        &self,
        reader: &Reader,
        item: &ItemRow,
        limit: u32,
    ) -> Result<Vec<Suggestion>, CatalogError>;
}

/// By what the catalog knows of files: bytes, facts, names.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByFacts;

impl Suggest for ByFacts {
    fn name(&self) -> &'static str {
        "facts"
    }

    fn suggest(
        &self,
        reader: &Reader,
        item: &ItemRow,
        limit: u32,
    ) -> Result<Vec<Suggestion>, CatalogError> {
        let alike = reader.look_alikes(item, limit)?;
        Ok(alike
            .into_iter()
            .map(|alike| {
                let (score, reason) = match alike.likeness {
                    Likeness::Bytes => (1.0, "the same bytes"),
                    Likeness::Ends => (0.95, "the same size, beginning and end"),
                    Likeness::FactsAndName => (0.9, "the same length, rate, channels and name"),
                    Likeness::Name => (0.5, "the same name"),
                    Likeness::Facts => (0.3, "the same length, rate and channels"),
                };
                Suggestion {
                    path: alike.path,
                    item: alike.item.map(|item| item.row),
                    score,
                    reason: reason.to_owned(),
                }
            })
            .collect())
    }
}
