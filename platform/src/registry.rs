//! Values of the registry of Windows: this user's are read and written, the machine's read.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS, ERROR_PATH_NOT_FOUND,
    ERROR_SUCCESS, WIN32_ERROR,
};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, KEY_ENUMERATE_SUB_KEYS, KEY_QUERY_VALUE,
    REG_ROUTINE_FLAGS, REG_SAM_FLAGS, REG_SZ, REG_VALUE_TYPE, RRF_RT_REG_BINARY, RRF_RT_REG_SZ,
    RegCloseKey, RegDeleteKeyValueW, RegEnumKeyExW, RegEnumValueW, RegGetValueW, RegOpenKeyExW,
    RegSetKeyValueW,
};

/// No value of interest is longer, in bytes.
const LONGEST: usize = 1 << 20;
/// Names of keys have at most 255 units, those of values 16,383.
const LONGEST_NAME: usize = 16_384;
/// The longest path, in bytes.
const LONGEST_TEXT: usize = 65_536;

/// Whose values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    User,
    Machine,
}

impl Of {
    fn top(self) -> HKEY {
        match self {
            Self::User => HKEY_CURRENT_USER,
            Self::Machine => HKEY_LOCAL_MACHINE,
        }
    }
}

/// A text of this user; `None` if there is none.
pub(crate) fn text(key: &str, name: &str) -> io::Result<Option<OsString>> {
    let bytes = value(key, name, RRF_RT_REG_SZ)?;
    Ok(bytes.map(|bytes| text_of(&bytes)))
}

fn text_of(bytes: &[u8]) -> OsString {
    let units = bytes.chunks_exact(2);
    let units = units.map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    OsString::from_wide(&units)
}

/// Bytes of this user; `None` if there are none.
pub(crate) fn bytes(key: &str, name: &str) -> io::Result<Option<Vec<u8>>> {
    value(key, name, RRF_RT_REG_BINARY)
}

/// Writes a text of this user; the key is made if it is missing.
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

/// Takes a value of this user away; tells whether there was one.
pub(crate) fn remove(key: &str, name: &str) -> io::Result<bool> {
    let (key, name) = (ended(key), ended(name));
    // SAFETY: both names end with a zero and live until the call returns.
    let told = unsafe { RegDeleteKeyValueW(HKEY_CURRENT_USER, key.as_ptr(), name.as_ptr()) };
    Ok(there(told)?.is_some())
}

/// Takes a key of this user away.
#[cfg(test)]
pub(crate) fn remove_key(key: &str) -> io::Result<()> {
    let key = ended(key);
    // SAFETY: the name ends with a zero and lives until the call returns.
    let told = unsafe {
        windows_sys::Win32::System::Registry::RegDeleteKeyW(HKEY_CURRENT_USER, key.as_ptr())
    };
    there(told).map(drop)
}

/// The names of the keys below a key; none if it is missing.
pub(crate) fn keys_below(of: Of, key: &str) -> io::Result<Vec<String>> {
    let Some(key) = Key::open(of, key, KEY_ENUMERATE_SUB_KEYS)? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    loop {
        let mut name = [0_u16; LONGEST_NAME];
        let mut units = LONGEST_NAME as u32;
        let number = u32::try_from(names.len()).map_err(io::Error::other)?;
        // SAFETY: the key is open; the name has so many units as is said; what else could be told is not asked for.
        let told = unsafe {
            RegEnumKeyExW(
                key.0,
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
            ERROR_NO_MORE_ITEMS => return Ok(names),
            error => return Err(io::Error::from_raw_os_error(error.cast_signed())),
        }
    }
}

/// All texts of a key, whatever their names; none if it is missing. Those that are far too long are left out.
pub(crate) fn texts(of: Of, key: &str) -> io::Result<Vec<OsString>> {
    let Some(key) = Key::open(of, key, KEY_QUERY_VALUE)? else {
        return Ok(Vec::new());
    };
    let mut texts = Vec::new();
    for number in 0.. {
        let mut name = [0_u16; LONGEST_NAME];
        let (mut units, mut kind) = (LONGEST_NAME as u32, 0);
        let mut bytes = vec![0_u8; LONGEST_TEXT];
        let mut length = LONGEST_TEXT as u32;
        // SAFETY: the key is open; the name has so many units, and the buffer so many bytes, as is said; `kind` is ours to be
        // written.
        let told = unsafe {
            RegEnumValueW(
                key.0,
                number,
                name.as_mut_ptr(),
                &raw mut units,
                null_mut(),
                &raw mut kind,
                bytes.as_mut_ptr(),
                &raw mut length,
            )
        };
        match told {
            ERROR_SUCCESS if kind == REG_SZ => texts.push(text_of(&bytes[..length as usize])),
            ERROR_SUCCESS | ERROR_MORE_DATA => {}
            ERROR_NO_MORE_ITEMS => break,
            error => return Err(io::Error::from_raw_os_error(error.cast_signed())),
        }
    }
    Ok(texts)
}

/// An open key.
struct Key(HKEY);

impl Key {
    fn open(of: Of, key: &str, access: REG_SAM_FLAGS) -> io::Result<Option<Self>> {
        let key = ended(key);
        let mut open: HKEY = null_mut();
        // SAFETY: the name ends with a zero and lives until the call returns; `open` is ours to be written.
        let told = unsafe { RegOpenKeyExW(of.top(), key.as_ptr(), 0, access, &raw mut open) };
        Ok(there(told)?.map(|()| Self(open)))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key is open, and not used after this.
        unsafe { RegCloseKey(self.0) };
    }
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
