//! Values of the registry of Windows, of this user.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS, ERROR_PATH_NOT_FOUND,
    ERROR_SUCCESS, WIN32_ERROR,
};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, KEY_ENUMERATE_SUB_KEYS, REG_ROUTINE_FLAGS, REG_SZ, REG_VALUE_TYPE,
    RRF_RT_REG_BINARY, RRF_RT_REG_SZ, RegCloseKey, RegDeleteKeyValueW, RegEnumKeyExW, RegGetValueW,
    RegOpenKeyExW, RegSetKeyValueW,
};

/// No value of interest is longer, in bytes.
const LONGEST: usize = 1 << 20;
/// Names of keys have at most 255 units.
const LONGEST_NAME: usize = 256;

/// A text; `None` if there is none.
pub(crate) fn text(key: &str, name: &str) -> io::Result<Option<OsString>> {
    let Some(bytes) = value(key, name, RRF_RT_REG_SZ)? else {
        return Ok(None);
    };
    let units = bytes.chunks_exact(2);
    let units = units.map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    Ok(Some(OsString::from_wide(&units)))
}

/// Bytes; `None` if there are none.
pub(crate) fn bytes(key: &str, name: &str) -> io::Result<Option<Vec<u8>>> {
    value(key, name, RRF_RT_REG_BINARY)
}

/// Writes a text; the key is made if it is missing.
pub(crate) fn set_text(key: &str, name: &str, text: &str) -> io::Result<()> {
    let units = ended(text);
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_ne_bytes()).collect();
    set(key, name, REG_SZ, &bytes)
}

/// Writes bytes; the key is made if it is missing.
#[cfg(test)]
pub(crate) fn set_bytes(key: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    set(
        key,
        name,
        windows_sys::Win32::System::Registry::REG_BINARY,
        bytes,
    )
}

/// Takes a value away; tells whether there was one.
pub(crate) fn remove(key: &str, name: &str) -> io::Result<bool> {
    let (key, name) = (ended(key), ended(name));
    // SAFETY: both names end with a zero and live until the call returns.
    let told = unsafe { RegDeleteKeyValueW(HKEY_CURRENT_USER, key.as_ptr(), name.as_ptr()) };
    Ok(there(told)?.is_some())
}

/// The names of the keys below a key; none if it is missing.
pub(crate) fn keys_below(key: &str) -> io::Result<Vec<String>> {
    let key = ended(key);
    let mut open: HKEY = null_mut();
    // SAFETY: the name ends with a zero and lives until the call returns; `open` is ours to be written.
    let told = unsafe {
        RegOpenKeyExW(
            HKEY_CURRENT_USER,
            key.as_ptr(),
            0,
            KEY_ENUMERATE_SUB_KEYS,
            &raw mut open,
        )
    };
    if there(told)?.is_none() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    let ended = loop {
        let mut name = [0_u16; LONGEST_NAME];
        let mut units = LONGEST_NAME as u32;
        let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
        // SAFETY: the key is open; the name has so many units as is said; what else could be told is not asked for.
        let told = unsafe {
            RegEnumKeyExW(
                open,
                number,
                name.as_mut_ptr(),
                &raw mut units,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        match told {
            ERROR_SUCCESS => names.push(String::from_utf16_lossy(&name[..units as usize])),
            ERROR_NO_MORE_ITEMS => break Ok(names),
            error => break Err(io::Error::from_raw_os_error(error.cast_signed())),
        }
    };
    // SAFETY: the key is open, and not used after this.
    unsafe { RegCloseKey(open) };
    ended
}

fn value(key: &str, name: &str, kind: REG_ROUTINE_FLAGS) -> io::Result<Option<Vec<u8>>> {
    let (key, name) = (ended(key), ended(name));
    let mut length = 512;
    loop {
        let mut bytes = vec![0_u8; length];
        let mut given = u32::try_from(length).map_err(io::Error::other)?;
        // SAFETY: both names end with a zero and live until the call returns; the buffer has so many bytes as is said.
        let told = unsafe {
            RegGetValueW(
                HKEY_CURRENT_USER,
                key.as_ptr(),
                name.as_ptr(),
                kind,
                null_mut(),
                bytes.as_mut_ptr().cast(),
                &raw mut given,
            )
        };
        if told == ERROR_MORE_DATA && length < LONGEST {
            length = (given as usize).clamp(length * 2, LONGEST);
            continue;
        }
        return Ok(there(told)?.map(|()| {
            bytes.truncate(given as usize);
            bytes
        }));
    }
}

fn set(key: &str, name: &str, kind: REG_VALUE_TYPE, bytes: &[u8]) -> io::Result<()> {
    let (key, name) = (ended(key), ended(name));
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    // SAFETY: both names end with a zero and live until the call returns, as do so many bytes as is said.
    let told = unsafe {
        RegSetKeyValueW(
            HKEY_CURRENT_USER,
            key.as_ptr(),
            name.as_ptr(),
            kind,
            bytes.as_ptr().cast(),
            length,
        )
    };
    match told {
        ERROR_SUCCESS => Ok(()),
        error => Err(io::Error::from_raw_os_error(error.cast_signed())),
    }
}

/// `None` where a key or a value is missing.
fn there(told: WIN32_ERROR) -> io::Result<Option<()>> {
    match told {
        ERROR_SUCCESS => Ok(Some(())),
        ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => Ok(None),
        error => Err(io::Error::from_raw_os_error(error.cast_signed())),
    }
}

/// Units with a zero at the end.
fn ended(text: &str) -> Vec<u16> {
    OsStr::new(text).encode_wide().chain([0]).collect()
}
