//! Who may do what on the drive, as Windows keeps it: security descriptors of this user.
//!
//! All that is not for writing may be read and run, no more; so a program that asks for "as much as I may have" is not taken
//! for one that writes. In any folder this user may try to make something: whether it can be made is the drive's to say.

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    EqualSid, GetSecurityDescriptorOwner, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
};

use super::adapter::Rights;
use super::status::Status;
use crate::rights::User;

/// Read and run: `FILE_GENERIC_READ | FILE_GENERIC_EXECUTE`.
const READ: u32 = 0x0012_00a9;
/// Make files and folders, and set attributes: `FILE_ADD_FILE | FILE_ADD_SUBDIRECTORY | FILE_WRITE_EA |
/// FILE_WRITE_ATTRIBUTES`.
const MAKE: u32 = 0x0000_0116;
/// `FILE_ALL_ACCESS`.
const ALL: u32 = 0x001f_01ff;

/// The descriptors, as bytes that can be copied.
pub(super) struct Descriptors {
    folder: Vec<u8>,
    writable_folder: Vec<u8>,
    file: Vec<u8>,
    writable_file: Vec<u8>,
}

impl Descriptors {
    /// Of what this user owns. With `everybody` other users may read.
    pub(super) fn of_this_user(everybody: bool) -> io::Result<Self> {
        let user = User::of_this_process()?.text()?;
        let made = |rights| made(&user, rights, everybody);
        Ok(Self {
            folder: made(READ | MAKE)?,
            writable_folder: made(ALL)?,
            file: made(READ)?,
            writable_file: made(ALL)?,
        })
    }

    pub(super) fn of(&self, rights: Rights) -> &[u8] {
        match (rights.is_folder, rights.is_writable) {
            (true, false) => &self.folder,
            (true, true) => &self.writable_folder,
            (false, false) => &self.file,
            (false, true) => &self.writable_file,
        }
    }

    /// Takes what a program wants to be kept of a descriptor, and keeps what was: as with attributes, who may write to something
    /// is told yes. A program that saves by `ReplaceFile` gives the new file the rights of the old one and stops where it
    /// cannot. Another owner is refused, as every disk does to who is no administrator.
    ///
    /// # Safety
    /// `wanted` is a descriptor.
    pub(super) unsafe fn take(
        &self,
        rights: Rights,
        information: u32,
        wanted: PSECURITY_DESCRIPTOR,
    ) -> Result<(), Status> {
        if !rights.is_writable {
            return Err(Status::ACCESS_DENIED);
        }
        if information & OWNER_SECURITY_INFORMATION == 0 {
            return Ok(());
        }
        let own = self.of(rights).as_ptr().cast_mut().cast();
        // SAFETY: both are descriptors, and live until the answers, which point into them, are compared.
        let is_own = unsafe {
            let (own, wanted) = (owner(own), owner(wanted));
            !own.is_null() && !wanted.is_null() && EqualSid(own, wanted) != 0
        };
        match is_own {
            true => Ok(()),
            false => Err(Status::INVALID_OWNER),
        }
    }
}

/// Whose something is; null where that is not said.
///
/// # Safety
/// It is a descriptor. What is given lives as long as it does.
unsafe fn owner(of: PSECURITY_DESCRIPTOR) -> PSID {
    let (mut owner, mut by_default) = (null_mut(), 0);
    // SAFETY: it is a descriptor, and both answers are ours to be written.
    match unsafe { GetSecurityDescriptorOwner(of, &raw mut owner, &raw mut by_default) } {
        0 => null_mut(),
        _ => owner,
    }
}

/// Owner, and group as checks of access insist on one, is the user. Administrators and the system read what the user has:
/// programs that run elevated, by another account too, and scanners.
pub(super) fn made(user: &str, rights: u32, everybody: bool) -> io::Result<Vec<u8>> {
    let others = match everybody {
        true => format!("(A;;{READ:#x};;;WD)"),
        false => String::new(),
    };
    let text = format!(
        "O:{user}G:{user}D:P(A;;{rights:#x};;;{user})(A;;{READ:#x};;;SY)(A;;{READ:#x};;;BA){others}"
    );
    let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    let mut length = 0;
    // SAFETY: the text ends with a zero; both answers are ours to be written.
    let converted = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            &raw mut length,
        )
    };
    if converted == 0 {
        return Err(io::Error::last_os_error());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // SAFETY: the call gave us a descriptor in one piece of this length, to be freed so, which is done after the copy.
    unsafe {
        let bytes = std::slice::from_raw_parts(descriptor.cast::<u8>(), length).to_vec();
        LocalFree(descriptor);
        Ok(bytes)
    }
}
