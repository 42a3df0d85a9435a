//! What programs wrote beside an item.

use super::Service;
use crate::catalog::{ItemRow, Nanoseconds, Reader};
use crate::control::RpcError;
use crate::library::sidecars::{ItemKey, kept_of};
use crate::model::{
    Behind, Sidecar, SidecarKept, SidecarName, display_name, path_text, shown_name,
};

impl Service {
    /// The sidecars of an item, by their names.
    pub(super) fn sidecars_of(
        &self,
        reader: &Reader,
        item: &ItemRow,
    ) -> Result<Vec<Sidecar>, RpcError> {
        let base = item.project.map(|base| reader.base(base)).transpose()?;
        let project = base.flatten().and_then(|base| base.project);
        let key = ItemKey::new(project.as_ref(), &item.media_id);
        let (kept, hidden) = kept_of(&crate::home::real(self.home.data()), &key);
        let shown = shown_name(&item.name);
        let named = |name: &SidecarName| Sidecar {
            name: display_name(&name.beside(shown.as_bytes()).unwrap_or_default()),
            suffix: display_name(&name.suffix),
            behind_stem: name.behind == Behind::Stem,
            size: 0,
            modified_nanoseconds: 0,
            kept: SidecarKept::Home,
            file: String::new(),
        };
        let mut all = Vec::new();
        for (name, place) in reader.sidecars_on_disk(item)? {
            if hidden.contains(&name) || kept.iter().any(|kept| kept.name == name) {
                continue;
            }
            let file = reader.absolute_path(&place)?.unwrap_or_default();
            all.push(Sidecar {
                size: place.evidence.size,
                modified_nanoseconds: place.evidence.modified.0,
                kept: SidecarKept::Disk,
                file: path_text(&file),
                ..named(&name)
            });
        }
        for kept in kept {
            let modified = kept.found.modified().map(Nanoseconds::from);
            all.push(Sidecar {
                size: kept.found.len(),
                modified_nanoseconds: modified.map_or(0, |modified| modified.0),
                file: path_text(&kept.file),
                ..named(&kept.name)
            });
        }
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }
}
