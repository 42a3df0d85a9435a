//! A process that writes to the catalog is killed in the midst of it; whatever it was told is on disk must be there.
//!
//! The child is this test again, told by its environment to write and to print a line for each acknowledged write.
//! The parent kills it after a while, opens the catalog anew and looks for every acknowledged item, name and tag.
//! It refuses to pass when nothing was acknowledged, or when the child was not in the midst of writing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mediafs::catalog::{
    Catalog, CatalogError, Durability, Evidence, FolderNo, Nanoseconds, Observation, Observed,
    PlaceKind, ProbeRecord, Writer,
};
use mediafs::model::{Codec, Confidence, Container, Format, Kind, MediaId, Tag, TagSource};
use mediafs::silence::Capsule;

const HOME: &str = "MEDIAFS_TEST_CRASH_HOME";
const ROUNDS: u64 = 6;

/// Killed whatever happens to the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn observation(size: u64) -> Observation {
    Observation {
        kind: PlaceKind::File,
        evidence: Evidence {
            device: 1,
            inode: size,
            size,
            modified: Nanoseconds(1),
            changed: Nanoseconds(2),
            born: None,
            permissions: 0o644,
        },
    }
}

fn sound() -> ProbeRecord {
    ProbeRecord::Media {
        kind: Kind::Audio,
        format: Format {
            container: Container::Wav,
            codec: Some(Codec("pcm_s16le".to_owned())),
            sample_rate: Some(48_000),
            channels: Some(1),
            bit_depth: Some(16),
            float: false,
            frames: Some(1000),
            duration_seconds: None,
        },
        attributes: Vec::new(),
        notes: Vec::new(),
        capsule: Some(Capsule {
            bytes: vec![7; 500],
        }),
        fingerprint: [0; 32],
    }
}

fn add(writer: &mut Writer, top: FolderNo, name: &str, size: u64) -> Result<MediaId, CatalogError> {
    let observed = writer.observe(top, OsStr::new(name), &observation(size))?;
    let (Observed::New(place)
    | Observed::Changed(place)
    | Observed::Unchanged(place)
    | Observed::Returned(place)) = observed;
    let item = writer.record_probe(place, 1, &sound())?.unwrap();
    Ok(writer.reader().item(item)?.unwrap().media_id)
}

/// Writes until it is killed: items as a scan does, names and tags as a user does.
fn write_for_ever(home: &Path) -> ! {
    let catalog = Catalog::open(home).unwrap();
    let base = catalog
        .write(Durability::Full, |w: &mut Writer| {
            w.add_library("Samples", Path::new("/srv/samples"))
        })
        .unwrap();
    let already = catalog.reader().unwrap().counts().unwrap().places;
    let mut out = std::io::stdout().lock();
    for n in already.. {
        let name = format!("{n}.wav");
        // Ids that a scan gives are acknowledged as well as any.
        let id = catalog
            .write(Durability::Normal, |w| add(w, base.top, &name, n))
            .unwrap();
        writeln!(out, "added {id}").unwrap();
        let item = catalog
            .reader()
            .unwrap()
            .item_by_id(&id)
            .unwrap()
            .unwrap()
            .row;
        let tag = Tag {
            name: format!("tag of {n}"),
            source: TagSource::User,
            confidence: Confidence::CERTAIN,
        };
        catalog
            .write(Durability::Full, |w| {
                w.tag(item, &tag)?;
                w.rename(item, &format!("renamed {n}.wav"))
            })
            .unwrap();
        writeln!(out, "named {id} {n}").unwrap();
        // Not acknowledged: half of a pair that must never be seen apart.
        catalog
            .write(Durability::Full, |w| {
                add(w, base.top, &format!("left {n}.wav"), n)?;
                add(w, base.top, &format!("right {n}.wav"), n).map(|_| ())
            })
            .unwrap();
    }
    unreachable!("numbers do not end")
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if let Some(home) = std::env::var_os(HOME) {
        write_for_ever(&PathBuf::from(home));
    }
    let home = tempfile::TempDir::new().unwrap();
    let mut added: Vec<MediaId> = Vec::new();
    let mut named: Vec<(MediaId, String)> = Vec::new();
    for round in 0..ROUNDS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "what_was_acknowledged_survives_a_kill",
                "--nocapture",
            ])
            .env(HOME, home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        let mut take = |line: String| {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["added", id] => added.push(id.parse().unwrap()),
                ["named", id, n] => named.push((id.parse().unwrap(), (*n).to_owned())),
                _ => return 0,
            }
            1
        };
        while acknowledged < 10 {
            let line = lines.next().expect("the child ended by itself").unwrap();
            acknowledged += take(line);
        }
        std::thread::sleep(Duration::from_millis(37 * round + round * round));
        assert!(
            child.0.try_wait().unwrap().is_none(),
            "the child ended by itself"
        );
        child.0.kill().unwrap();
        // What it said before it died; the last line may be torn.
        let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
        if let Some(last) = rest.last()
            && last.split(' ').nth(1).is_none_or(|id| id.len() < 36)
        {
            rest.pop();
        }
        for line in rest {
            take(line);
        }
        drop(child);
        verify(home.path(), &added, &named);
    }
    assert!(
        added.len() >= 30 && named.len() >= 20,
        "too little was exercised: {} items, {} names",
        added.len(),
        named.len()
    );
    let different: HashSet<&MediaId> = added.iter().collect();
    assert_eq!(different.len(), added.len(), "an id was given twice");
}

fn verify(home: &Path, added: &[MediaId], named: &[(MediaId, String)]) {
    let catalog = Catalog::open(home).unwrap();
    assert_eq!(catalog.notes(), Vec::<String>::new());
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    let reader = catalog.reader().unwrap();
    for id in added {
        let item = reader.item_by_id(id).unwrap();
        assert!(item.is_some(), "the item {id} was lost");
    }
    for (id, n) in named {
        let item = reader.item_by_id(id).unwrap().unwrap();
        let whole = reader.media_item(item.row).unwrap().unwrap();
        assert_eq!(whole.name, format!("renamed {n}.wav"));
        assert_eq!(whole.tags[0].name, format!("tag of {n}"));
        assert_eq!(
            reader.names(item.row).unwrap(),
            [format!("renamed {n}.wav"), format!("{n}.wav")]
        );
    }
    let count = |word: &str| reader.search_numbers(word, 0, u32::MAX).unwrap().len();
    assert_eq!(count("left"), count("right"), "half of a pair");
}
