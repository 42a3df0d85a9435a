//! WinFsp's DLL: where its installer has put it, and loaded from there and from nowhere else.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::ERROR_SUCCESS;
use windows_sys::Win32::System::LibraryLoader::LoadLibraryW;
use windows_sys::Win32::System::Registry::{HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RegGetValueW};

/// Where installers say where they have put it: of 32 bits, as WinFsp's has, and others.
pub(super) const KEYS: [&str; 2] = [r"SOFTWARE\WOW6432Node\WinFsp", r"SOFTWARE\WinFsp"];
const VALUE: &str = "InstallDir";
#[cfg(target_arch = "x86_64")]
const DLL: &str = "winfsp-x64.dll";
#[cfg(target_arch = "aarch64")]
const DLL: &str = "winfsp-a64.dll";
#[cfg(target_arch = "x86")]
const DLL: &str = "winfsp-x86.dll";

/// Why there is no WinFsp.
#[derive(Debug)]
pub(super) enum NotLoaded {
    NotInstalled,
    Unusable { dll: PathBuf, source: io::Error },
}

/// Loads it. Once that is done, what is linked to it finds it by its name.
pub(super) fn load(keys: &[&str]) -> Result<(), NotLoaded> {
    let folder = keys.iter().find_map(|key| installed(key));
    load_from(&folder.ok_or(NotLoaded::NotInstalled)?)
}

fn load_from(folder: &Path) -> Result<(), NotLoaded> {
    let dll = folder.join("bin").join(DLL);
    let path: Vec<u16> = dll.as_os_str().encode_wide().chain([0]).collect();
    // SAFETY: the path ends with a zero. The DLL is one that only administrators can have put there; it stays for good.
    if unsafe { LoadLibraryW(path.as_ptr()) }.is_null() {
        let source = io::Error::last_os_error();
        // Windows says the same (ERROR_MOD_NOT_FOUND) of one that is not there and of one that needs another that is not.
        return Err(match dll.try_exists() {
            // Removed since, with the key left.
            Ok(false) => NotLoaded::NotInstalled,
            Ok(true) | Err(_) => NotLoaded::Unusable { dll, source },
        });
    }
    Ok(())
}

fn installed(key: &str) -> Option<PathBuf> {
    let wide = |text: &str| -> Vec<u16> { text.encode_utf16().chain([0]).collect() };
    let (key, value) = (wide(key), wide(VALUE));
    let mut path = vec![0_u16; 1024];
    let mut length = u32::try_from(size_of_val(&*path)).ok()?;
    // SAFETY: key and value end with a zero; the buffer is as long as is said, and `length` is ours to be written.
    let read = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            value.as_ptr(),
            RRF_RT_REG_SZ,
            null_mut(),
            path.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if read != ERROR_SUCCESS {
        return None;
    }
    let path = path.split(|unit| *unit == 0).next()?;
    (!path.is_empty()).then(|| PathBuf::from(OsString::from_wide(path)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn where_it_is_not_installed_that_is_said() {
        let none = load(&[r"SOFTWARE\WOW6432Node\mediafs has no such key"]);
        assert!(matches!(none, Err(NotLoaded::NotInstalled)));
    }

    #[test]
    fn one_that_was_removed_is_not_installed_and_a_broken_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let removed = load_from(folder.path());
        assert!(
            matches!(removed, Err(NotLoaded::NotInstalled)),
            "{removed:?}"
        );
        let dll = folder.path().join("bin").join(DLL);
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(&dll, "no program").unwrap();
        let broken = load_from(folder.path());
        assert!(
            matches!(&broken, Err(NotLoaded::Unusable { dll: told, .. }) if *told == dll),
            "{broken:?}"
        );
    }
}
