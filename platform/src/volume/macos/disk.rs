//! What a disk hangs on, as DiskArbitration describes it. Its daemon is asked, never the disk.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null;

use super::super::on_disk::Told;

type Object = *const c_void;
/// `Boolean` of CoreFoundation.
type Boolean = u8;

/// `kCFStringEncodingUTF8`.
const UTF8: u32 = 0x0800_0100;

// CFBase.h, CFDictionary.h, CFNumber.h, CFString.h.
#[link(name = "CoreFoundation", kind = "framework")]
unsafe extern "C" {
    fn CFRelease(object: Object);
    fn CFGetTypeID(object: Object) -> usize;
    fn CFDictionaryGetValue(dictionary: Object, key: Object) -> Object;
    fn CFBooleanGetTypeID() -> usize;
    fn CFBooleanGetValue(boolean: Object) -> Boolean;
    fn CFStringGetTypeID() -> usize;
    fn CFStringGetCString(text: Object, buffer: *mut c_char, size: isize, encoding: u32)
    -> Boolean;
}

// DASession.h, DADisk.h.
#[link(name = "DiskArbitration", kind = "framework")]
unsafe extern "C" {
    static kDADiskDescriptionDeviceInternalKey: Object;
    static kDADiskDescriptionDeviceProtocolKey: Object;
    static kDADiskDescriptionMediaRemovableKey: Object;
    fn DASessionCreate(allocator: Object) -> Object;
    fn DADiskCreateFromBSDName(allocator: Object, session: Object, name: *const c_char) -> Object;
    fn DADiskCopyDescription(disk: Object) -> Object;
}

/// What was created or copied, which is ours to be let go of.
struct Owned(Object);

impl Owned {
    fn of(object: Object) -> Option<Self> {
        (!object.is_null()).then_some(Self(object))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it is an object of CoreFoundation, it is ours, and not used after this.
        unsafe { CFRelease(self.0) };
    }
}

/// One that asks.
pub(super) struct Disks(Owned);

impl Disks {
    pub(super) fn new() -> Option<Self> {
        // SAFETY: null is the usual allocator.
        Owned::of(unsafe { DASessionCreate(null()) }).map(Self)
    }

    /// What is told of the disk at `/dev/NAME`.
    pub(super) fn told_of(&self, name: &str) -> Option<Told> {
        let name = CString::new(name).ok()?;
        // SAFETY: null is the usual allocator, the session lives, and the name ends with a zero.
        let disk = unsafe { DADiskCreateFromBSDName(null(), self.0.0, name.as_ptr()) };
        let disk = Owned::of(disk)?;
        // SAFETY: the disk lives.
        let description = Owned::of(unsafe { DADiskCopyDescription(disk.0) })?;
        // SAFETY: the description is a dictionary, which lives, and the keys are of DiskArbitration.
        unsafe {
            Some(Told {
                is_internal: boolean(&description, kDADiskDescriptionDeviceInternalKey),
                is_removable: boolean(&description, kDADiskDescriptionMediaRemovableKey),
                protocol: text(&description, kDADiskDescriptionDeviceProtocolKey),
            })
        }
    }
}

/// # Safety
/// It is a dictionary, and the key an object.
unsafe fn boolean(dictionary: &Owned, key: Object) -> Option<bool> {
    // SAFETY: as said above; the value is the dictionary's, and asked only as what it is.
    unsafe {
        let value = CFDictionaryGetValue(dictionary.0, key);
        let is_one = !value.is_null() && CFGetTypeID(value) == CFBooleanGetTypeID();
        is_one.then(|| CFBooleanGetValue(value) != 0)
    }
}

/// # Safety
/// It is a dictionary, and the key an object.
unsafe fn text(dictionary: &Owned, key: Object) -> Option<String> {
    let mut buffer = [0_u8; 128];
    // SAFETY: as said above; the value is the dictionary's, and asked only as what it is; no more is written than the buffer
    // holds, with a zero at the end.
    unsafe {
        let value = CFDictionaryGetValue(dictionary.0, key);
        if value.is_null() || CFGetTypeID(value) != CFStringGetTypeID() {
            return None;
        }
        let room = isize::try_from(buffer.len()).ok()?;
        if CFStringGetCString(value, buffer.as_mut_ptr().cast(), room, UTF8) == 0 {
            return None;
        }
    }
    let text = CStr::from_bytes_until_nul(&buffer).ok()?;
    text.to_str().ok().map(str::to_owned)
}
