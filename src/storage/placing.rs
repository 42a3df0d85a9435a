//! What paths lie on: found out by the system's tables and the disk's own word, and made known to the catalog.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf, Prefix};
use std::sync::Arc;

use mediafs_platform::volume::{
    Classifier, MountEntry, MountTable, Reason, Trust, identity_from_table,
};

use super::clouds;
use super::matching::{mount_of, recorded};
use super::mount_key::MountKey;
use super::sources::{Asked, OnSource, SourceError, Sources, is_seen, name_of, now, sort};
use crate::catalog::{BaseKind, BaseRow, Durability, NewSource};
use crate::model::{SourceKind, SourceNo};

/// By its own word, as only Windows has such paths.
fn is_on_share(path: &Path) -> bool {
    matches!(
        path.components().next(),
        Some(Component::Prefix(prefix))
            if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
    )
}

impl Sources {
    /// What `path` lies on, made known to the catalog; `None` where that is trusted storage. May wait for a disk that is
    /// asked what it is.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(crate) fn of_path(self: &Arc<Self>, path: &Path) -> Result<Option<OnSource>, SourceError> {
        let table = MountTable::read()?;
        self.look_at(&table);
        let classifier = Classifier::read(self.declared.clone())?;
        let reason = match classifier.trust(path) {
            Trust::Untrusted(reason) => Some(reason),
            Trust::Trusted => None,
        };
        if let Some((root, provider)) = self.cloud_of(path, reason.as_ref()) {
            let identity = clouds::identity_of(&provider, &root);
            let rows = self.catalog.reader()?.sources()?.into_iter();
            let known = rows
                .filter(|row| row.kind == SourceKind::Cloud)
                .find(|row| clouds::is_recorded(&row.identity, &identity));
            let entry = match &known {
                Some(known) => clouds::mount_of(known, &table),
                None => table.holding(&root),
            };
            let new = NewSource {
                kind: SourceKind::Cloud,
                identity: known.map_or(identity, |row| row.identity),
                name: root.file_name().map_or_else(
                    || provider.clone(),
                    |name| name.to_string_lossy().into_owned(),
                ),
                provider: Some(provider),
                path: root.clone(),
            };
            let made = self.made_known(&new, path, entry)?;
            if let Some(entry) = entry {
                self.note_mount(&made.source, entry, &classifier)?;
            }
            return Ok(Some(made));
        }
        if reason.is_none() {
            return Ok(None);
        }
        let Some(entry) = table.holding(path) else {
            return match is_on_share(path) {
                true => Err(SourceError::NoLetter(path.to_owned())),
                false => Ok(None),
            };
        };
        let kind = sort(&classifier, entry).unwrap_or(SourceKind::Volume);
        let from_table = match kind {
            SourceKind::Volume => None,
            _ => identity_from_table(entry),
        };
        let (identity, label) = match from_table {
            Some(identity) => (identity, None),
            None => {
                let key = MountKey::of(entry);
                let known = self.known.lock().disks.get(&key).and_then(Asked::disk);
                let disk = known.or_else(|| self.ask_disk(&key, entry));
                let disk = disk.ok_or_else(|| SourceError::NoAnswer(entry.mount_point.clone()))?;
                (disk.identity, disk.label)
            }
        };
        // What is known of this disk already, perhaps with another serial.
        let rows = self.catalog.reader()?.sources()?;
        let found = [(identity.clone(), entry)];
        let known = rows
            .iter()
            .filter(|row| row.kind == kind)
            .find(|row| mount_of(row, &found).is_some());
        if let Some(known) = known
            && let Some(at) = self.mounted_elsewhere(known.row, &table, entry)
        {
            if at.device != entry.device {
                return Err(SourceError::Copy {
                    copy: entry.mount_point.clone(),
                    name: known.name.clone(),
                    at: at.mount_point.clone(),
                });
            }
            // The same file system is mounted twice; it stays where it is.
            let inside = path.strip_prefix(&entry.mount_point);
            return Ok(Some(OnSource {
                source: known.clone(),
                inside: inside.unwrap_or(Path::new("")).to_owned(),
            }));
        }
        let new = NewSource {
            kind,
            identity: known.map_or_else(|| recorded(&identity, entry), |row| row.identity.clone()),
            name: name_of(entry, label),
            provider: None,
            path: entry.mount_point.clone(),
        };
        self.made_known(&new, path, Some(entry)).map(Some)
    }

    /// Where a source is mounted, if that is not this mount.
    fn mounted_elsewhere<'t>(
        &self,
        source: SourceNo,
        table: &'t MountTable,
        entry: &MountEntry,
    ) -> Option<&'t MountEntry> {
        let key = self.known.lock().mounted.get(&source).cloned()?;
        let there = table.by_id(key.id)?;
        let still = MountKey::of(there) == key && is_seen(table, there);
        (still && there.id != entry.id).then_some(there)
    }

    fn made_known(
        &self,
        new: &NewSource,
        path: &Path,
        entry: Option<&MountEntry>,
    ) -> Result<OnSource, SourceError> {
        let source = self
            .catalog
            .write(Durability::Full, |writer| writer.add_source(new, now()))?;
        self.found(&source, entry)?;
        let inside = path.strip_prefix(&new.path).unwrap_or(Path::new(""));
        Ok(OnSource {
            source,
            inside: inside.to_owned(),
        })
    }

    /// Folders that the user says a sync client manages.
    pub(crate) fn cloud_folders(&self) -> Vec<PathBuf> {
        self.clouds.iter().map(|cloud| cloud.path.clone()).collect()
    }

    /// The cloud folder that holds `path`, by the user's word or the client's own signs; and whose it is.
    fn cloud_of(&self, path: &Path, reason: Option<&Reason>) -> Option<(PathBuf, String)> {
        let named = self
            .clouds
            .iter()
            .filter(|cloud| path.starts_with(&cloud.path))
            .max_by_key(|cloud| cloud.path.components().count());
        if let Some(cloud) = named {
            return Some((cloud.path.clone(), cloud.provider.word().to_owned()));
        }
        match reason {
            Some(Reason::Cloud { provider, root }) => Some((root.clone(), provider.to_lowercase())),
            _ => None,
        }
    }

    /// Folders may have become a cloud's, or be one's no more, since they were registered: the catalog is told. What is in
    /// them stays what it was.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(crate) fn assign_clouds(self: &Arc<Self>) -> Result<(), SourceError> {
        let reader = self.catalog.reader()?;
        let classifier = Classifier::read(self.declared.clone())?;
        let clouds: HashSet<SourceNo> = reader
            .sources()?
            .into_iter()
            .filter(|row| row.kind == SourceKind::Cloud)
            .map(|row| row.row)
            .collect();
        for base in reader.bases()? {
            let may_be = matches!(base.kind, BaseKind::Library | BaseKind::Project)
                && base.source.is_none_or(|source| clouds.contains(&source));
            if !may_be {
                continue;
            }
            let reason = match classifier.trust(&base.path) {
                Trust::Untrusted(reason) => Some(reason),
                Trust::Trusted => None,
            };
            let cloud = self.cloud_of(&base.path, reason.as_ref());
            // What is mounted over a folder does not make it another one.
            let other = cloud.is_some() || reason.is_none();
            if other && cloud.is_some() != base.source.is_some() {
                self.assign(&base)?;
            }
        }
        Ok(())
    }

    fn assign(self: &Arc<Self>, base: &BaseRow) -> Result<(), SourceError> {
        let found = self.of_path(&base.path)?;
        let found = found
            .as_ref()
            .map(|found| (found.source.row, found.inside.as_path()));
        self.catalog.write(Durability::Full, |writer| {
            writer.set_base_source(base.row, found)
        })?;
        Ok(())
    }
}
