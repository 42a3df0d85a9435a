//! Tells that volumes come and go, as DiskArbitration does: a session, whose callbacks run on a queue of its own.
//!
//! It tells of disks that appear and disappear, and of those whose mount point changes, which is a mount or an unmount of
//! any local volume. Shares are mounted without it: whoever is told looks now and then by themselves, too.
//!
//! And it asks before it unmounts a volume, for whatever program wants that. That is granted, once what we have open there is
//! closed; that it was not unmounted all the same is told by nobody. It asks before a disk is ejected, too, but nothing
//! of that is mounted any more by then.

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::{NonNull, null, null_mut};

use super::super::leaving::{Asked, Leaving, tell};
use super::super::table::MountTable;

// CoreFoundation and DiskArbitration hand out objects, which are let go of by `CFRelease`; libdispatch its own.
type Object = *const c_void;
type Session = Object;
type Disk = Object;
type Queue = *mut c_void;
/// `DADiskAppearedCallback`, `DADiskDisappearedCallback`.
type OnDisk = unsafe extern "C" fn(Disk, *mut c_void);
/// `DADiskDescriptionChangedCallback`.
type OnChange = unsafe extern "C" fn(Disk, Object, *mut c_void);
/// `DADiskUnmountApprovalCallback`; null is a yes.
type OnUnmount = unsafe extern "C" fn(Disk, *mut c_void) -> Object;
/// `Boolean` of CoreFoundation.
type Boolean = u8;

// CFBase.h, CFDictionary.h, CFURL.h.
#[link(name = "CoreFoundation", kind = "framework")]
unsafe extern "C" {
    fn CFRelease(object: Object);
    fn CFGetTypeID(object: Object) -> usize;
    fn CFDictionaryGetValue(dictionary: Object, key: Object) -> Object;
    fn CFURLGetTypeID() -> usize;
    fn CFURLGetFileSystemRepresentation(
        url: Object,
        resolve: Boolean,
        buffer: *mut u8,
        size: isize,
    ) -> Boolean;
}

// DASession.h, DADisk.h, DiskArbitration.h.
#[link(name = "DiskArbitration", kind = "framework")]
unsafe extern "C" {
    /// A `CFArray` with the key of a volume's path.
    static kDADiskDescriptionWatchVolumePath: Object;
    static kDADiskDescriptionVolumePathKey: Object;
    fn DADiskCopyDescription(disk: Disk) -> Object;
    fn DASessionCreate(allocator: Object) -> Session;
    fn DASessionSetDispatchQueue(session: Session, queue: Queue);
    fn DARegisterDiskAppearedCallback(
        session: Session,
        matching: Object,
        callback: OnDisk,
        context: *mut c_void,
    );
    fn DARegisterDiskDisappearedCallback(
        session: Session,
        matching: Object,
        callback: OnDisk,
        context: *mut c_void,
    );
    fn DARegisterDiskDescriptionChangedCallback(
        session: Session,
        matching: Object,
        watched: Object,
        callback: OnChange,
        context: *mut c_void,
    );
    fn DARegisterDiskUnmountApprovalCallback(
        session: Session,
        matching: Object,
        callback: OnUnmount,
        context: *mut c_void,
    );
}

// dispatch/queue.h, of the C library.
unsafe extern "C" {
    fn dispatch_queue_create(label: *const c_char, attributes: *mut c_void) -> Queue;
    fn dispatch_sync_f(queue: Queue, context: *mut c_void, work: extern "C" fn(*mut c_void));
    fn dispatch_release(queue: Queue);
}

const LABEL: &CStr = c"mediafs.volumes";

/// Whom the callbacks tell.
struct Told {
    news: Box<dyn Fn() + Send>,
    asked: Asked,
}

/// Calls back when a volume comes or goes, or is to go, until it is dropped.
#[derive(Debug)]
pub(in super::super) struct MountEvents {
    session: NonNull<c_void>,
    queue: NonNull<c_void>,
    /// A boxed [`Told`], which is the callbacks' until the session has no queue any more.
    told: NonNull<c_void>,
}

// SAFETY: a session and a queue may be used by any thread; what is told is called by the queue alone, one call at a time.
unsafe impl Send for MountEvents {}
// SAFETY: as above; nothing can be done through a shared reference.
unsafe impl Sync for MountEvents {}

impl MountEvents {
    /// Starts to listen. `news` is called on a thread of the system, at first for each disk that is there, and must not take
    /// long.
    pub(in super::super) fn start(
        news: impl Fn() + Send + 'static,
        asked: Asked,
    ) -> io::Result<Self> {
        // SAFETY: null is the usual allocator.
        let session = unsafe { DASessionCreate(null()) };
        let session = NonNull::new(session.cast_mut())
            .ok_or_else(|| io::Error::other("no session of DiskArbitration is given"))?;
        // SAFETY: the label ends with a zero; null is a queue that does one thing at a time. It is given or the program ends.
        let queue = unsafe { dispatch_queue_create(LABEL.as_ptr(), null_mut()) };
        let Some(queue) = NonNull::new(queue) else {
            // SAFETY: it is ours, and not used after this.
            unsafe { CFRelease(session.as_ptr()) };
            return Err(io::Error::other("no queue is given"));
        };
        let told = Box::new(Told {
            news: Box::new(news),
            asked,
        });
        let told = NonNull::from(Box::leak(told)).cast::<c_void>();
        // SAFETY: session, queue and array are there; null matches every disk; the callbacks are of the types that are
        // declared, and their context stays until they are called no more.
        unsafe {
            let (session, context) = (session.as_ptr(), told.as_ptr());
            DARegisterDiskAppearedCallback(session, null(), on_disk, context);
            DARegisterDiskDisappearedCallback(session, null(), on_disk, context);
            DARegisterDiskDescriptionChangedCallback(
                session,
                null(),
                kDADiskDescriptionWatchVolumePath,
                on_change,
                context,
            );
            DARegisterDiskUnmountApprovalCallback(session, null(), on_unmount, context);
            DASessionSetDispatchQueue(session, queue.as_ptr());
        }
        Ok(Self {
            session,
            queue,
            told,
        })
    }

    /// Is to be given each new table of mounts; here every disk is asked for by itself.
    #[allow(clippy::unused_self, reason = "elsewhere it is used")]
    pub(in super::super) fn follower(&self) -> impl Fn(&MountTable) + Send + 'static {
        |_: &MountTable| ()
    }
}

impl Drop for MountEvents {
    fn drop(&mut self) {
        // SAFETY: without a queue the session calls nobody any more, and what the queue was doing has ended when it has done
        // what it is given last; so nobody uses the context then. All three are ours, and not used after this. The queue is
        // not the one that this is called by: what is told does not own this.
        unsafe {
            DASessionSetDispatchQueue(self.session.as_ptr(), null_mut());
            dispatch_sync_f(self.queue.as_ptr(), null_mut(), nothing);
            CFRelease(self.session.as_ptr());
            dispatch_release(self.queue.as_ptr());
            drop(Box::from_raw(self.told.cast::<Told>().as_ptr()));
        }
    }
}

extern "C" fn nothing(_context: *mut c_void) {}

unsafe extern "C" fn on_disk(_disk: Disk, context: *mut c_void) {
    // SAFETY: the context is that of the registration.
    unsafe { ((*context.cast::<Told>()).news)() };
}

unsafe extern "C" fn on_change(_disk: Disk, _keys: Object, context: *mut c_void) {
    // SAFETY: the context is that of the registration.
    unsafe { ((*context.cast::<Told>()).news)() };
}

unsafe extern "C" fn on_unmount(disk: Disk, context: *mut c_void) -> Object {
    // SAFETY: the disk lives until this returns.
    if let Some(point) = unsafe { mount_point(disk) } {
        // SAFETY: the context is that of the registration.
        let told = unsafe { &*context.cast::<Told>() };
        tell(&told.asked, &point, Leaving::Wanted);
    }
    null()
}

/// # Safety
/// It is a disk, which lives until this returns.
unsafe fn mount_point(disk: Disk) -> Option<PathBuf> {
    let mut path = [0_u8; 1024];
    let room = isize::try_from(path.len()).ok()?;
    // SAFETY: the disk lives; its description is a dictionary, and ours to be let go of; what is in it is asked only as what
    // it is; no more is written than the buffer holds, with a zero at the end.
    let is_told = unsafe {
        let description = DADiskCopyDescription(disk);
        if description.is_null() {
            return None;
        }
        let url = CFDictionaryGetValue(description, kDADiskDescriptionVolumePathKey);
        let is_told = !url.is_null()
            && CFGetTypeID(url) == CFURLGetTypeID()
            && CFURLGetFileSystemRepresentation(url, 1, path.as_mut_ptr(), room) != 0;
        CFRelease(description);
        is_told
    };
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    is_told.then(|| PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}
