//! Volumes, shares and cloud folders: which there are, letting go of one, and marks by which they are known again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Service;
use crate::catalog::{Reader, SourceRow};
use crate::control::methods::*;
use crate::control::rpc::one_line;
use crate::control::{Reason, RpcError};
use crate::model::{SourceKind, SourceState};
use crate::storage::{MarkError, is_marked};

impl Service {
    pub(super) fn known_volume(
        &self,
        reader: &Reader,
        row: SourceRow,
    ) -> Result<VolumeStatus, RpcError> {
        let (items, only_there) = reader.items_on(row.row)?;
        let state = reader.source_state(row.row);
        let marked = is_marked(&row.identity);
        Ok(VolumeStatus {
            id: Some(row.identity),
            name: row.name,
            kind: row.kind.word().to_owned(),
            provider: row.provider,
            state: state_word(state).to_owned(),
            path: row.path.as_path().into(),
            last_seen: Some(row.seen.millis()),
            read_only: false,
            twin: false,
            marked,
            known: true,
            items,
            only_there,
        })
    }

    pub(super) fn volumes(&self) -> Result<Volumes, RpcError> {
        let reader = self.catalog.reader()?;
        let mut volumes = Vec::new();
        let mounted = match self.away.get() {
            Some(away) => away
                .outside
                .sources
                .mounted_volumes()
                .map_err(|error| RpcError::new(Reason::Internal, one_line(&error)))?,
            None => Vec::new(),
        };
        let mut identities: HashMap<&str, usize> = HashMap::new();
        for identity in mounted
            .iter()
            .filter_map(|volume| volume.identity.as_deref())
        {
            *identities.entry(identity).or_default() += 1;
        }
        let is_twin = |identity: Option<&String>| {
            identity.is_some_and(|id| identities.get(id.as_str()).is_some_and(|n| *n > 1))
        };
        for row in reader.sources()? {
            let number = row.row;
            let mut volume = self.known_volume(&reader, row)?;
            if let Some(there) = mounted.iter().find(|there| there.source == Some(number)) {
                volume.read_only = there.read_only;
            }
            volume.twin = is_twin(volume.id.as_ref());
            volumes.push(volume);
        }
        for there in mounted.iter().filter(|there| there.source.is_none()) {
            volumes.push(VolumeStatus {
                id: there.identity.clone(),
                name: there.name.clone(),
                kind: there.kind.word().to_owned(),
                provider: Some(there.fs_type.clone()),
                state: "online".to_owned(),
                path: there.point.as_path().into(),
                last_seen: None,
                read_only: there.read_only,
                twin: is_twin(there.identity.as_ref()),
                marked: there.identity.as_deref().is_some_and(is_marked),
                known: false,
                items: 0,
                only_there: 0,
            });
        }
        Ok(Volumes { volumes })
    }

    pub(super) fn eject(&self, params: &VolumeWhich) -> Result<VolumeStatus, RpcError> {
        let away = self.away()?;
        let reader = self.catalog.reader()?;
        let wanted = &params.volume;
        let mut found: Vec<SourceRow> = reader
            .sources()?
            .into_iter()
            .filter(|row| is_meant(params, Some(&row.identity), &row.path, &row.name))
            .collect();
        if found.len() > 1 {
            found.retain(|row| reader.source_state(row.row) != SourceState::Absent);
        }
        let row = the_one(found, wanted)?;
        if row.kind == SourceKind::Cloud {
            return Err(RpcError::new(
                Reason::Refused,
                format!("{} is a cloud's folder, which cannot be ejected", row.name),
            )
            .remedy("volume.list lists what can be")
            .command("`mediafs volumes` lists what can be"));
        }
        if !away.eject(row.row)? {
            return Err(RpcError::new(
                Reason::Refused,
                format!("{} is not mounted", row.name),
            ));
        }
        if let Some(library) = self.library.lock().clone() {
            library.release_source(&row.path);
        }
        self.known_volume(&reader, row)
    }

    pub(super) fn mark_volume(&self, params: &VolumeWhich) -> Result<VolumeStatus, RpcError> {
        let outside = &self.away()?.outside;
        let wanted = &params.volume;
        let mut found: Vec<PathBuf> = self
            .volumes()?
            .volumes
            .into_iter()
            .filter(|volume| volume.state == "online")
            .filter(|volume| {
                let id = volume.id.as_deref();
                is_meant(params, id, &volume.path.0, &volume.name)
            })
            .map(|volume| volume.path.0)
            .collect();
        if found.is_empty() && path_of(params).is_absolute() {
            // What is there is told by who looks at it.
            found.push(path_of(params).to_owned());
        }
        let point = the_one(found, wanted)?;
        outside.mark(&point).map_err(|error| {
            let no = |reason| RpcError::new(reason, one_line(&error));
            match &error {
                MarkError::NotMounted(_) => no(Reason::NotFound)
                    .remedy("volume.list lists what is mounted")
                    .command("`mediafs volumes` lists what is mounted"),
                MarkError::Trusted(_) | MarkError::NoDisk(_) => no(Reason::Refused),
                MarkError::Disk { .. } => no(Reason::Storage),
                MarkError::Source(_) => no(Reason::Internal),
            }
        })?;
        let volumes = self.volumes()?.volumes.into_iter();
        let marked = volumes.rev().find(|volume| volume.path.0 == point);
        marked.ok_or_else(|| {
            RpcError::new(
                Reason::Storage,
                format!("{} is marked, and gone by now", point.display()),
            )
        })
    }
}

/// The path by which a volume is named, if it is named by that.
fn path_of(which: &VolumeWhich) -> &Path {
    let path = which.path.as_ref().map(|path| path.0.as_path());
    path.unwrap_or(Path::new(&which.volume))
}

/// Whether a volume is named: by its identity, where it is mounted, or its name in any case.
fn is_meant(which: &VolumeWhich, identity: Option<&str>, at: &Path, name: &str) -> bool {
    identity == Some(&which.volume)
        || at == path_of(which)
        || name.to_lowercase() == which.volume.to_lowercase()
}

/// The only one of those that were found.
fn the_one<T>(mut found: Vec<T>, wanted: &str) -> Result<T, RpcError> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(RpcError::new(
            Reason::NotFound,
            format!("no volume is known as {wanted:?}"),
        )
        .remedy("volume.list lists them")
        .command("`mediafs volumes` lists them")),
        (Some(_), false) => Err(RpcError::new(
            Reason::InvalidParameter,
            format!("several volumes are called {wanted:?}"),
        )
        .remedy("name it by where it is mounted")),
    }
}

fn state_word(state: SourceState) -> &'static str {
    match state {
        SourceState::Online => "online",
        SourceState::Suspended => "suspended",
        SourceState::Ejected => "ejected",
        SourceState::Absent => "absent",
    }
}
