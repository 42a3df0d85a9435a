//! By an access list that names this user, and that what is made within inherits. It names the system and administrators as
//! well, who may enter everywhere on other systems: programs that back up, look for harm, or remove what was installed.

use std::io;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    GetNamedSecurityInfoW, SE_FILE_OBJECT, SetNamedSecurityInfoW,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;

use super::{PrivateError, failed};
use crate::nt::{ended, is};
use crate::rights::{Descriptor, User, dacl_text, text_of};

pub(super) fn folder(path: &Path) -> Result<(), PrivateError> {
    let ours = Descriptor::of_this_users_folder().map_err(failed("asking who this user is"))?;
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(failed("making the folder"))?;
    }
    // The calls take long paths in this form only, and links are to be followed.
    let there = match make(path, &ours) {
        Ok(()) => false,
        Err(error) if is(&error, ERROR_ALREADY_EXISTS) => true,
        Err(error) => return Err(failed("making the folder")(error)),
    };
    if !there {
        return Ok(());
    }
    let real = std::fs::canonicalize(path).map_err(failed("following the link"))?;
    if !real.is_dir() {
        return Err(failed("making the folder")(
            io::ErrorKind::NotADirectory.into(),
        ));
    }
    keep_others_out(&real, &ours)
}

fn make(path: &Path, rights: &Descriptor) -> io::Result<()> {
    let absolute = match path.parent().map(std::fs::canonicalize) {
        Some(Ok(above)) => above.join(path.file_name().unwrap_or_default()),
        _ => path.to_owned(),
    };
    let units = ended(absolute.as_os_str())?;
    let attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).map_err(io::Error::other)?,
        lpSecurityDescriptor: rights.as_ptr(),
        bInheritHandle: 0,
    };
    // SAFETY: the path ends with a zero; `attributes` points to a descriptor that lives as long as `rights`.
    match unsafe { CreateDirectoryW(units.as_ptr(), &raw const attributes) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn keep_others_out(path: &Path, ours: &Descriptor) -> Result<(), PrivateError> {
    let units = ended(path.as_os_str()).map_err(failed("looking at it"))?;
    let found = Found::at(&units).map_err(failed("looking at its rights"))?;
    let owner = text_of(found.owner).map_err(failed("looking at its owner"))?;
    let us = User::of_this_process()
        .and_then(|user| Ok([user.text()?, user.owner_of_what_it_makes()?]))
        .map_err(failed("asking who this user is"))?;
    if !us.contains(&owner) {
        return Err(PrivateError::Foreign { owner });
    }
    let wanted = dacl_text(ours.as_ptr()).map_err(failed("looking at its rights"))?;
    // To set them takes long where there is much in it.
    if dacl_text(found.descriptor).is_ok_and(|text| are_same(&text, &wanted)) {
        return Ok(());
    }
    let list = ours.dacl().map_err(failed("keeping others out"))?;
    // SAFETY: the path ends with a zero, and the list lives as long as `ours`; the rest is not set.
    let status = unsafe {
        SetNamedSecurityInfoW(
            units.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            list,
            null_mut(),
        )
    };
    as_result(status).map_err(failed("keeping others out"))
}

/// Do two lists, as texts, mean the same? Windows puts a word of its own (`AI`) between the `P` of one that nothing comes into
/// from above and its entries, and may put these into another order: all of them allow.
fn are_same(one: &str, other: &str) -> bool {
    let parts = |list: &str| -> Option<(bool, Vec<String>)> {
        let list = list.strip_prefix("D:")?;
        let (flags, entries) = list.split_at(list.find('(')?);
        let mut entries: Vec<String> = entries.split_inclusive(')').map(str::to_owned).collect();
        entries.sort_unstable();
        // No other flag of these has the letter.
        Some((flags.contains('P'), entries))
    };
    parts(one).is_some_and(|one| parts(other) == Some(one))
}

/// What the system says of a folder's rights.
struct Found {
    descriptor: PSECURITY_DESCRIPTOR,
    /// In the descriptor.
    owner: PSID,
}

impl Found {
    /// `path` ends with a zero.
    fn at(path: &[u16]) -> io::Result<Self> {
        let mut found = Self {
            descriptor: null_mut(),
            owner: null_mut(),
        };
        // SAFETY: the path ends with a zero, and the answers are ours to be written; the others are not wanted.
        let status = unsafe {
            GetNamedSecurityInfoW(
                path.as_ptr(),
                SE_FILE_OBJECT,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                &raw mut found.owner,
                null_mut(),
                null_mut(),
                null_mut(),
                &raw mut found.descriptor,
            )
        };
        as_result(status)?;
        Ok(found)
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        // SAFETY: the call that made it gave it to us, to be freed so; null is let alone.
        unsafe {
            LocalFree(self.descriptor);
        }
    }
}

fn as_result(status: u32) -> io::Result<()> {
    match status {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Wine keeps no lists, but makes them up from the rights of files; what can be told there is that one is set and that
    /// the owner is known.
    #[test]
    fn the_folder_has_an_owner_and_others_are_kept_out_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        let ours = Descriptor::of_this_users_folder().unwrap();
        keep_others_out(&path, &ours).unwrap();
        let units = ended(path.as_os_str()).unwrap();
        let found = Found::at(&units).unwrap();
        let user = User::of_this_process().unwrap();
        let us = [user.text().unwrap(), user.owner_of_what_it_makes().unwrap()];
        assert!(us.contains(&text_of(found.owner).unwrap()));
        let list = dacl_text(found.descriptor).unwrap();
        // `WD` is everybody.
        assert!(!list.contains("FA;;;WD"), "{list}");
        let wanted = dacl_text(ours.as_ptr()).unwrap();
        assert!(
            wanted.starts_with("D:P") && wanted.contains("OICI"),
            "{wanted}"
        );
        assert_eq!(wanted.matches('(').count(), 3, "{wanted}");
        for who in [";;;SY)", ";;;BA)"] {
            assert!(wanted.contains(who), "{wanted}");
        }
    }

    #[test]
    fn rights_that_are_set_already_are_not_set_again() {
        let ours = "D:P(A;OICI;FA;;;S-1-5-21-1)(A;OICI;FA;;;SY)";
        // As Windows tells them once they are set.
        assert!(are_same(
            "D:PAI(A;OICI;FA;;;S-1-5-21-1)(A;OICI;FA;;;SY)",
            ours
        ));
        assert!(are_same(
            "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;S-1-5-21-1)",
            ours
        ));
        for other in [
            "D:AI(A;OICI;FA;;;S-1-5-21-1)(A;OICI;FA;;;SY)",
            "D:PAI(A;OICI;FA;;;S-1-5-21-1)(A;OICI;FA;;;SY)(A;OICI;FR;;;WD)",
            "D:PAI(A;OICI;FA;;;S-1-5-21-1)",
            "D:PAI(A;;FA;;;S-1-5-21-1)(A;OICI;FA;;;SY)",
            "D:NO_ACCESS_CONTROL",
            "D:P",
            "",
        ] {
            assert!(!are_same(other, ours), "{other}");
        }
    }
}
