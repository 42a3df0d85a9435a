//! Whether a file's bytes are on the disk or with a cloud provider only, told without reading it. Runs in couriers.
//!
//! What a system itself knows of such files, [`mediafs_platform::cloud`] tells; Linux knows none. Two signs are known there.
//! Clients of Nextcloud and ownCloud keep a file of one byte, the name lengthened by their suffix, in the place of one that
//! is online-only; it is listed under the name without the suffix, as that is the file's name before it was made
//! online-only and after it is fetched: so the item stays the same, with all that is known of it, as long as what stands
//! for it has the time of its content. The size of an item that was never here is not known: it is shown with that of
//! what stands for it. (Where both are there, the file counts, and the other one is passed over.) And openVFS, of
//! ownCloud and OpenCloud, marks files by extended attributes: `user.openvfs.state` in words, or the state within the
//! MessagePack of `user.openvfs.data`. Fewer blocks than bytes are no sign: compressed files have that, too.

use std::ffi::{OsStr, OsString};

pub use mediafs_platform::cloud::Residency;
use mediafs_platform::names;

use super::disk::LocalFolder;

/// What is put behind the names of files that are online-only.
const SUFFIXES: &[&[u8]] = &[b".nextcloud", b".owncloud"];
/// What such a file holds.
const SUFFIX_FILE_SIZE: u64 = 1;
/// openVFS until 2025, and since.
const STATE: &str = "user.openvfs.state";
const DATA: &str = "user.openvfs.data";

/// The name of the file that a file of this name and size stands for.
pub(super) fn stands_for(name: &OsStr, size: u64) -> Option<OsString> {
    if size != SUFFIX_FILE_SIZE {
        return None;
    }
    let bytes = name.as_encoded_bytes();
    let mut plain = SUFFIXES.iter().filter_map(|s| bytes.strip_suffix(*s));
    let plain = plain.next().filter(|plain| !plain.is_empty())?;
    Some(names::lossy(plain.to_vec()))
}

/// What the attributes of the file `name` say. Where a file system knows no attributes, `false` as the second says that
/// its other files need not be asked.
pub(super) fn by_attributes(folder: &LocalFolder, name: &OsStr) -> (Residency, bool) {
    let state = match folder.attribute(name, STATE) {
        Ok(state) => state,
        Err(_) => return (Residency::Here, false),
    };
    let state = match state {
        Some(state) => Some(of_state(&state)),
        None => match folder.attribute(name, DATA) {
            Ok(Some(data)) => Some(of_data(&data)),
            _ => None,
        },
    };
    (state.unwrap_or(Residency::Here), true)
}

fn of_state(state: &[u8]) -> Residency {
    match state.strip_suffix(b"\0").unwrap_or(state) {
        b"hydrated" | b"" => Residency::Here,
        // `dehydrated`, `hydrating`, or what is not known yet.
        _ => Residency::OnlineOnly,
    }
}

/// The value of `state` in a map: a small number, 0 where the bytes are here.
fn of_data(data: &[u8]) -> Residency {
    const KEY: &[u8] = b"\xa5state";
    let at = data.windows(KEY.len()).position(|part| part == KEY);
    match at.and_then(|at| data.get(at + KEY.len())) {
        Some(0) => Residency::Here,
        // Anything that can't be told must not be read.
        _ => Residency::OnlineOnly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_files_stand_for_others() {
        let of = |name: &str, size| stands_for(OsStr::new(name), size);
        assert_eq!(of("a.wav.nextcloud", 1), Some("a.wav".into()));
        assert_eq!(of("b.owncloud", 1), Some("b".into()));
        assert_eq!(of("a.wav.nextcloud", 2), None);
        assert_eq!(of(".nextcloud", 1), None);
        assert_eq!(of("a.wav", 1), None);
    }

    #[test]
    fn states_are_told() {
        assert_eq!(of_state(b"hydrated"), Residency::Here);
        assert_eq!(of_state(b"dehydrated"), Residency::OnlineOnly);
        assert_eq!(of_state(b"hydrating\0"), Residency::OnlineOnly);
        assert_eq!(of_data(b"\x82\xa4size\x07\xa5state\x00"), Residency::Here);
        for odd in [
            b"\x81\xa5state\x01".as_slice(),
            b"\x81\xa5state",
            b"",
            b"{}",
        ] {
            assert_eq!(of_data(odd), Residency::OnlineOnly);
        }
    }
}
