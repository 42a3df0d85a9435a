//! Sources of imports while they are read: here, or by a courier.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use mediafs_platform::wanted::{GivesWay, Until};

use crate::catalog::{Evidence, ProbeRecord};
use crate::library::disk::evidence_of;
use crate::library::engine::Engine;
use crate::library::probing::read_facts;

use super::Outcome;
use super::gather::{Source, Through};
use super::remote::RemoteFile;

/// A source that is read.
pub(super) enum Reading<'e> {
    Here(File, ProbeRecord),
    /// Until another program waits for it.
    GivingWay(GivesWay, ProbeRecord),
    There(RemoteFile<'e>),
}

impl<'e> Reading<'e> {
    pub(super) fn open(
        engine: &'e Engine,
        file: &'e Source,
        cancel: &'e AtomicBool,
    ) -> Result<(Self, Evidence), Outcome> {
        match &file.through {
            Through::Here => {
                let (mut opened, evidence, record) = read_source(engine, file)?;
                opened
                    .seek(SeekFrom::Start(0))
                    .map_err(|error| Outcome::Failed(format!("it cannot be read: {error}")))?;
                Ok((Self::Here(opened, record), evidence))
            }
            Through::Courier(source) => {
                let remote = RemoteFile::open(engine, file, source, cancel)?;
                let evidence = remote.evidence();
                Ok((Self::There(remote), evidence))
            }
        }
    }

    /// From now on it is in the way of no program that saves the file: reading fails as soon as one waits for that.
    pub(super) fn giving_way(self) -> Self {
        match self {
            Self::Here(file, record) => Self::GivingWay(GivesWay::new(file), record),
            other => other,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        matches!(self, Self::GivingWay(reading, _) if reading.wanted.is_wanted())
    }

    /// What was read is what was there from the beginning to the end.
    pub(super) fn is_unchanged(&self, evidence: &Evidence) -> bool {
        match self {
            Self::Here(file, _) => evidence_of(file).ok() == Some(*evidence),
            Self::GivingWay(reading, _) => evidence_of(&reading.file).ok() == Some(*evidence),
            Self::There(remote) => remote.is_unchanged(),
        }
    }

    /// What it is; of what a courier has read, by its copy.
    pub(super) fn record(self, file: &Source, copy: &mut File) -> Result<ProbeRecord, Outcome> {
        match self {
            Self::Here(_, record) | Self::GivingWay(_, record) => Ok(record),
            Self::There(_) => {
                let name = file.source.file_name().unwrap_or_default();
                media(read_named(copy, name)?, file.named)
            }
        }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(file, _) => file.read(into),
            Self::GivingWay(GivesWay { file, wanted }, _) => {
                Until::new(file, &|| wanted.is_wanted()).read(into)
            }
            Self::There(remote) => remote.read(into),
        }
    }
}

fn read_named(file: &mut File, name: &OsStr) -> Result<ProbeRecord, Outcome> {
    read_facts(file, name.as_encoded_bytes())
        .map_err(|error| Outcome::Failed(format!("it cannot be read: {error}")))
}

/// Refuses what is no media.
pub(super) fn media(record: ProbeRecord, named: bool) -> Result<ProbeRecord, Outcome> {
    match record {
        ProbeRecord::Problem(reason) => Err(Outcome::Failed(reason)),
        ProbeRecord::NotMedia if named => Err(Outcome::Failed("not a media file".to_owned())),
        ProbeRecord::NotMedia => Err(Outcome::Skipped("not a media file".to_owned())),
        media @ ProbeRecord::Media { .. } => Ok(media),
    }
}

/// Opens a source and reads what it is.
pub(super) fn read_source(
    engine: &Engine,
    file: &Source,
) -> Result<(File, Evidence, ProbeRecord), Outcome> {
    let failed = |error: io::Error| Outcome::Failed(format!("it cannot be read: {error}"));
    let (Some(parent), Some(name)) = (file.source.parent(), file.source.file_name()) else {
        return Err(Outcome::Failed("not a file".to_owned()));
    };
    let (mut opened, evidence) = engine
        .root_here(parent)
        .and_then(|root| root.file(Path::new(name)))
        .map_err(failed)?;
    let record = media(read_named(&mut opened, name)?, file.named)?;
    Ok((opened, evidence, record))
}
