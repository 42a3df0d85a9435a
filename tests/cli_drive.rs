//! The command line beside a running drive: names of any bytes, libraries that come and go, what is told of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::sounds::wav;
use support::{Home, path_of};

/// The path that a path of the protocol stands for.
fn path_from(text: &Value) -> PathBuf {
    let text = text.as_str().unwrap();
    let Some(rest) = text.strip_prefix("file://") else {
        return PathBuf::from(text);
    };
    let mut bytes = Vec::new();
    let mut rest = rest.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes).into()
}

#[test]
fn names_of_any_bytes_stay_apart_and_lead_back() {
    let home = Home::new();
    let names: [&[u8]; 6] = [
        b"x\xe8.wav",
        b"x\xe9.wav",
        b"x%E9.wav",
        b"x%25E9.wav",
        "x\u{fffd}.wav".as_bytes(),
        b"new\nline.wav",
    ];
    let folder = home.library().join(OsStr::from_bytes(b"f\xfc%20r"));
    std::fs::create_dir(&folder).unwrap();
    for (seed, name) in (1..).zip(names) {
        let file = folder.join(OsStr::from_bytes(name));
        std::fs::write(file, wav(100 + seed, seed)).unwrap();
    }
    let mounted = home.mount();
    let items = home.wait_for_items(names.len());
    for field in ["/name", "/storage/path", "/resolvedPath", "/path"] {
        let all: BTreeSet<&str> = items
            .iter()
            .map(|item| item.pointer(field).unwrap().as_str().unwrap())
            .collect();
        assert_eq!(all.len(), names.len(), "{field}: {all:?}");
    }
    for item in &items {
        let id = item["mediaId"].as_str().unwrap();
        let file = path_from(&item["resolvedPath"]);
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(
            std::fs::read(home.on_drive(path_of(item))).unwrap(),
            bytes,
            "{item}"
        );
        let below = file.strip_prefix(home.library()).unwrap();
        let in_library = home.on_drive("library/library").join(below);
        assert_eq!(std::fs::read(&in_library).unwrap(), bytes, "{item}");
        // Back by what was printed, by the file, and by both doors of the drive.
        let printed = item["resolvedPath"].as_str().unwrap();
        let on_drive = home.on_drive(path_of(item));
        for path in [Path::new(printed), &file, &in_library, &on_drive] {
            let shown = home.json([OsStr::new("show"), path.as_os_str()]);
            assert_eq!(shown["mediaId"], id, "{}", path.display());
            let again = home.json([OsStr::new("import"), path.as_os_str()]);
            assert_eq!(again[0]["mediaId"], id, "{}", path.display());
            assert_eq!(again[0]["outcome"], "already", "{}", path.display());
            assert_eq!(again[0]["path"], item["path"], "{}", path.display());
        }
        home.run(["relink", id, printed]);
    }
    assert_eq!(home.items().len(), names.len());
    mounted.stop();
}
