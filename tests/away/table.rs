//! The table "What an open gives", row by row and column by column.

use std::time::Duration;

use mediafs::config::Deadlines;
use mediafs::model::{Availability, SourceKind, SourceState};
use mediafs::tree::class::Class;
use mediafs::tree::node::Face;
use mediafs_cache::StoreOptions;
use mediafs_platform::drive::{Content, DriveError};

use super::courier::Manner;
use super::noise::wav;
use super::programs::{NOBODY, Program};
use super::support::sounds;
use super::world::{DEADLINES, File, Known, Place, World};

/// What a program gets, reading all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gets {
    Bytes,
    Silence,
    /// The open fails.
    No(DriveError),
    /// The open goes well, and the first read fails.
    FailsToRead(DriveError),
}

use Gets::{Bytes, FailsToRead, No, Silence};

const CLASSES: [Class; 4] = [Class::Player, Class::Loader, Class::Copier, Class::Indexer];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Its silence has the same layout.
    Wav,
    /// Its silence has not.
    Flac,
    /// Only its name is known.
    Unread,
    /// No media.
    Sfz,
}

fn put(world: &World, at: Place, form: Form, seed: u64) -> File {
    match form {
        Form::Wav => world.put(
            at,
            &format!("{seed}.wav"),
            &wav(16, 9000, seed),
            Known::Facts,
        ),
        Form::Flac => {
            let path = world.folder.path().join(format!("{seed}.flac"));
            sounds::tone(&path, 300 + u32::try_from(seed).unwrap());
            let bytes = std::fs::read(path).unwrap();
            world.put(at, &format!("{seed}.flac"), &bytes, Known::Facts)
        }
        Form::Unread => world.put(
            at,
            &format!("{seed}.wav"),
            &wav(16, 9000, seed),
            Known::Name,
        ),
        Form::Sfz => {
            let text = format!("<region> sample=kick-{seed}.wav");
            world.put(at, &format!("{seed}.sfz"), text.as_bytes(), Known::NoMedia)
        }
    }
}

fn gets(world: &World, file: &File, class: Class) -> Gets {
    let handle = match world.open(file, class) {
        Ok(handle) => handle,
        Err(error) => return No(error),
    };
    assert_eq!(handle.entry.attributes.size, file.bytes.len() as u64);
    let gets = match world.read_all(&handle) {
        Err(error) => FailsToRead(error),
        Ok(read) if read == file.bytes => Bytes,
        Ok(read) => {
            assert_eq!(read, world.silence(file), "neither the bytes nor silence");
            Silence
        }
    };
    world.close(handle);
    gets
}

/// What each class gets of each form, of a file of its own each.
fn check(
    deadlines: Deadlines,
    kind: SourceKind,
    prepare: impl Fn(&World, Place, &File),
    rows: &[(Form, [Gets; 4])],
) {
    let world = World::with(deadlines, StoreOptions::default());
    let mut seed = 1;
    for (form, row) in rows {
        for (class, expected) in CLASSES.into_iter().zip(row) {
            seed += 1;
            // Of its own, so that no miss on one says anything of the other.
            let at = world.source(kind);
            let file = put(&world, at, *form, seed);
            prepare(&world, at, &file);
            assert_eq!(
                gets(&world, &file, class),
                *expected,
                "{form:?} for a {class:?}"
            );
        }
    }
    world.nothing_is_left();
}

/// Where what comes is to be seen, however slow the machine is.
const PATIENT: Deadlines = Deadlines {
    player: Duration::from_secs(20),
    loader: Duration::from_secs(20),
    copier: Duration::from_secs(20),
};

const MISSING: Gets = No(DriveError::Missing);
const NOT_NOW: Gets = No(DriveError::NotNow);

#[test]
fn what_is_on_a_source_that_answers() {
    for kind in [SourceKind::Volume, SourceKind::Network, SourceKind::Cloud] {
        check(
            PATIENT,
            kind,
            |_, _, _| {},
            &[
                (Form::Wav, [Bytes, Bytes, Bytes, NOT_NOW]),
                (Form::Flac, [Bytes, Bytes, Bytes, NOT_NOW]),
                (Form::Unread, [MISSING, Bytes, Bytes, NOT_NOW]),
                (Form::Sfz, [Bytes, Bytes, Bytes, NOT_NOW]),
            ],
        );
    }
}

#[test]
fn what_is_on_a_source_that_hangs() {
    let late = FailsToRead(DriveError::TimedOut);
    check(
        DEADLINES,
        SourceKind::Volume,
        |world, at, _| world.be(at, Manner::Hangs),
        &[
            (Form::Wav, [Silence, Silence, late, NOT_NOW]),
            (Form::Flac, [Silence, Silence, late, NOT_NOW]),
            (Form::Unread, [MISSING, late, late, NOT_NOW]),
            (Form::Sfz, [late, late, late, NOT_NOW]),
        ],
    );
}

#[test]
fn what_is_online_only() {
    check(
        PATIENT,
        SourceKind::Cloud,
        |world, _, file| {
            if file.item.is_some() {
                world.set_online_only(file);
                let row = world.row(file);
                assert_eq!(row.availability, Availability::RemoteFetching);
            }
        },
        &[
            (Form::Wav, [Bytes, Bytes, Bytes, NOT_NOW]),
            (Form::Flac, [Bytes, Bytes, Bytes, NOT_NOW]),
            (Form::Unread, [MISSING, Bytes, Bytes, NOT_NOW]),
            (Form::Sfz, [Bytes, Bytes, Bytes, NOT_NOW]),
        ],
    );
    let late = FailsToRead(DriveError::TimedOut);
    check(
        DEADLINES,
        SourceKind::Cloud,
        |world, at, file| {
            world.be(at, Manner::Hangs);
            world.set_online_only(file);
            assert_eq!(world.row(file).availability, Availability::RemoteFetching);
        },
        &[
            (Form::Wav, [Silence, Silence, late, NOT_NOW]),
            (Form::Flac, [Silence, Silence, late, NOT_NOW]),
            (Form::Unread, [MISSING, late, late, NOT_NOW]),
        ],
    );
}

#[test]
fn what_is_on_a_source_that_is_away() {
    for state in [
        SourceState::Suspended,
        SourceState::Ejected,
        SourceState::Absent,
    ] {
        let away = No(DriveError::NoMedium);
        check(
            DEADLINES,
            SourceKind::Volume,
            |world, at, _| world.set_state(at, state),
            &[
                (Form::Wav, [Silence, Silence, away, NOT_NOW]),
                (Form::Flac, [Silence, Silence, away, NOT_NOW]),
                (Form::Unread, [MISSING, away, away, NOT_NOW]),
                (Form::Sfz, [away, away, away, NOT_NOW]),
            ],
        );
        let away = No(DriveError::Unreachable);
        check(
            DEADLINES,
            SourceKind::Cloud,
            |world, at, file| {
                if file.item.is_some() {
                    world.set_online_only(file);
                }
                world.set_state(at, state);
            },
            &[
                (Form::Wav, [Silence, Silence, away, NOT_NOW]),
                (Form::Flac, [Silence, Silence, away, NOT_NOW]),
                (Form::Unread, [MISSING, away, away, NOT_NOW]),
                (Form::Sfz, [away, away, away, NOT_NOW]),
            ],
        );
    }
}

/// It goes away between the open and the read.
#[test]
fn what_goes_away_while_it_is_open() {
    for (kind, online_only, away) in [
        (SourceKind::Volume, false, DriveError::NoMedium),
        (SourceKind::Cloud, true, DriveError::Unreachable),
    ] {
        let world = World::new();
        let at = world.source(kind);
        world.be(at, Manner::Hangs);
        let file = put(&world, at, Form::Wav, 1);
        if online_only {
            world.set_online_only(&file);
        }
        let copier = world.open(&file, Class::Copier).unwrap();
        let player = world.open(&file, Class::Player).unwrap();
        world.set_state(at, SourceState::Absent);
        assert_eq!(world.read(&copier, 0, 100), Err(away));
        assert_eq!(world.read_all(&player).unwrap(), world.silence(&file));
        world.close(copier);
        world.close(player);
        world.nothing_is_left();
    }
}

#[test]
fn what_is_missing() {
    let missing = [Silence, Silence, MISSING, MISSING];
    check(
        DEADLINES,
        SourceKind::Volume,
        |world, _, file| {
            world.gone(file);
            assert_eq!(world.row(file).availability, Availability::Missing);
        },
        &[
            (Form::Wav, missing),
            (Form::Flac, missing),
            (Form::Unread, [MISSING; 4]),
        ],
    );
}

#[test]
fn what_is_in_the_cache() {
    let states = [
        SourceState::Online,
        SourceState::Suspended,
        SourceState::Absent,
    ];
    for state in states {
        check(
            DEADLINES,
            SourceKind::Cloud,
            |world, at, file| {
                world.bring(file);
                world.set_state(at, state);
            },
            &[
                (Form::Wav, [Bytes; 4]),
                (Form::Flac, [Bytes; 4]),
                (Form::Unread, [Bytes; 4]),
                (Form::Sfz, [Bytes; 4]),
            ],
        );
    }
    check(
        DEADLINES,
        SourceKind::Volume,
        |world, _, file| {
            world.bring(file);
            world.gone(file);
        },
        &[(Form::Wav, [Bytes; 4]), (Form::Unread, [Bytes; 4])],
    );
}

#[test]
fn what_has_a_twin_on_trusted_storage() {
    check(
        DEADLINES,
        SourceKind::Volume,
        |world, at, file| {
            world.twin(file);
            world.be(at, Manner::Hangs);
        },
        &[(Form::Wav, [Bytes; 4])],
    );
    check(
        DEADLINES,
        SourceKind::Volume,
        |world, at, file| {
            world.twin(file);
            world.set_state(at, SourceState::Absent);
        },
        &[(Form::Wav, [Bytes; 4])],
    );
}

#[test]
fn bytes_at_hand_are_given_as_files() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    let file = put(&world, at, Form::Wav, 1);
    world.bring(&file);
    for class in CLASSES {
        let handle = world.open(&file, class).unwrap();
        assert_eq!(handle.face(), Some(Face::Bytes));
        assert!(matches!(handle.content, Content::File(_)));
        world.close(handle);
    }
}

/// The door decides for whoever is unknown, names and registration for the others.
#[test]
fn who_asks_decides_through_each_door() {
    let world = World::new();
    let at = world.source(SourceKind::Volume);
    world.be(at, Manner::Hangs);
    let known = put(&world, at, Form::Wav, 1);
    let unread = put(&world, at, Form::Unread, 2);
    let unknown = Program::named(&world, "unknown-sampler");
    let player = Program::registered(&world, Class::Player);
    let copier = Program::named(&world, "cp");
    let indexer = Program::named(&world, "tracker-extract-3");

    let face = |file: &File, by_id: bool, by: &_| {
        let handle = if by_id {
            world.open_by_id(file, by)
        } else {
            world.open_in_library(file, by)
        };
        handle.map(|handle| {
            let face = handle.face().unwrap();
            world.close(handle);
            face
        })
    };
    for by_id in [true, false] {
        assert_eq!(face(&known, by_id, &player.asks()), Ok(Face::Stream));
        assert_eq!(
            face(&unread, by_id, &player.asks()),
            Err(DriveError::Missing)
        );
        assert_eq!(face(&known, by_id, &copier.asks()), Ok(Face::Withheld));
        assert_eq!(face(&unread, by_id, &copier.asks()), Ok(Face::Withheld));
        assert_eq!(
            face(&known, by_id, &indexer.asks()),
            Err(DriveError::NotNow)
        );
        // Who can't be seen is a copier.
        assert_eq!(face(&known, by_id, &NOBODY), Ok(Face::Withheld));
    }
    assert_eq!(face(&known, true, &unknown.asks()), Ok(Face::Stream));
    assert_eq!(
        face(&unread, true, &unknown.asks()),
        Err(DriveError::Missing)
    );
    assert_eq!(face(&known, false, &unknown.asks()), Ok(Face::Withheld));
    assert_eq!(
        face(&unread, false, &unknown.asks()),
        Ok(Face::Withheld),
        "outside by-id/ the unknown wait for what was never read"
    );

    let strict = player.process();
    world
        .requesters
        .set_mode(strict.id, strict.started, true)
        .unwrap();
    assert_eq!(face(&known, true, &player.asks()), Ok(Face::Withheld));
}

/// Looking does not touch, nor does opening for who waits: only a read does.
#[test]
fn who_waits_starts_nothing_before_it_reads() {
    let world = World::new();
    let at = world.source(SourceKind::Cloud);
    let file = put(&world, at, Form::Wav, 1);
    world.set_online_only(&file);
    let handle = world.open(&file, Class::Copier).unwrap();
    world.open(&file, Class::Indexer).unwrap_err();
    world.read(&handle, file.bytes.len() as u64, 100).unwrap();
    assert!(world.hydrator.tasks().is_empty());
    assert_eq!(world.couriers.reads(file.place), 0);
    world.read(&handle, 0, 100).unwrap();
    assert_eq!(world.hydrator.tasks().len(), 1);
    world.close(handle);
}

#[test]
fn opening_for_a_player_starts_to_bring_it() {
    let world = World::new();
    let at = world.source(SourceKind::Cloud);
    for (form, online_only) in [
        (Form::Wav, false),
        (Form::Wav, true),
        (Form::Flac, false),
        (Form::Unread, true),
    ] {
        let file = put(&world, at, form, 7 + world.hydrator.tasks().len() as u64);
        if online_only {
            world.set_online_only(&file);
        }
        if let Ok(handle) = world.open(&file, Class::Player) {
            world.close(handle);
        }
        world.settle(|| world.is_known_to_be_cached(&file));
        assert_eq!(gets(&world, &file, Class::Player), Bytes);
    }
}
