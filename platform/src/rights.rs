//! Who may use a pipe or a folder, and whose a process is: rights of this user alone, and users as texts.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    ACL, DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, GetTokenInformation,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, TOKEN_INFORMATION_CLASS, TOKEN_OWNER,
    TOKEN_QUERY, TOKEN_USER, TokenOwner, TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

/// A security descriptor that the system has made.
#[derive(Debug)]
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

// SAFETY: it is memory that nobody changes and that belongs to no thread.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// This user owns it and may do everything; nobody else may do anything, and no right comes from above.
    pub(crate) fn of_this_user() -> io::Result<Self> {
        let user = User::of_this_process()?.text()?;
        Self::parse(&format!("O:{user}D:P(A;;GA;;;{user})"))
    }

    /// For a folder that is this user's: the rights are those of all that is made in it, and the system and administrators
    /// have them too.
    pub(crate) fn of_this_users_folder() -> io::Result<Self> {
        let user = User::of_this_process()?.text()?;
        Self::parse(&format!(
            "O:{user}D:P(A;OICI;FA;;;{user})(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
        ))
    }

    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the text ends with a zero; `descriptor` is ours to be written, and its size need not be told.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        };
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(descriptor))
    }

    /// The list of who may do what; valid as long as this lives.
    pub(crate) fn dacl(&self) -> io::Result<*mut ACL> {
        let (mut present, mut by_default, mut list) = (0, 0, null_mut());
        // SAFETY: the descriptor lives, and all three answers are ours to be written.
        let told = unsafe {
            GetSecurityDescriptorDacl(self.0, &raw mut present, &raw mut list, &raw mut by_default)
        };
        if told == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(list)
    }

    /// For a call that wants one; valid as long as this lives.
    pub(crate) fn as_ptr(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the call that made it gave it to us, to be freed so.
        unsafe {
            LocalFree(self.0);
        }
    }
}

/// The user of a process, as its token has it.
pub(crate) struct User {
    /// A `TOKEN_USER` and behind it the identity it points to; of words, so that it is aligned.
    token_user: Vec<usize>,
    /// The same with a `TOKEN_OWNER`.
    token_owner: Vec<usize>,
}

impl User {
    pub(crate) fn of_this_process() -> io::Result<Self> {
        // SAFETY: takes nothing, and gives a handle that is always valid and never closed.
        Self::of(unsafe { GetCurrentProcess() })
    }

    pub(crate) fn of_process(id: u32) -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id) };
        if process.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just given us this handle, to close when we are done.
        let process = unsafe { OwnedHandle::from_raw_handle(process) };
        Self::of(process.as_raw_handle())
    }

    /// `process` is open.
    fn of(process: RawHandle) -> io::Result<Self> {
        let mut token = null_mut();
        // SAFETY: the process is open, and `token` is ours to be written.
        if unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just given us this handle, to close when we are done.
        let token = unsafe { OwnedHandle::from_raw_handle(token) };
        Ok(Self {
            token_user: asked(&token, TokenUser)?,
            token_owner: asked(&token, TokenOwner)?,
        })
    }

    /// As [`User::text`], of who owns what the process makes: for administrators that may be all of them.
    pub(crate) fn owner_of_what_it_makes(&self) -> io::Result<String> {
        // SAFETY: as in `text`, of a `TOKEN_OWNER`.
        let identity = unsafe { (*self.token_owner.as_ptr().cast::<TOKEN_OWNER>()).Owner };
        text_of(identity)
    }

    /// `S-1-5-…`, one text for each user.
    pub(crate) fn text(&self) -> io::Result<String> {
        // SAFETY: the system has written a `TOKEN_USER` there, aligned as words are, and it points into the same buffer,
        // which a move of the `Vec` does not move.
        let identity = unsafe { (*self.token_user.as_ptr().cast::<TOKEN_USER>()).User.Sid };
        text_of(identity)
    }
}

/// What a token tells of one sort.
fn asked(token: &OwnedHandle, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<usize>> {
    // No identity has more than 68 bytes.
    let mut told = vec![0_usize; 32];
    let mut length = u32::try_from(size_of_val(&*told)).map_err(io::Error::other)?;
    // SAFETY: the token is open; the buffer is as long as is said, and aligned for what is written.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            class,
            told.as_mut_ptr().cast(),
            length,
            &raw mut length,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(told)
}

/// `S-1-5-…`. The identity lives until this returns.
pub(crate) fn text_of(identity: PSID) -> io::Result<String> {
    let mut text: *mut u16 = null_mut();
    // SAFETY: the identity lives, as the caller sees to, and `text` is ours to be written.
    if unsafe { ConvertSidToStringSidW(identity, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    taken(text)
}

/// Who owns something of the kernel's that is open, a pipe for one; as [`User::text`]. Only who is that user, or may do anything
/// anyway, can make something of this owner.
pub(crate) fn owner_of(object: RawHandle) -> io::Result<String> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the object is open, as the caller sees to, and both answers are ours to be written; the others are not asked for.
    let status = unsafe {
        GetSecurityInfo(
            object,
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    if status != ERROR_SUCCESS {
        return Err(io::Error::from_raw_os_error(status.cast_signed()));
    }
    // Freed at the end; the owner is within it.
    let _descriptor = Descriptor(descriptor);
    text_of(owner)
}

/// The list of who may do what, as text. The descriptor lives until this returns.
pub(crate) fn dacl_text(descriptor: PSECURITY_DESCRIPTOR) -> io::Result<String> {
    let mut text: *mut u16 = null_mut();
    // SAFETY: the descriptor lives, as the caller sees to, and `text` is ours to be written; its length need not be told.
    let told = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut text,
            null_mut(),
        )
    };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    taken(text)
}

/// A text that the system has given us, up to a zero, to be freed.
fn taken(text: *mut u16) -> io::Result<String> {
    let mut units = Vec::new();
    // SAFETY: the call gave us units up to a zero; none is read behind that.
    unsafe {
        let mut at: *const u16 = text;
        while *at != 0 {
            units.push(*at);
            at = at.add(1);
        }
        LocalFree(text.cast());
    }
    String::from_utf16(&units).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Others are kept out by the descriptor before they are asked who they are.
    #[test]
    fn the_pipe_belongs_to_this_user_alone() {
        let user = User::of_this_process().unwrap().text().unwrap();
        assert!(user.starts_with("S-1-5-"), "{user}");
        let same = User::of_process(std::process::id()).unwrap();
        assert_eq!(same.text().unwrap(), user);
        let descriptor = Descriptor::of_this_user().unwrap();
        let mut text: *mut u16 = null_mut();
        let mut length = 0;
        // SAFETY: the descriptor lives, and both answers are ours to be written.
        let told = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor.0,
                SDDL_REVISION_1,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                &raw mut text,
                &raw mut length,
            )
        };
        assert_ne!(told, 0);
        // SAFETY: the call gave us so many units, the zero at the end among them.
        let text = unsafe { std::slice::from_raw_parts(text, length as usize) };
        let text = String::from_utf16_lossy(text);
        assert!(text.contains(&format!("O:{user}")), "{text}");
        assert_eq!(text.matches('(').count(), 1, "{text}");
        assert!(text.contains(&format!(";;;{user})")), "{text}");
    }
}
