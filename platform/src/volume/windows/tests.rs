//! Tests of volumes, on the machine they run on and on made-up mounts.
#![allow(clippy::unwrap_used)]

use super::super::kind::StorageSort;
use super::super::reason::{Bus, Reason, Trust};
use super::super::trust::{Classifier, DeclaredTrusted};
use super::*;

pub(super) fn system_drive() -> MountEntry {
    let table = MountTable::read().unwrap();
    let home = std::env::current_exe().unwrap();
    table.holding(&home).unwrap().clone()
}

#[test]
fn this_machine_has_a_drive_with_a_volume() {
    let table = MountTable::read().unwrap();
    let c = table.at(Path::new("C:\\")).unwrap();
    assert_eq!(table.at(Path::new("c:\\")).unwrap(), c);
    assert_eq!(table.holding(Path::new(r"C:\a\b")).unwrap(), c);
    assert_eq!(table.by_id(c.id).unwrap(), c);
    assert!(
        c.source.to_string_lossy().starts_with(r"\\?\Volume{"),
        "{c:?}"
    );
    assert_eq!(table, MountTable::read().unwrap(), "asked again");
}

#[test]
fn a_disk_is_identified_alike_each_time() {
    let entry = system_drive();
    let one = identify(&entry).unwrap();
    assert_eq!(one, identify(&entry).unwrap());
    assert!(one.size > 0 && one.label.is_some(), "{one:?}");
    let text = one.identity.to_string();
    assert!(text.starts_with("disk:"), "{text}");
    assert_eq!(text.parse(), Ok(one.identity));
    let moved = MountEntry {
        source: OsString::from(r"\\?\Volume{00000000-0000-0000-0000-000000000000}\"),
        ..entry
    };
    assert_eq!(
        identify(&moved).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    let share = share(PathBuf::from("Z:\\"), 'Z');
    assert!(identify(&share).is_err());
}

#[test]
fn numbers_are_written_as_on_other_systems() {
    for (long, short, text) in [
        (0x01d9_2f3c_a4b5_c6d7, 0xa4b5_c6d7, Some("01D92F3CA4B5C6D7")),
        (0x12ab_34cd, 0x12ab_34cd, Some("12AB-34CD")),
        (0, 0x12_34cd, Some("0012-34CD")),
        (0, 0, None),
    ] {
        assert_eq!(identify::written(long, short).as_deref(), text);
    }
}

#[test]
fn a_share_is_known_by_what_is_mounted() {
    let entry = |source: &str| MountEntry {
        source: OsString::from(source),
        ..share(PathBuf::from("Z:\\"), 'Z')
    };
    let text = |source: &str| identity_from_table(&entry(source)).unwrap().to_string();
    assert_eq!(
        text(r"\\NAS\Samples"),
        "mount:type=cifs,source=//nas/samples"
    );
    assert_eq!(
        text(r"\\nas\samples\"),
        "mount:type=cifs,source=//nas/samples"
    );
    assert!(text("").ends_with(",at=Z:%5c"), "{}", text(""));
    assert_eq!(identity_from_table(&system_drive()), None);
}

#[test]
fn only_what_is_known_to_be_built_in_is_trusted() {
    let home = tempfile::tempdir().unwrap();
    let classifier = Classifier::read(DeclaredTrusted::default()).unwrap();
    assert!(classifier.is_current().unwrap());
    let why = |path: &Path| match classifier.trust(path) {
        Trust::Trusted => None,
        Trust::Untrusted(reason) => Some(reason),
    };
    assert_eq!(why(Path::new("relative")), Some(Reason::NotAbsolute));
    for share in [r"\\nas\samples\kick.wav", r"\\?\UNC\nas\samples\kick.wav"] {
        assert!(
            matches!(why(Path::new(share)), Some(Reason::Share { .. })),
            "{share}"
        );
    }
    assert!(matches!(
        why(Path::new(r"Q:\nowhere")),
        Some(Reason::Unknown { .. })
    ));
    // Wine has no driver that tells of the disk; Windows has.
    let drive = system_drive();
    let built_in = disk::is_built_in(&drive.mount_point, &drive.source);
    assert_eq!(
        why(home.path()).is_none(),
        built_in.is_ok() && matches!(drive.fs_type.as_str(), "ntfs" | "refs"),
        "{built_in:?}"
    );
    let expected = if built_in.is_ok() {
        StorageSort::Local
    } else {
        StorageSort::Removable(Bus::Virtual)
    };
    assert_eq!(classifier.sort(&drive), expected);
}

#[test]
fn what_is_declared_trusted_is() {
    let home = tempfile::tempdir().unwrap();
    let path = std::path::absolute(home.path()).unwrap();
    let by_path = DeclaredTrusted {
        paths: vec![path.clone()],
        ..DeclaredTrusted::default()
    };
    let classifier = Classifier::read(by_path).unwrap();
    assert!(classifier.trust(&path.join("kick.wav")).is_trusted());
    let by_device = DeclaredTrusted {
        devices: vec![PathBuf::from(system_drive().source)],
        ..DeclaredTrusted::default()
    };
    let classifier = Classifier::read(by_device).unwrap();
    assert!(classifier.trust(&path.join("kick.wav")).is_trusted());
    // A folder of a sync client is that all the same.
    std::fs::write(path.join(".dropbox"), "").unwrap();
    assert!(matches!(
        classifier.trust(&path.join("kick.wav")),
        Trust::Untrusted(Reason::Cloud { .. })
    ));
}

#[test]
fn buses_tell_what_may_be_pulled() {
    use windows_sys::Win32::Storage::FileSystem::{
        BusTypeNvme, BusTypeSata, BusTypeUnknown, BusTypeUsb, BusTypeiScsi,
    };
    assert_eq!(disk::bus_of(BusTypeNvme), None);
    assert_eq!(disk::bus_of(BusTypeSata), None);
    assert_eq!(disk::bus_of(BusTypeUsb), Some(Bus::Usb));
    assert_eq!(disk::bus_of(BusTypeiScsi), Some(Bus::Iscsi));
    assert_eq!(disk::bus_of(BusTypeUnknown), Some(Bus::Virtual));
}

#[test]
fn our_own_drive_is_no_share() {
    let kind = |source: &str| kind_of_share(OsStr::new(source));
    assert_eq!(kind(r"\\mediafs\Loophole"), FS_TYPE);
    assert_eq!(kind(r"\\MEDIAFS\Loophole"), FS_TYPE);
    assert_eq!(kind(r"\\mediafs2\sounds"), SHARE);
    assert_eq!(kind(r"\\nas\mediafs\"), SHARE);
    assert_eq!(kind(""), SHARE);
    let ours = MountEntry {
        fs_type: FS_TYPE.to_owned(),
        ..share(PathBuf::from("Z:\\"), 'Z')
    };
    assert!(identity_from_table(&ours).is_none());
    let nothing = Classifier::read(DeclaredTrusted::default()).unwrap();
    assert_eq!(
        nothing.sort(&ours),
        StorageSort::Network,
        "not to be touched"
    );
}

#[test]
fn another_card_in_a_reader_is_another_mount() {
    let number = |medium| number_of(Path::new("E:\\"), OsStr::new(r"\\?\Volume{1}\"), medium);
    assert_eq!(number(1), number(1));
    assert_ne!(number(1), number(2));
}
