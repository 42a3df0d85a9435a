//! Tells that volumes come and go, as DiskArbitration does: a session, whose callbacks run on a queue of its own.
//!
//! It tells of disks that appear and disappear, and of those whose mount point changes, which is a mount or an unmount of
//! any local volume. Shares are mounted without it: whoever is told looks now and then by themselves, too.

use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::ptr::{NonNull, null, null_mut};

// CoreFoundation and DiskArbitration hand out objects, which are let go of by `CFRelease`; libdispatch its own.
type Object = *const c_void;
type Session = Object;
type Disk = Object;
type Queue = *mut c_void;
/// `DADiskAppearedCallback`, `DADiskDisappearedCallback`.
type OnDisk = unsafe extern "C" fn(Disk, *mut c_void);
/// `DADiskDescriptionChangedCallback`.
type OnChange = unsafe extern "C" fn(Disk, Object, *mut c_void);

#[link(name = "CoreFoundation", kind = "framework")]
unsafe extern "C" {
    fn CFRelease(object: Object);
}

// DASession.h, DADisk.h, DiskArbitration.h.
#[link(name = "DiskArbitration", kind = "framework")]
unsafe extern "C" {
    /// A `CFArray` with the key of a volume's path.
    static kDADiskDescriptionWatchVolumePath: Object;
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
}

// dispatch/queue.h, of the C library.
unsafe extern "C" {
    fn dispatch_queue_create(label: *const c_char, attributes: *mut c_void) -> Queue;
    fn dispatch_sync_f(queue: Queue, context: *mut c_void, work: extern "C" fn(*mut c_void));
    fn dispatch_release(queue: Queue);
}

const LABEL: &CStr = c"mediafs.volumes";

type Tell = Box<dyn Fn() + Send>;

/// Calls back when a volume comes or goes, until it is dropped.
#[derive(Debug)]
pub(in super::super) struct MountEvents {
    session: NonNull<c_void>,
    queue: NonNull<c_void>,
    /// Whom the callbacks tell: a boxed [`Tell`], which is theirs until the session has no queue any more.
    tell: NonNull<c_void>,
}

// SAFETY: a session and a queue may be used by any thread; what is told is called by the queue alone, one call at a time.
unsafe impl Send for MountEvents {}
// SAFETY: as above; nothing can be done through a shared reference.
unsafe impl Sync for MountEvents {}

impl MountEvents {
    /// Starts to listen. `tell` is called on a thread of the system, at first for each disk that is there, and must not take
    /// long.
    pub(in super::super) fn start(tell: impl Fn() + Send + 'static) -> io::Result<Self> {
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
        let tell: Box<Tell> = Box::new(Box::new(tell));
        let tell = NonNull::from(Box::leak(tell)).cast::<c_void>();
        // SAFETY: session, queue and array are there; null matches every disk; the callbacks are of the types that are
        // declared, and their context stays until they are called no more.
        unsafe {
            let (session, context) = (session.as_ptr(), tell.as_ptr());
            DARegisterDiskAppearedCallback(session, null(), on_disk, context);
            DARegisterDiskDisappearedCallback(session, null(), on_disk, context);
            DARegisterDiskDescriptionChangedCallback(
                session,
                null(),
                kDADiskDescriptionWatchVolumePath,
                on_change,
                context,
            );
            DASessionSetDispatchQueue(session, queue.as_ptr());
        }
        Ok(Self {
            session,
            queue,
            tell,
        })
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
            drop(Box::from_raw(self.tell.cast::<Tell>().as_ptr()));
        }
    }
}

extern "C" fn nothing(_context: *mut c_void) {}

unsafe extern "C" fn on_disk(_disk: Disk, context: *mut c_void) {
    // SAFETY: the context is that of the registration.
    unsafe { (*context.cast::<Tell>())() };
}

unsafe extern "C" fn on_change(_disk: Disk, _keys: Object, context: *mut c_void) {
    // SAFETY: the context is that of the registration.
    unsafe { (*context.cast::<Tell>())() };
}
