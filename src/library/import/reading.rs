//! Sources of imports while they are read: here, or by a courier.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mediafs_platform::wanted::GivesWay;

use crate::catalog::{Evidence, ProbeRecord};
use crate::library::disk::evidence_of;
use crate::library::engine::Engine;
use crate::library::probing::{read_facts, read_unless};

use super::Outcome;
use super::gather::{Source, Through};
use super::remote::RemoteFile;

/// How often a source is tried that another program waits for, or that changes while it is read, and how soon again.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(250);

/// The times that such a source is tried, each but the first after a pause.
pub(super) fn tries() -> impl Iterator<Item = ()> {
    (0..TRIES).map(|tried| {
        if tried > 0 {
            std::thread::sleep(PAUSE);
        }
    })
}

/// A source that is read.
pub(super) enum Reading<'e> {
    /// In the way of no program that saves the file: reading fails as soon as one waits for that.
    Here(GivesWay, ProbeRecord),
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
                    .file
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

    /// Whether another program waits for it to be closed.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self, Self::Here(reading, _) if reading.wanted.is_wanted())
    }

    /// What was read is what was there from the beginning to the end.
    pub(super) fn is_unchanged(&self, evidence: &Evidence) -> bool {
        match self {
            Self::Here(reading, _) => evidence_of(&reading.file).ok() == Some(*evidence),
            Self::There(remote) => remote.is_unchanged(),
        }
    }

    /// What it is; of what a courier has read, by its copy.
    pub(super) fn record(self, file: &Source, copy: &mut File) -> Result<ProbeRecord, Outcome> {
        match self {
            Self::Here(_, record) => Ok(record),
            Self::There(_) => {
                let name = file.source.file_name().unwrap_or_default();
                let record = read_facts(copy, name.as_encoded_bytes()).map_err(cannot_read)?;
                media(record, file.named)
            }
        }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(reading, _) => reading.read(into),
            Self::There(remote) => remote.read(into),
        }
    }
}

fn cannot_read(error: io::Error) -> Outcome {
    Outcome::Failed(format!("it cannot be read: {error}"))
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

/// Opens a source and reads what it is. A program that waits for it meanwhile has it first.
pub(super) fn read_source(
    engine: &Engine,
    file: &Source,
) -> Result<(GivesWay, Evidence, ProbeRecord), Outcome> {
    let (Some(parent), Some(name)) = (file.source.parent(), file.source.file_name()) else {
        return Err(Outcome::Failed("not a file".to_owned()));
    };
    for () in tries() {
        let (opened, evidence) = engine
            .root_here(parent)
            .and_then(|root| root.file(Path::new(name)))
            .map_err(cannot_read)?;
        let mut reading = GivesWay::new(opened);
        let GivesWay {
            file: opened,
            wanted,
        } = &mut reading;
        let read = read_unless(opened, name.as_encoded_bytes(), &|| wanted.is_wanted());
        if let Some(record) = read.map_err(cannot_read)? {
            return Ok((reading, evidence, media(record, file.named)?));
        }
    }
    Err(Outcome::Failed(
        "another program waits for it; try again when that is done".to_owned(),
    ))
}
