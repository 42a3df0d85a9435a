//! Tests of `superblock`: what `mkfs` of each kind writes into an image, and what others might.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

/// An image that a program has made, and the UUID that `blkid` tells of it.
fn made_by(
    program: &str,
    arguments: &[&str],
    mebibytes: u64,
) -> Option<(Superblock, Option<String>)> {
    let home = tempfile::tempdir().unwrap();
    let image = home.path().join("image");
    File::create(&image)
        .unwrap()
        .set_len(mebibytes << 20)
        .unwrap();
    let made = Command::new(program).args(arguments).arg(&image).output();
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            assert!(
                std::env::var_os("MEDIAFS_TEST_WITHOUT_MKFS").is_some(),
                "{program} is needed ({error}); set MEDIAFS_TEST_WITHOUT_MKFS=1 to go without"
            );
            eprintln!("NOT RUN: no {program}");
            return None;
        }
    };
    assert!(made.status.success(), "{program}: {made:?}");
    let fs_type = program.trim_start_matches("mkfs.");
    let read = read(&File::open(&image).unwrap(), fs_type)
        .unwrap()
        .unwrap();
    Some((read, by_blkid(&image)))
}

fn by_blkid(image: &Path) -> Option<String> {
    let mut blkid = Command::new("blkid");
    let blkid = blkid.args(["-p", "-o", "value", "-s", "UUID"]).arg(image);
    let told = String::from_utf8(blkid.output().unwrap().stdout).unwrap();
    (!told.is_empty()).then(|| told.trim().to_owned())
}

#[test]
fn uuid_and_label_are_those_that_were_given() {
    for (program, arguments, mebibytes, label) in [
        (
            "mkfs.ext4",
            &["-q", "-F", "-L", "My Sounds"][..],
            16,
            Some("My Sounds"),
        ),
        ("mkfs.ext4", &["-q", "-F"], 16, None),
        ("mkfs.xfs", &["-q", "-L", "drums"], 320, Some("drums")),
        (
            "mkfs.btrfs",
            &["-q", "-L", "Strings & Pads"],
            128,
            Some("Strings & Pads"),
        ),
        ("mkfs.f2fs", &["-q", "-l", "Flöte"], 64, Some("Flöte")),
        (
            "mkfs.ntfs",
            &["-Q", "-q", "-F", "-L", "Größer"],
            16,
            Some("Größer"),
        ),
        ("mkfs.ntfs", &["-Q", "-q", "-F", "-c", "65536"], 64, None),
        ("mkfs.vfat", &["-F", "32", "-n", "STICK"], 64, Some("STICK")),
        ("mkfs.vfat", &["-F", "32"], 64, None),
        (
            "mkfs.vfat",
            &["-F", "16", "-n", "CARD 16"],
            32,
            Some("CARD 16"),
        ),
        (
            "mkfs.vfat",
            &["-F", "12", "-n", "DISK12", "-i", "00ABCDEF"],
            2,
            Some("DISK12"),
        ),
        ("mkfs.exfat", &["-L", "Zoom Card"], 64, Some("Zoom Card")),
        ("mkfs.exfat", &[], 64, None),
    ] {
        let Some((read, told)) = made_by(program, arguments, mebibytes) else {
            continue;
        };
        assert!(read.uuid.is_some(), "{program}");
        assert_eq!(read.uuid, told, "{program} {arguments:?}");
        assert_eq!(read.label.as_deref(), label, "{program} {arguments:?}");
    }
}

#[test]
fn a_disc_is_known_by_its_date() {
    let mut image = vec![0; 40 * 1024];
    image[32768..32774].copy_from_slice(b"\x01CD001");
    image[32768 + 40..32768 + 72].copy_from_slice(b"SAMPLES 1                       ");
    image[32768 + 813..32768 + 829].copy_from_slice(b"2015080312345600");
    image[32768 + 830..32768 + 846].copy_from_slice(b"0000000000000000");
    let read = |image: &[u8]| read(&image.to_vec(), "iso9660").unwrap().unwrap();
    let disc = read(&image);
    assert_eq!(disc.uuid.as_deref(), Some("2015-08-03-12-34-56-00"));
    assert_eq!(disc.label.as_deref(), Some("SAMPLES 1"));
    image[32768 + 830..32768 + 846].copy_from_slice(b"2016010203040506");
    let disc = read(&image);
    assert_eq!(disc.uuid.as_deref(), Some("2016-01-02-03-04-05-06"));
}

#[test]
fn a_mac_disk_is_known_by_its_number() {
    let mut image = vec![0; 4096];
    image[1024..1026].copy_from_slice(b"H+");
    image[1024 + 104..1024 + 112].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let disk = read(&image, "hfsplus").unwrap().unwrap();
    assert_eq!(disk.uuid.as_deref(), Some("0102030405060708"));
}

#[test]
fn nothing_known_is_nothing() {
    for image in [vec![], vec![0; 100], vec![0xff; 70_000]] {
        for (fs_type, ..) in MARKS {
            assert_eq!(read(&image, fs_type).unwrap(), None);
        }
        assert_eq!(read(&image, "fuseblk").unwrap(), None);
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap().min(self.len());
        let length = bytes.len().min(self.len() - start);
        bytes[..length].copy_from_slice(&self[start..start + length]);
        Ok(length)
    }
}

/// The marks of all kinds, with the place where they belong.
const MARKS: &[(&str, usize, &[u8])] = &[
    ("xfs", 0, b"XFSB"),
    ("ext4", 1080, &[0x53, 0xef]),
    ("f2fs", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("vfat", 0x52, b"FAT32   "),
    ("vfat", 0x36, b"FAT16   "),
    ("hfsplus", 1024, b"H+"),
    ("btrfs", 65536 + 64, b"_BHRfS_M"),
    ("iso9660", 32768, b"\x01CD001"),
];

/// A record with a label, as NTFS has it.
#[test]
fn a_record_that_leads_nowhere_ends() {
    let mut image = vec![0; 16 * 1024];
    image[3..11].copy_from_slice(b"NTFS    ");
    image[11..14].copy_from_slice(&[0, 2, 1]);
    image[0x30] = 2;
    image[0x40] = 0xf6;
    image[0x48] = 7;
    let record = 2 * 512 + 3 * 1024;
    image[record..record + 4].copy_from_slice(b"FILE");
    image[record + 0x14] = 0x38;
    let ntfs = |image: &Vec<u8>| read(image, "ntfs").unwrap().unwrap();
    assert_eq!(ntfs(&image).uuid.as_deref(), Some("0000000000000007"));
    // Attributes of no length, then of the greatest.
    assert_eq!(ntfs(&image).label, None);
    for byte in &mut image[record + 0x3c..record + 0x40] {
        *byte = 0xff;
    }
    assert_eq!(ntfs(&image).label, None);
}

proptest! {
    #[test]
    fn no_bytes_do_harm(
        mark in 0..MARKS.len(),
        mut head in proptest::collection::vec(any::<u8>(), 4096),
        length in 0_usize..140_000,
        sane in any::<bool>(),
    ) {
        head[510] = 0x55;
        head[511] = 0xaa;
        if sane {
            // A geometry that lets the parsers go on to the directories.
            head[11] = 0;
            head[12] = 2;
            head[13] = 8;
            for high in [0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 38, 39, 46, 47, 0x5a, 0x5b, 0x62, 0x63] {
                head[high] = 0;
            }
            head[0x6c] = 9;
            head[0x6d] = 3;
            head[0x40] = 0xf6;
        }
        let mut image: Vec<u8> = head.iter().copied().cycle().take(length).collect();
        let (fs_type, at, magic) = MARKS[mark];
        if let Some(place) = image.get_mut(at..at + magic.len()) {
            place.copy_from_slice(magic);
        }
        // Any answer but a panic will do; whatever is told has something in it.
        if let Some(found) = read(&image, fs_type).unwrap() {
            prop_assert!(found.label.is_none_or(|label| !label.is_empty()));
            prop_assert!(found.uuid.is_none_or(|uuid| uuid.len() >= 9));
        }
    }
}
