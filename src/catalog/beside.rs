//! Files beside those of items: sidecars that programs wrote there, as the last scan saw them.

use std::path::PathBuf;

use super::error::Result;
use super::reader::Reader;
use super::rows::{ItemRow, PlaceKind, PlaceRow};
use crate::model::{SidecarName, stem_of};

/// Files of the item's stem that are looked at.
const MOST: u32 = 256;

impl Reader {
    /// The sidecars beside an item's own file, on trusted storage, in the order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn sidecars_on_disk(&self, item: &ItemRow) -> Result<Vec<(SidecarName, PlaceRow)>> {
        let place = item.place.map(|place| self.place(place)).transpose()?;
        let Some(place) = place.flatten() else {
            return Ok(Vec::new());
        };
        let Some(folder) = place.folder.filter(|_| self.is_readable(&place)) else {
            return Ok(Vec::new());
        };
        let sound = bytes(&place);
        let beside = self.places_of_stem(folder, stem_of(sound), MOST)?;
        let mut found: Vec<_> = beside
            .into_iter()
            .filter(|(place, item)| item.is_none() && self.is_readable(place))
            .filter_map(|(place, _)| {
                let name = SidecarName::known_beside(bytes(&place), sound)?;
                Some((name, place))
            })
            .collect();
        found.sort_unstable_by_key(|(_, place)| place.row);
        Ok(found)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn sidecar_on_disk(&self, item: &ItemRow, name: &SidecarName) -> Result<Option<PlaceRow>> {
        if !name.is_known() {
            return Ok(None);
        }
        let all = self.sidecars_on_disk(item)?;
        let same = |found: &SidecarName| found == name;
        Ok(all
            .into_iter()
            .find(|(found, _)| same(found))
            .map(|(_, place)| place))
    }

    /// Where a file is.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn absolute_path(&self, place: &PlaceRow) -> Result<Option<PathBuf>> {
        let Some((base, path)) = self.path_of(place)? else {
            return Ok(None);
        };
        Ok(self.base(base)?.map(|base| base.path.join(path)))
    }

    fn is_readable(&self, place: &PlaceRow) -> bool {
        place.is_here()
            && !place.online_only
            && place.kind == PlaceKind::File
            && self.source_of(place.base).is_none()
    }
}

fn bytes(place: &PlaceRow) -> &[u8] {
    place.name.as_encoded_bytes()
}
