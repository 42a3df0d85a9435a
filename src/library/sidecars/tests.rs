#![allow(clippy::unwrap_used)]

use mediafs_platform::files::Positioned as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::*;

fn key(id: &str) -> ItemKey {
    ItemKey::new(None, &id.parse().unwrap())
}

fn peaks() -> SidecarName {
    SidecarName::behind_name(b".reapeaks")
}

fn write(sidecars: &Arc<Sidecars>, key: &ItemKey, name: &SidecarName, bytes: &[u8]) -> u32 {
    let (number, handle) = SidecarHandle::create(sidecars, key, name, 0o644, false, true).unwrap();
    handle.file().write_all_at(bytes, 0).unwrap();
    number
}

fn bytes(sidecars: &Arc<Sidecars>, key: &ItemKey, name: &SidecarName) -> Option<Vec<u8>> {
    match sidecars.state(key, name) {
        State::Kept(number) => Some(std::fs::read(sidecars.path_of(number).unwrap()).unwrap()),
        _ => None,
    }
}

fn wait_until_complete(sidecars: &Sidecars) {
    let begun = Instant::now();
    while !sidecars.table.lock().complete {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let home = tempfile::tempdir().unwrap();
    let (kick, snare) = (key("Kick"), key("snare"));
    // Any bytes, where names are bytes.
    let temporary = SidecarName::behind_name(if cfg!(unix) {
        b".reapeaks\n\xff.tmp"
    } else {
        b".reapeaks.tmp"
    });
    {
        let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
        write(&sidecars, &kick, &peaks(), b"old");
        write(&sidecars, &kick, &temporary, b"new");
        let from = (&kick, &temporary);
        let keep = sidecars.rename(from, (&kick, &peaks()), false, false);
        assert_eq!(keep.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        sidecars
            .rename(from, (&kick, &peaks()), true, false)
            .unwrap();
        assert_eq!(bytes(&sidecars, &kick, &temporary), None);
        write(
            &sidecars,
            &snare,
            &SidecarName::behind_stem(b".asd"),
            b"warp",
        );
    }
    let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
    // Whether or not all was read by now.
    assert_eq!(bytes(&sidecars, &key("KICK"), &peaks()).unwrap(), b"new");
    wait_until_complete(&sidecars);
    assert_eq!(sidecars.of_item(&kick).len(), 1);
    assert_eq!(sidecars.of_item(&snare).len(), 1);
    assert!(sidecars.may_have(Behind::Stem, b".asd") && !sidecars.may_have(Behind::Name, b".asd"));
    let (kept, hidden) = kept_of(home.path(), &snare);
    assert_eq!((kept.len(), kept[0].found.len(), hidden.len()), (1, 4, 0));
}

#[test]
fn what_is_hidden_stays_so_until_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let kick = key("kick");
    let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
    write(&sidecars, &kick, &peaks(), b"one");
    sidecars.remove(&kick, &peaks(), true).unwrap();
    assert_eq!(sidecars.state(&kick, &peaks()), State::Hidden);
    let again = Sidecars::open(home.path().to_owned()).unwrap();
    assert_eq!(again.state(&kick, &peaks()), State::Hidden);
    write(&again, &kick, &peaks(), b"two");
    let again = Sidecars::open(home.path().to_owned()).unwrap();
    assert_eq!(bytes(&again, &kick, &peaks()).unwrap(), b"two");
    // A daemon that ended between the two steps of a removal.
    again.folder(&kick).hide(&peaks()).unwrap();
    let again = Sidecars::open(home.path().to_owned()).unwrap();
    wait_until_complete(&again);
    assert_eq!(again.state(&kick, &peaks()), State::Hidden);
    assert!(!again.folder(&kick).path(&peaks()).exists());
}

#[test]
fn what_is_written_or_removed_while_all_is_read_at_the_start_is_so() {
    let home = tempfile::tempdir().unwrap();
    let kick = key("kick");
    for _ in 0..300 {
        let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
        write(&sidecars, &kick, &peaks(), b"one");
        let file = sidecars.folder(&kick).path(&peaks());
        wait_until_complete(&sidecars);
        assert!(file.exists());
        let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
        sidecars.remove(&kick, &peaks(), true).unwrap();
        wait_until_complete(&sidecars);
        assert!(!file.exists());
        assert_eq!(sidecars.state(&kick, &peaks()), State::Hidden);
    }
}

#[test]
fn an_item_has_a_bounded_number_of_them() {
    let home = tempfile::tempdir().unwrap();
    let kick = key("kick");
    let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
    let name = |number: usize| SidecarName::behind_name(format!(".{number}").as_bytes());
    for number in 0..MOST {
        write(&sidecars, &kick, &name(number), b"x");
    }
    let more = SidecarHandle::create(&sidecars, &kick, &name(MOST), 0o644, false, false);
    let error = more.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    // One that goes makes room, and what replaces another needs none.
    sidecars
        .rename((&kick, &name(0)), (&kick, &name(1)), true, false)
        .unwrap();
    write(&sidecars, &kick, &name(MOST), b"x");
    assert_eq!(sidecars.of_item(&kick).len(), MOST);
}

#[test]
fn a_node_lives_as_long_as_its_name_its_look_ups_and_its_handles() {
    let home = tempfile::tempdir().unwrap();
    let kick = key("kick");
    let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
    let (number, handle) =
        SidecarHandle::create(&sidecars, &kick, &peaks(), 0o644, true, false).unwrap();
    sidecars.looked_up(number);
    sidecars.remove(&kick, &peaks(), false).unwrap();
    handle.file().write_all_at(b"gone", 0).unwrap();
    assert_eq!(
        sidecars.opened(number).unwrap().metadata().unwrap().len(),
        4
    );
    assert!(sidecars.path_of(number).is_none());
    handle.sync().unwrap();
    drop(handle);
    assert_eq!(sidecars.table.lock().nodes.len(), 1);
    sidecars.forget(number, 1);
    assert!(sidecars.table.lock().nodes.is_empty());
}

#[test]
fn a_copy_has_the_times_of_what_it_is_of_and_no_more_bytes_than_it_may() {
    let home = tempfile::tempdir().unwrap();
    let kick = key("kick");
    let sidecars = Sidecars::open(home.path().to_owned()).unwrap();
    let mut beside = tempfile::tempfile().unwrap();
    beside.write_all(b"peaks").unwrap();
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
    beside.set_modified(long_ago).unwrap();
    std::io::Seek::rewind(&mut beside).unwrap();
    sidecars.adopt(&kick, &peaks(), &beside).unwrap();
    assert_eq!(bytes(&sidecars, &kick, &peaks()).unwrap(), b"peaks");
    let (kept, _) = kept_of(home.path(), &kick);
    assert_eq!(kept[0].found.modified().unwrap(), long_ago);
    beside.set_len(MOST_BYTES + 1).unwrap();
    let other = SidecarName::behind_stem(b".pkf");
    let error = sidecars.adopt(&kick, &other, &beside).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(sidecars.state(&kick, &other), State::Unknown);
}

#[test]
fn scopes_have_folders_of_their_own() {
    let id: MediaId = "kick".parse().unwrap();
    let of = |project: &str| ItemKey::new(Some(&ProjectId(project.to_owned())), &id);
    assert_ne!(of("a"), key("kick"));
    assert_ne!(of("a"), of("b"));
    assert!(!of("../../etc").0.contains("../"));
    assert!(of(&"x".repeat(5000)).0.len() < 200);
}
