//! The drive by NFS, with programs of libnfs as clients: the tree, true bytes or an error, the drop box; and with a client of
//! the test's own for what those do not say.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod client;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use client::{Client, Handle, Words};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::sounds::wav;
use support::{Home, Mounted, path_of, show, wait_until};

const SOON: Duration = Duration::from_secs(15);
/// A file that was written by NFS counts as closed after 45 s.
const CLOSED: Duration = Duration::from_secs(100);

const NO_SUCH: u32 = 2;
const IO: u32 = 5;
const READ_ONLY: u32 = 30;
const STALE: u32 = 70;
const TOO_SMALL: u32 = 10_005;

/// A drive that is exported, and where it is found.
struct Exported<'a> {
    home: &'a Home,
    _daemon: Mounted<'a>,
    port: u16,
    path: String,
}

impl<'a> Exported<'a> {
    fn of(home: &'a Home) -> Self {
        let library = home.library();
        let daemon = home.mount_with(&[
            "--transport".as_ref(),
            "nfs".as_ref(),
            "--library".as_ref(),
            library.as_os_str(),
        ]);
        let status = home.json(["status"]);
        assert_eq!(status["mount"]["transport"], "nfs", "{status}");
        let url = status["mount"]["url"].as_str().unwrap();
        let rest = url.strip_prefix("nfs://127.0.0.1").unwrap();
        let (path, words) = rest.split_once("/?").unwrap();
        let port = words.rsplit_once('=').unwrap().1.parse().unwrap();
        Self {
            home,
            _daemon: daemon,
            port,
            path: path.to_owned(),
        }
    }

    /// As the programs of libnfs name something on the drive.
    fn url(&self, path: &str) -> String {
        let Self {
            port, path: top, ..
        } = self;
        format!("nfs://127.0.0.1{top}/{path}?version=3&nfsport={port}&mountport={port}")
    }

    fn run(&self, program: &str, words: &[&str]) -> Output {
        Command::new(program).args(words).output().unwrap()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let output = self.run("nfs-ls", &[&self.url(folder)]);
        assert!(output.status.success(), "{}", show(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(last_word).collect()
    }

    /// Copies a file off the drive, as `cp` would.
    fn fetch(&self, path: &str) -> Result<Vec<u8>, Output> {
        let to = self.home.path("fetched");
        let _ = fs::remove_file(&to);
        let output = self.run("nfs-cp", &[&self.url(path), to.to_str().unwrap()]);
        match output.status.success() {
            true => Ok(fs::read(to).unwrap()),
            false => Err(output),
        }
    }

    fn client(&self) -> (Client, Handle) {
        let mut client = Client::connect(self.port);
        let root = client.mount(&self.path).unwrap();
        (client, root)
    }
}

/// The name in a line of `nfs-ls`, behind mode, links, owner, group and size.
fn last_word(line: &str) -> String {
    let mut rest = line.trim_start();
    for _ in 0..5 {
        rest = rest.split_once(' ').unwrap().1.trim_start();
    }
    rest.to_owned()
}

fn find(client: &mut Client, root: &Handle, path: &str) -> Result<Handle, u32> {
    Path::new(path)
        .iter()
        .try_fold(root.clone(), |folder, name| {
            client.look_up(&folder, name.as_encoded_bytes())
        })
}

/// A take that is to be written: its id, where it lies, and its file on the drive.
fn reserved(home: &Home, client: &mut Client, root: &Handle) -> (String, PathBuf, Handle) {
    let words = [
        "reserve", "--kind", "audio", "--name", "Take 1", "--ext", "wav",
    ];
    let reserved = home.json(words);
    let take = find(client, root, "record/Take 1.wav").unwrap();
    let text = |key: &str| reserved[key].as_str().unwrap().to_owned();
    (text("mediaId"), text("staging").into(), take)
}

#[test]
fn all_is_listed_once_and_every_byte_is_true() {
    let home = Home::new();
    let pack = home.library().join("Pack with spaces");
    fs::create_dir(&pack).unwrap();
    // Of several pages.
    let mut wanted = BTreeSet::new();
    for number in 0..1200 {
        let name = format!("{number} ä.wav");
        fs::write(pack.join(&name), wav(50, number)).unwrap();
        wanted.insert(name);
    }
    fs::write(pack.join("large.wav"), wav(700_000, 7)).unwrap();
    wanted.insert("large.wav".to_owned());
    let drive = Exported::of(&home);
    assert_eq!(
        drive.names(""),
        [
            "README.txt",
            "import",
            "record",
            "projects",
            "library",
            "by-id"
        ]
        .map(str::to_owned)
        .to_vec()
    );
    let items = home.wait_for_items(1201);
    let listed = drive.names("library/library/Pack with spaces");
    assert_eq!(listed.len(), wanted.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
    let large = drive.fetch("library/library/Pack with spaces/large.wav");
    assert_eq!(large.unwrap(), wav(700_000, 7));
    for item in items.iter().step_by(100) {
        let source = item["resolvedPath"].as_str().map(PathBuf::from).unwrap();
        assert_eq!(
            drive.fetch(path_of(item)).unwrap(),
            fs::read(source).unwrap()
        );
    }
    assert!(drive.fetch("library/library/none.wav").is_err());
}

#[test]
fn a_listing_goes_on_where_a_part_of_it_ended() {
    let home = Home::new();
    for number in 0..300 {
        fs::write(home.library().join(format!("{number:03}.txt")), "").unwrap();
    }
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let folder = find(&mut client, &root, "library/library").unwrap();
    wait_until(SOON, "all files", || {
        let all = client.list(&folder, 0, 1 << 20).unwrap();
        all.0.len() == 302 && all.1
    });
    let (mut names, mut behind, mut parts) = (Vec::new(), 0, 0);
    loop {
        let (part, is_last) = client.list(&folder, behind, 1000).unwrap();
        behind = part.last().unwrap().1;
        names.extend(part.into_iter().map(|(name, _)| name));
        parts += 1;
        // Another listing that begins meanwhile, and files that go, change nothing about where this one goes on.
        client.list(&folder, 0, 1000).unwrap();
        let gone = home
            .library()
            .join(String::from_utf8(names.last().unwrap().clone()).unwrap());
        if gone.is_file() && parts % 4 == 0 {
            fs::remove_file(&gone).unwrap();
            wait_until(SOON, "a file to be gone", || {
                client.look_up(&folder, names.last().unwrap()) == Err(NO_SUCH)
            });
        }
        if is_last {
            break;
        }
    }
    assert!(parts > 8, "{parts}");
    assert_eq!(names[..2], [&b"."[..], b".."]);
    let wanted: Vec<_> = (0..300)
        .map(|number| format!("{number:03}.txt").into_bytes())
        .collect();
    let mut listed = names.split_off(2);
    listed.sort_unstable();
    assert_eq!(listed, wanted);
    assert_eq!(client.list(&folder, 0, 110), Err(TOO_SMALL));
}

#[test]
fn what_is_granted_and_what_room_there_is_is_that_of_the_drive() {
    let home = Home::new();
    fs::write(home.library().join("kick.wav"), wav(500, 1)).unwrap();
    let drive = Exported::of(&home);
    home.wait_for_items(1);
    let (mut client, root) = drive.client();
    let kick = find(&mut client, &root, "library/library/kick.wav").unwrap();
    // To read, to change, to make longer.
    assert_eq!(client.access(&kick, 0x01 | 0x04 | 0x08), Ok(0x01));
    let (_, _, take) = reserved(&home, &mut client, &root);
    assert_eq!(
        client.access(&take, 0x01 | 0x04 | 0x08),
        Ok(0x01 | 0x04 | 0x08)
    );
    let room = rustix::fs::statvfs(home.path("")).unwrap();
    assert_eq!(client.room(&root).0, room.f_blocks * room.f_frsize);
    // LINK and MKNOD are refused; and that written bytes are to be on the disk is said of them before.
    let library = find(&mut client, &root, "library/library").unwrap();
    let link = Words::default()
        .bytes(&kick)
        .bytes(&library)
        .bytes(b"other.wav");
    assert_eq!(client.change(15, link), READ_ONLY);
    let node = Words::default().bytes(&library).bytes(b"pipe").number(7);
    assert_eq!(client.change(11, node), READ_ONLY);
    assert_eq!(
        client.change(21, Words::default().bytes(&take).long(0).number(0)),
        0
    );
    // What is not there is said to be so.
    assert_eq!(client.unknown(100_003, 3, 22), 3, "no procedure");
    assert_eq!(client.unknown(100_003, 4, 0), 2, "another version");
    assert_eq!(client.unknown(100_227, 3, 0), 1, "no program");
    assert_eq!(client.unknown(100_003, 3, 1), 4, "garbage");
}

#[test]
fn a_missing_sound_is_an_error_but_silence_for_who_says_that_it_plays() {
    let home = Home::new();
    let path = home.library().join("kick.wav");
    fs::write(&path, wav(5000, 1)).unwrap();
    let drive = Exported::of(&home);
    let item = home.wait_for_items(1).remove(0);
    let by_id = path_of(&item).to_owned();
    assert_eq!(drive.fetch(&by_id).unwrap(), wav(5000, 1));
    fs::remove_file(&path).unwrap();
    wait_until(SOON, "the sound to be missing", || {
        home.item("kick.wav")["availability"] == "missing"
    });
    // Also by the players' door: nobody knows who asks.
    assert!(drive.fetch(&by_id).is_err());
    let (mut client, root) = drive.client();
    let file = find(&mut client, &root, &by_id).unwrap();
    assert_eq!(client.read(&file, 0, 1000), Err(IO));
    let silence = drive.fetch(&format!(".as/player/{by_id}")).unwrap();
    assert_eq!(silence.len(), wav(5000, 1).len());
    assert!(silence[44..].iter().all(|byte| *byte == 0));
    // What comes back is heard by who looks the name up again.
    fs::write(&path, wav(5000, 1)).unwrap();
    wait_until(SOON, "the sound to be back", || {
        drive.fetch(&by_id).is_ok_and(|bytes| bytes == wav(5000, 1))
    });
}

#[test]
fn what_is_put_into_the_drop_box_becomes_a_sound_and_all_else_is_read_only() {
    let home = Home::new();
    fs::write(home.library().join("kick.wav"), wav(500, 1)).unwrap();
    let drive = Exported::of(&home);
    home.wait_for_items(1);
    let new = home.path("new.wav");
    fs::write(&new, wav(90_000, 5)).unwrap();
    let put = |to: &str| drive.run("nfs-cp", &[new.to_str().unwrap(), &drive.url(to)]);
    let output = put("import/new.wav");
    assert!(output.status.success(), "{}", show(&output));
    for to in [
        "new.wav",
        "library/library/new.wav",
        "by-id/new.wav",
        "record/new.wav",
    ] {
        assert!(!put(to).status.success(), "{to}");
    }
    let (mut client, root) = drive.client();
    let kick = find(&mut client, &root, "library/library/kick.wav").unwrap();
    assert_eq!(client.write(&kick, 0, b"RIFF"), Err(READ_ONLY));
    assert_eq!(
        fs::read(home.library().join("kick.wav")).unwrap(),
        wav(500, 1)
    );
    // REMOVE, RMDIR and MKDIR.
    let library = find(&mut client, &root, "library/library").unwrap();
    let named = |name: &[u8]| Words::default().bytes(&library).bytes(name);
    assert_eq!(client.change(12, named(b"kick.wav")), READ_ONLY);
    assert_eq!(client.change(13, named(b"none")), NO_SUCH);
    let folder = named(b"folder").number(0).number(0).number(0);
    let folder = folder.number(0).number(0).number(0);
    assert_eq!(client.change(9, folder), READ_ONLY);
    wait_until(CLOSED, "the copy to become a sound", || {
        home.items().len() == 2
    });
    let item = home.item("Library/new.wav");
    assert_eq!(drive.fetch(path_of(&item)).unwrap(), wav(90_000, 5));
    assert_eq!(drive.names("import"), Vec::<String>::new());
}

#[test]
fn what_is_given_its_time_when_it_is_whole_is_a_sound_soon() {
    let home = Home::new();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let import = find(&mut client, &root, "import").unwrap();
    let name = || Words::default().bytes(&import).bytes(b"new.wav");
    assert_eq!(client.change(8, name().number(2).long(7)), 0);
    let new = client.look_up(&import, b"new.wav").unwrap();
    let bytes = wav(90_000, 5);
    for (number, part) in bytes.chunks(60_000).enumerate() {
        client.write(&new, number as u64 * 60_000, part).unwrap();
    }
    // No permissions, owner, group, size or time of access; a time of last change; whatever it was.
    let time = Words::default().bytes(&new).number(0).number(0).number(0);
    let time = time
        .number(0)
        .number(0)
        .number(2)
        .number(1_000_000)
        .number(0);
    let begun = Instant::now();
    assert_eq!(client.change(2, time.number(0)), 0);
    wait_until(CLOSED, "it to become a sound", || home.items().len() == 1);
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    let item = home.item("Library/new.wav");
    assert_eq!(drive.fetch(path_of(&item)).unwrap(), bytes);
}

#[test]
fn a_take_is_written_and_made_final() {
    let home = Home::new();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let (id, _, take) = reserved(&home, &mut client, &root);
    let bytes = wav(200_000, 9);
    // From the end, as a client may send what it has kept.
    let parts: Vec<_> = bytes.chunks(60_000).enumerate().collect();
    for (number, part) in parts.into_iter().rev() {
        let written = client.write(&take, number as u64 * 60_000, part);
        assert_eq!(written, Ok(u32::try_from(part.len()).unwrap()));
    }
    assert_eq!(client.size(&take), Ok(bytes.len() as u64));
    assert_eq!(client.read(&take, 100, 50).unwrap(), bytes[100..150]);
    // It is closed a second after the last write; who makes it final waits for that.
    let made = home.json(["finalise", &id]);
    assert_eq!(drive.fetch(path_of(&made)).unwrap(), bytes);
    // What was being written is no more; its name leads to the sound that has come of it.
    assert_eq!(client.write(&take, 0, b"RIFF"), Err(STALE));
    let made = find(&mut client, &root, "record/Take 1.wav").unwrap();
    assert_eq!(client.write(&made, 0, b"RIFF"), Err(READ_ONLY));
}

#[test]
fn a_take_whose_file_is_gone_is_no_empty_one() {
    let home = Home::new();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let (_, file, take) = reserved(&home, &mut client, &root);
    assert_eq!(client.size(&take), Ok(0));
    fs::remove_file(&file).unwrap();
    assert_eq!(client.size(&take), Err(IO));
    assert_eq!(find(&mut client, &root, "record/Take 1.wav"), Err(IO));
    let record = find(&mut client, &root, "record").unwrap();
    assert!(client.list(&record, 0, 1 << 20).is_ok());
}

#[test]
fn writes_that_are_not_on_the_disk_yet_are_brought_there_when_that_is_asked_for() {
    let home = Home::new();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let (id, _, take) = reserved(&home, &mut client, &root);
    let bytes = wav(200_000, 9);
    let mut verifiers = BTreeSet::new();
    for (number, part) in bytes.chunks(60_000).enumerate() {
        let written = client
            .write_as(0, &take, number as u64 * 60_000, part)
            .unwrap();
        assert_eq!((written.length as usize, written.how_sure), (part.len(), 0));
        verifiers.insert(written.verifier);
    }
    verifiers.insert(client.commit(&take).unwrap());
    // Nothing was lost between.
    assert_eq!(verifiers.len(), 1);
    // One that only wants the content to be on the disk is told that all is; and is given the same verifier.
    let written = client.write_as(1, &take, 0, &bytes[..4]).unwrap();
    assert_eq!(written.how_sure, 2);
    assert!(verifiers.contains(&written.verifier));
    // What nobody has asked for is closed all the same, and a take is made final then.
    client.write_as(0, &take, 0, &bytes[..4]).unwrap();
    let made = home.json(["finalise", &id]);
    assert_eq!(drive.fetch(path_of(&made)).unwrap(), bytes);
}

#[test]
fn what_is_made_exclusively_is_known_again_by_its_call() {
    const EXISTS: u32 = 17;
    let home = Home::new();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let import = find(&mut client, &root, "import").unwrap();
    let mut create = |verifier: u64| {
        let words = Words::default().bytes(&import).bytes(b"new.part");
        client.change(8, words.number(2).long(verifier))
    };
    assert_eq!(create(7), 0);
    assert_eq!(create(7), 0, "the call came a second time");
    assert_eq!(create(8), EXISTS);
    assert_eq!(
        client.links(&import),
        1,
        "of two, programs would believe that there is no folder in it"
    );
}

#[test]
fn a_call_that_comes_again_by_another_connection_is_answered_as_before_and_not_done_again() {
    const REMOVE: u32 = 12;
    const NOT_FOUND: u32 = 2;
    let home = Home::new();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let import = find(&mut client, &root, "import").unwrap();
    let name = || Words::default().bytes(&import).bytes(b"new.part");
    let make = |client: &mut Client| client.change(8, name().number(2).long(7));
    assert_eq!(make(&mut client), 0);
    assert_eq!(client.change(REMOVE, name()), 0);
    // Its answer was lost.
    let mut again = client.connect_anew(drive.port);
    assert_eq!(again.change(REMOVE, name()), 0);
    // Whoever makes another call of it is told how it is, and nothing was made meanwhile by its old name.
    assert_eq!(again.change(REMOVE, name()), NOT_FOUND);
    assert_eq!(make(&mut client), 0);
    assert_eq!(
        client
            .connect_anew(drive.port)
            .change(8, name().number(2).long(7)),
        0
    );
    assert_eq!(client.change(REMOVE, name()), 0);
}

#[test]
fn who_does_not_know_the_secret_gets_nothing() {
    let home = Home::new();
    fs::write(home.library().join("kick.wav"), wav(500, 1)).unwrap();
    let drive = Exported::of(&home);
    let (mut client, root) = drive.client();
    let mut stranger = Client::connect(drive.port);
    for path in [
        "/",
        "",
        "/library",
        "/00000000000000000000000000000000",
        "/é",
    ] {
        assert_eq!(stranger.mount(path), Err(NO_SUCH), "{path}");
    }
    let longer = format!("{}00", drive.path);
    assert_eq!(stranger.mount(&longer), Err(NO_SUCH));
    // Handles hold a secret of their own.
    let mut guessed = root.clone();
    guessed[3] ^= 1;
    assert_eq!(stranger.size(&guessed), Err(STALE));
    assert!(stranger.size(&vec![1, 2, 3]).is_err());
    assert!(client.size(&root).is_ok());
    // The root of the drive has no `..` above it, and no name leads out of a folder.
    assert_eq!(client.look_up(&root, b".."), Ok(root.clone()));
    for name in [&b"a/b"[..], b"", &[b'x'; 300], b"a\0b"] {
        assert!(client.look_up(&root, name).is_err());
    }
}

#[test]
fn nonsense_ends_its_connection_and_nothing_else() {
    let home = Home::new();
    fs::write(home.library().join("kick.wav"), wav(500, 1)).unwrap();
    let drive = Exported::of(&home);
    home.wait_for_items(1);
    let mut seed = 1_u32;
    for length in [0, 1, 3, 4, 20, 39, 40, 100, 5000] {
        for _ in 0..20 {
            let mut client = Client::connect(drive.port);
            let record: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_be_bytes()[0]
                })
                .collect();
            client.send(&record);
        }
    }
    assert_eq!(
        drive.fetch("library/library/kick.wav").unwrap(),
        wav(500, 1)
    );
    assert_eq!(home.json(["status"])["items"]["total"], 1);
}

/// Arguments of no procedure, or nearly of one: handles, names, numbers and lengths in any order, cut anywhere.
fn arguments(handles: &[Handle], runner: &mut TestRunner) -> Words {
    let word = prop_oneof![
        select(handles.to_vec()).prop_map(|handle| Words::default().bytes(&handle)),
        select(vec![0, 1, 2, 3, 4096, 1 << 20, u32::MAX]).prop_map(|n| Words::default().number(n)),
        select(vec![1 << 62, i64::MAX as u64, u64::MAX]).prop_map(|n| Words::default().long(n)),
        select(vec![
            &b"kick.wav"[..],
            b".",
            b"..",
            b"",
            b"a/b",
            b"\0",
            b"\xff.part",
            &[b'x'; 300]
        ])
        .prop_map(|name| Words::default().bytes(name)),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Words::default().bytes(&bytes)),
    ];
    let whole = vec(word, 0..8);
    let cut = (whole, prop_oneof![4 => Just(usize::MAX), 1 => 0..60_usize]);
    let (words, length) = cut.new_tree(runner).unwrap().current();
    let mut all: Vec<u8> = words.into_iter().flat_map(|word| word.0).collect();
    all.truncate(length);
    Words(all)
}

#[test]
fn every_call_is_answered_whatever_its_arguments_are() {
    let home = Home::new();
    let sound = wav(500, 1);
    fs::write(home.library().join("kick.wav"), &sound).unwrap();
    let drive = Exported::of(&home);
    home.wait_for_items(1);
    let (mut client, root) = drive.client();
    let handles = [
        "",
        "library/library",
        "library/library/kick.wav",
        "import",
        "record",
    ]
    .map(|path| find(&mut client, &root, path).unwrap());
    let mut runner = TestRunner::deterministic();
    for (program, last) in [(client::NFS, 22), (client::MOUNT, 6)] {
        for procedure in 0..=last {
            for _ in 0..150 {
                let arguments = arguments(&handles, &mut runner);
                // 3 is that there is no such procedure, 4 that these are no arguments of it.
                let (understood, _) = client.try_call(program, procedure, &arguments);
                assert!(
                    [0, 3, 4].contains(&understood),
                    "{understood} of {procedure}"
                );
            }
        }
    }
    assert_eq!(drive.fetch("library/library/kick.wav").unwrap(), sound);
    assert_eq!(fs::read(home.library().join("kick.wav")).unwrap(), sound);
}
