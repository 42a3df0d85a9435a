//! `media.json`, the manifest of a project: which project this folder is.
//!
//! Version 1 holds `format`, `version`, `projectId` and `name`; whatever else is in it belongs to others and stays. It
//! may come from a stranger: it is read up to a size, never through a link, checked field by field, and never written
//! over. Made where there is none, whole or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::model::{MediaId, ProjectId};

/// The manifest's name in the project's folder.
const FILE: &str = "media.json";
/// What `format` says.
const FORMAT: &str = "mediafs-project";
/// The newest version that is known here.
const VERSION: u64 = 1;
/// Longer manifests are not read, in bytes.
const LONGEST: u64 = 64 << 20;
/// Longest name of a project, in bytes.
const LONGEST_NAME: usize = 1024;

/// What `media.json` says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    format: String,
    version: u64,
    /// The project's id.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// What others have written there.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// Why there is no manifest to go by. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It could not be read or made.
    #[error("{} cannot be {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `made`.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Longer than any manifest.
    #[error("{} is too long for a project's manifest ({size} bytes); put back a copy of it", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size, in bytes.
        size: u64,
    },
    /// Not JSON, or without the fields that a manifest has.
    #[error("{} is damaged, it was left as it is; put back a copy of it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// JSON of something else, or a field that can't be so.
    #[error("{} is no manifest of a project: {reason}", path.display())]
    NotAManifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer mediafs wrote it.
    #[error(
        "{} is of version {found}, this mediafs knows versions up to {VERSION}; use the newer mediafs",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

impl Manifest {
    /// The manifest in `folder`; one with a new id and this name is made where there is none.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn find_or_make(folder: &Path, name: &str) -> Result<Self, ManifestError> {
        let path = folder.join(FILE);
        let failed = |doing| {
            let path = path.clone();
            move |source: io::Error| ManifestError::Io {
                path,
                doing,
                source,
            }
        };
        let opened = open_folder(folder).map_err(failed("read"))?;
        // Twice: somebody may make one at the same time, and theirs counts.
        for _ in 0..2 {
            match read(&opened) {
                Ok(Some((text, size))) => return Self::parse(&path, &text, size),
                Ok(None) => {}
                Err(source) => return Err(failed("read")(source)),
            }
            let made = Self {
                format: FORMAT.to_owned(),
                version: VERSION,
                project_id: ProjectId::new(),
                name: name.to_owned(),
                rest: serde_json::Map::new(),
            };
            match made.write(&opened) {
                Ok(()) => return Ok(made),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("made")(error)),
            }
        }
        Err(failed("read")(io::Error::from(io::ErrorKind::NotFound)))
    }

    fn parse(path: &Path, text: &[u8], size: u64) -> Result<Self, ManifestError> {
        let path = path.to_owned();
        if size > LONGEST {
            return Err(ManifestError::TooLong { path, size });
        }
        // The version first: a newer one may have other fields.
        let value: serde_json::Value = match serde_json::from_slice(text) {
            Ok(value) => value,
            Err(source) => return Err(ManifestError::Damaged { path, source }),
        };
        let not = |path, reason: &str| ManifestError::NotAManifest {
            path,
            reason: reason.to_owned(),
        };
        if value.get("format").and_then(|f| f.as_str()) != Some(FORMAT) {
            return Err(not(path, "its format is not \"mediafs-project\""));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(found) if found > VERSION => return Err(ManifestError::Newer { path, found }),
            Some(1..) => {}
            _ => return Err(not(path, "its version is no number from 1")),
        }
        // From the text again, so that a field that is there twice is an error.
        let manifest: Self = match serde_json::from_slice(text) {
            Ok(manifest) => manifest,
            Err(source) => return Err(ManifestError::Damaged { path, source }),
        };
        if !is_id(&manifest.project_id.0) {
            let reason = "its projectId is not 1 to 64 letters, digits, '_' or '-'";
            return Err(not(path, reason));
        }
        if !is_name(&manifest.name) {
            return Err(not(path, "its name is not 1 to 1,024 bytes long"));
        }
        Ok(manifest)
    }

    fn write(&self, folder: &OwnedFd) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let temporary = format!(".{FILE}.{}", uuid::Uuid::now_v7().simple());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let opened = rustix::fs::openat(folder, &temporary, flags, mode)?;
        let mut file = File::from(opened);
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        let named = written.and_then(|()| name_it(folder, &temporary));
        match rustix::fs::unlinkat(folder, &temporary, AtFlags::empty()) {
            // It was renamed.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        named?;
        match rustix::fs::fsync(folder) {
            // Some file systems of programs can't.
            Ok(()) | Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Can be the id of a project.
pub(crate) fn is_id(id: &str) -> bool {
    id.parse::<MediaId>().is_ok()
}

/// Can be the name of a project.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
}

/// Gives the manifest its name, over no other file.
fn name_it(folder: &OwnedFd, temporary: &str) -> io::Result<()> {
    match rustix::fs::linkat(folder, temporary, folder, FILE, AtFlags::empty()) {
        // FAT, and programs that serve file systems, have no second names.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {}
        other => return Ok(other?),
    }
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(folder, temporary, folder, FILE, flags) {
        // Nor this: then there is a moment in which another's may come.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return Ok(other?),
    }
    match rustix::fs::statat(folder, FILE, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(Errno::NOENT) => Ok(rustix::fs::renameat(folder, temporary, folder, FILE)?),
        Err(error) => Err(error.into()),
    }
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

/// The text of the manifest (cut where it is too long) and its size, if there is one.
fn read(folder: &OwnedFd) -> io::Result<Option<(Vec<u8>, u64)>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(folder, FILE, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = opened.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut text = Vec::new();
    opened.take(LONGEST + 1).read_to_end(&mut text)?;
    let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
    Ok(Some((text, size.max(found.len()))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(Path::new("media.json"), text.as_bytes(), text.len() as u64)
    }

    #[test]
    fn a_manifest_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let made = Manifest::find_or_make(folder.path(), "Song").unwrap();
        let found = Manifest::find_or_make(folder.path(), "Other").unwrap();
        assert_eq!(made, found);
        assert_eq!(found.name, "Song");
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "no temporary file is left");
    }

    #[test]
    fn fields_of_others_are_kept() {
        let text = r#"{"format":"mediafs-project","version":1,"projectId":"p-1","name":"Song","x":[1,{"y":2}]}"#;
        let manifest = parse(text).unwrap();
        assert_eq!(manifest.project_id, ProjectId("p-1".to_owned()));
        assert_eq!(manifest.rest["x"][1]["y"], 2);
        let again = serde_json::to_string(&manifest).unwrap();
        assert_eq!(parse(&again).unwrap(), manifest);
    }

    #[test]
    fn hostile_manifests_are_clear_errors() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let long_name = format!(
            r#"{{"format":"mediafs-project","version":1,"projectId":"p","name":"{}"}}"#,
            "x".repeat(2000)
        );
        for damaged in [
            "",
            "{",
            "\0\0",
            &deep,
            r#"{"format":"mediafs-project","version":1}"#,
            r#"{"format":"mediafs-project","version":1,"projectId":"a","projectId":"b","name":"x"}"#,
        ] {
            assert!(
                matches!(parse(damaged), Err(ManifestError::Damaged { .. })),
                "{:.80}",
                damaged
            );
        }
        for other in [
            "[]",
            "{}",
            r#"{"format":"other"}"#,
            r#"{"format":"mediafs-project","version":-1}"#,
            r#"{"format":"mediafs-project","version":1e99}"#,
            r#"{"format":"mediafs-project","version":1,"projectId":"../../etc","name":"x"}"#,
            r#"{"format":"mediafs-project","version":1,"projectId":"p","name":""}"#,
            &long_name,
        ] {
            assert!(
                matches!(parse(other), Err(ManifestError::NotAManifest { .. })),
                "{:.80}",
                other
            );
        }
        let newer = r#"{"format":"mediafs-project","version":2,"everything":"else"}"#;
        assert!(matches!(
            parse(newer),
            Err(ManifestError::Newer { found: 2, .. })
        ));
        let size = LONGEST + 1;
        let too_long = Manifest::parse(Path::new("x"), b"{}", size);
        assert!(matches!(too_long, Err(ManifestError::TooLong { .. })));
    }

    #[test]
    fn a_broken_manifest_is_never_written_over_nor_a_link_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "{ broken").unwrap();
        assert!(Manifest::find_or_make(folder.path(), "x").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"{ broken");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(Manifest::find_or_make(folder.path(), "x").is_err());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert!(Manifest::find_or_make(folder.path(), "x").is_err());
    }
}
