//! What is made, written, renamed and removed, on every system.

use super::super::adapter::requester;
use super::super::changing::Place;
use super::super::info::Wanted;
use super::super::status::Status;
use super::mount::{LOOK, Mount, READ, WRITE, at, wide};
use crate::drive::{Invalidate, NodeId};

#[test]
fn the_drop_box_takes_files_and_hears_of_each_close() {
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    mount.drive.change(import, |node| node.is_writable = true);
    let by = requester(7);
    let create = |path: &str, wanted| mount.adapter.create(&wide(path), wanted, WRITE, by);
    let (open, info) = create("\\IMPORT\\Take 1.wav", Wanted::File).unwrap();
    assert_eq!(info.size, 0);
    assert_eq!(mount.write(&open, b"one two", at(0)), Ok(7));
    let place = Place {
        offset: 0,
        to_end: true,
        within: false,
    };
    assert_eq!(mount.write(&open, b"!", place), Ok(1));
    let place = Place {
        offset: 6,
        to_end: false,
        within: true,
    };
    assert_eq!(mount.write(&open, b"O?????", place), Ok(2));
    let node = mount.drive.named(import, "Take 1.wav").unwrap();
    assert_eq!(mount.drive.bytes(node).unwrap(), b"one twO?");
    assert_eq!(mount.adapter.set_size(&open, 3).unwrap().size, 3);
    assert_eq!(mount.adapter.set_allocated(&open, 4096).unwrap().size, 3);
    assert_eq!(mount.adapter.set_allocated(&open, 2).unwrap().size, 2);
    mount.adapter.flush(&open).unwrap();
    let time = 133_000_000_000_000_000;
    assert_eq!(
        mount.adapter.set_times(&open, 0, time).unwrap().modified,
        time
    );
    mount.adapter.cleanup(&open, None, false);
    mount.adapter.close(&open);
    let log: Vec<String> = mount.drive.log();
    let (closed, released) = (format!("closed {}", node.0), format!("release {}", node.0));
    assert_eq!(log.iter().filter(|line| **line == closed).count(), 1);
    assert_eq!(log.last(), Some(&released));
    // It is there; a folder is not a file; and elsewhere nothing can be made.
    let refused = |path: &str, wanted| create(path, wanted).err().unwrap();
    assert_eq!(
        refused("\\import\\Take 1.wav", Wanted::File),
        Status::OBJECT_NAME_COLLISION
    );
    assert_eq!(
        refused("\\nowhere\\x", Wanted::File),
        Status::OBJECT_PATH_NOT_FOUND
    );
    assert_eq!(
        refused("\\x.wav", Wanted::File),
        Status::MEDIA_WRITE_PROTECTED
    );
    let (kit, _) = create("\\import\\kit", Wanted::Folder).unwrap();
    assert!(kit.is_folder);
    assert_eq!(mount.names("\\import"), [".", "..", "Take 1.wav", "kit"]);
}

#[test]
fn what_is_removed_goes_when_it_is_closed_and_never_counts_as_written() {
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    mount.drive.change(import, |node| node.is_writable = true);
    let kit = mount.drive.folder(import, "kit");
    let take = mount.drive.file(kit, "take.wav", b"x");
    let folder = mount.open("\\import\\kit", LOOK).unwrap();
    assert_eq!(
        mount.adapter.may_remove(&folder),
        Err(Status::DIRECTORY_NOT_EMPTY)
    );
    let open = mount.open("\\import\\kit\\take.wav", WRITE).unwrap();
    mount.adapter.may_remove(&open).unwrap();
    assert!(
        mount.drive.named(kit, "take.wav").is_some(),
        "not before it is closed"
    );
    mount
        .adapter
        .cleanup(&open, Some(&wide("\\import\\KIT\\Take.wav")), true);
    mount.adapter.close(&open);
    assert!(mount.drive.named(kit, "take.wav").is_none());
    let log = mount.drive.log();
    let place = |what: String| log.iter().position(|line| *line == what).unwrap();
    assert!(place(format!("removed {}", take.0)) < place(format!("closed {}", take.0)));
    mount.adapter.may_remove(&folder).unwrap();
    mount
        .adapter
        .cleanup(&folder, Some(&wide("\\import\\kit")), true);
    assert!(mount.drive.named(import, "kit").is_none());
    mount.drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let kept = mount.open("\\kick.wav", LOOK).unwrap();
    assert_eq!(
        mount.adapter.may_remove(&kept),
        Err(Status::MEDIA_WRITE_PROTECTED)
    );
    let root = mount.open("\\", LOOK).unwrap();
    assert_eq!(mount.adapter.may_remove(&root), Err(Status::ACCESS_DENIED));
}

/// Who opens something so is not asked about, later: it would be gone for Windows, and stay on the drive.
#[test]
fn what_goes_when_it_is_closed_is_refused_to_be_opened_where_it_stays() {
    const DELETE_ON_CLOSE: u32 = 0x1000;
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    mount.drive.change(import, |node| node.is_writable = true);
    let kit = mount.drive.folder(import, "kit");
    mount.drive.file(kit, "a.wav", b"x");
    mount.drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let open = |path: &str| {
        let (path, by) = (wide(path), requester(7));
        mount.adapter.open(&path, DELETE_ON_CLOSE, READ, by)
    };
    let refused = |path: &str| open(path).err().unwrap();
    mount.drive.log();
    assert_eq!(refused("\\kick.wav"), Status::CANNOT_DELETE);
    assert_eq!(refused("\\"), Status::CANNOT_DELETE);
    assert_eq!(refused("\\import\\kit"), Status::DIRECTORY_NOT_EMPTY);
    let opened = |line: &String| line.starts_with("open");
    assert!(!mount.drive.log().iter().any(opened));
    let (take, _) = open("\\import\\kit\\a.wav").ok().unwrap();
    mount.adapter.cleanup(&take, None, true);
    mount.adapter.close(&take);
    assert!(mount.drive.named(kit, "a.wav").is_none());
    assert!(open("\\import\\kit").is_ok());
}

#[test]
fn names_change_in_case_and_never_twice_the_same_but_for_case() {
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    mount.drive.change(import, |node| node.is_writable = true);
    mount.drive.file(import, "kick.wav", b"kick");
    mount.drive.file(import, "Snare.wav", b"snare");
    let rename = |from: &str, to: &str, replace| {
        let (from, to) = (wide(from), wide(to));
        mount.adapter.rename(&from, &to, replace, &requester(7))
    };
    rename("\\import\\kick.wav", "\\import\\KICK.wav", false).unwrap();
    assert_eq!(mount.names("\\import")[2..], ["KICK.wav", "Snare.wav"]);
    let taken = rename("\\import\\kick.wav", "\\import\\SNARE.wav", false);
    assert_eq!(taken, Err(Status::OBJECT_NAME_COLLISION));
    rename("\\import\\kick.wav", "\\import\\SNARE.wav", true).unwrap();
    assert_eq!(mount.names("\\import")[2..], ["Snare.wav"]);
    let open = mount.open("\\import\\snare.wav", READ).unwrap();
    assert_eq!(mount.read(&open, 0, 9).unwrap(), b"kick");
    let elsewhere = rename("\\import\\snare.wav", "\\snare.wav", false);
    assert_eq!(elsewhere, Err(Status::NOT_SAME_DEVICE));
    let nowhere = rename("\\import\\snare.wav", "\\nowhere\\snare.wav", false);
    assert_eq!(nowhere, Err(Status::OBJECT_PATH_NOT_FOUND));
    let gone = rename("\\import\\gone.wav", "\\import\\x.wav", false);
    assert_eq!(gone, Err(Status::OBJECT_NAME_NOT_FOUND));
}

/// WinFsp knows what is open by the name that it has now.
#[test]
fn what_is_being_written_is_told_of_later_by_its_new_name() {
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    let kit = mount.drive.folder(import, "kit");
    for folder in [import, kit] {
        mount.drive.change(folder, |node| node.is_writable = true);
    }
    mount.drive.file(kit, "a.wav", b"x");
    mount.drive.file(import, "kit 2.wav", b"x");
    let open = mount.open(r"\import\kit\a.wav", WRITE).unwrap();
    let beside = mount.open(r"\import\kit 2.wav", WRITE).unwrap();
    let rename = |from: &str, to: &str| {
        let (from, to) = (wide(from), wide(to));
        mount.adapter.rename(&from, &to, false, &requester(7))
    };
    rename(r"\import\kit\A.wav", r"\import\kit\b.wav").unwrap();
    rename(r"\import\Kit", r"\import\Drums").unwrap();
    let (first, second) = (open.begins(), open.begins());
    let other = beside.begins();
    let busy = || {
        let busy = mount.adapter.opens.busy().into_iter();
        let mut busy: Vec<String> = busy.map(|p| String::from_utf16(&p).unwrap()).collect();
        busy.sort();
        busy
    };
    let (moved, stayed) = (r"\IMPORT\DRUMS\B.WAV", r"\IMPORT\KIT 2.WAV");
    assert_eq!(busy(), [moved, stayed]);
    drop((first, other));
    assert_eq!(busy(), [moved], "one of two is answered");
    let changes = &mount.adapter.changes;
    mount.look(r"\import\drums\b.wav").unwrap();
    changes.entry(kit, "b.wav".as_ref());
    assert!(mount.adapter.notices(changes.take()).is_empty());
    drop(second);
    assert!(mount.adapter.has_news());
    let told = mount.adapter.notices(changes.take());
    assert_eq!(told[0].path, wide(r"\import\Drums\b.wav"));
}

/// What other systems put into names in place of what Windows refuses is part of them: led back, no disk of Windows takes them.
#[test]
fn names_are_kept_as_programs_give_them() {
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    mount.drive.change(import, |node| node.is_writable = true);
    let path = "\\import\\a\u{f022}.wav";
    let made = mount
        .adapter
        .create(&wide(path), Wanted::File, WRITE, requester(7));
    assert!(made.is_ok());
    assert!(mount.drive.named(import, "a\u{f022}.wav").is_some());
    let to = "\\import\\b\u{f03f}.wav";
    mount
        .adapter
        .rename(&wide(path), &wide(to), false, &requester(7))
        .unwrap();
    assert!(mount.drive.named(import, "b\u{f03f}.wav").is_some());
    let kit = "\\import\\kit\u{f02a}";
    let made = mount
        .adapter
        .create(&wide(kit), Wanted::Folder, WRITE, requester(7));
    assert!(made.is_ok());
    assert!(mount.drive.named(import, "kit\u{f02a}").is_some());
}

/// The name leads to the file that took the place of the one that was opened, whatever it was called then.
#[test]
fn what_was_renamed_meanwhile_is_changed_and_removed_under_its_name_of_now() {
    let mount = Mount::new();
    let import = mount.drive.folder(NodeId::ROOT, "import");
    mount.drive.change(import, |node| node.is_writable = true);
    let kit = mount.drive.folder(import, "Kit");
    let shown = mount.drive.file(kit, "Kick.asd", b"shown");
    let open = mount.open(r"\import\kit\kick.asd", LOOK).unwrap();
    let rename = |from: &str, to: &str| {
        let (from, to) = (wide(from), wide(to));
        mount.adapter.rename(&from, &to, false, &requester(7))
    };
    rename(r"\import\kit\KICK.asd", r"\import\kit\Snare.asd").unwrap();
    rename(r"\import\kit", r"\import\Drums").unwrap();
    assert_eq!(open.path(), wide(r"\import\Drums\Snare.asd"));
    let own = (kit, "Snare.asd".into(), b"own".to_vec());
    mount.drive.0.lock().taken_over.insert(shown, own);
    assert_eq!(mount.adapter.set_size(&open, 2).unwrap().size, 2);
    assert_eq!(mount.drive.bytes(shown).unwrap(), b"shown");
    let own = mount.drive.named(kit, "Snare.asd").unwrap();
    assert_eq!(mount.drive.bytes(own).unwrap(), b"ow");
    mount.adapter.cleanup(&open, None, true);
    mount.adapter.close(&open);
    assert!(mount.drive.named(kit, "Snare.asd").is_none());
}

#[test]
fn who_changes_a_file_that_is_only_shown_changes_one_of_its_own() {
    let mount = Mount::new();
    let shown = mount.drive.file(NodeId::ROOT, "kick.asd", b"shown");
    mount.drive.change(shown, |node| node.is_writable = true);
    let own = (NodeId::ROOT, "kick.asd".into(), b"own".to_vec());
    mount.drive.0.lock().taken_over.insert(shown, own);
    let open = mount.open("\\kick.asd", LOOK).unwrap();
    assert_eq!(mount.adapter.set_size(&open, 2).unwrap().size, 2);
    assert_eq!(mount.drive.bytes(shown).unwrap(), b"shown");
    let own = mount.drive.named(NodeId::ROOT, "kick.asd").unwrap();
    assert_eq!(mount.drive.bytes(own).unwrap(), b"ow");
}
