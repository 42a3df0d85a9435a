//! Two wishes to the file manager of Foundation, and what became of one, by the runtime of Objective-C.
//!
//! A message is sent by calling `objc_msgSend` as the C function that the method is: the receiver, the selector, and what
//! the method takes. The types below are those of NSFileManager.h and NSURL.h.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

type Object = *mut c_void;
type Selector = *const c_void;
/// A `BOOL`: of C's `signed char` on one processor, of its `bool` on the other; one byte, 0 if it is false.
type Bool = i8;

#[link(name = "objc")]
unsafe extern "C" {
    fn objc_getClass(name: *const c_char) -> Object;
    fn sel_registerName(name: *const c_char) -> Selector;
    fn objc_msgSend();
    fn objc_autoreleasePoolPush() -> *mut c_void;
    fn objc_autoreleasePoolPop(pool: *mut c_void);
}

#[link(name = "Foundation", kind = "framework")]
unsafe extern "C" {
    /// Its value is an `NSError`, why the file could not be fetched; nil where nothing went wrong.
    static NSURLUbiquitousItemDownloadingErrorKey: Object;
}

/// `NSFeatureUnsupportedError` and `NSFileNoSuchFileError` are of Cocoa; a file that no provider has gives the first, or a
/// POSIX `ENOTSUP`.
const FEATURE_UNSUPPORTED: isize = 3328;

/// Starts to fetch a file; it is here some time later.
pub(super) fn start_downloading(path: &Path) -> io::Result<()> {
    ask(c"startDownloadingUbiquitousItemAtURL:error:", path)
}

/// Gives a file's bytes back to its provider.
pub(super) fn evict(path: &Path) -> io::Result<()> {
    ask(c"evictUbiquitousItemAtURL:error:", path)
}

/// What the calls below make is let go of when this is dropped.
struct Pool(*mut c_void);

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the pool was pushed on this thread, which has pushed no other one since.
        unsafe { objc_autoreleasePoolPop(self.0) };
    }
}

/// Sends `- (BOOL)selector:(NSURL *)url error:(NSError **)error` to the file manager.
fn ask(wish: &CStr, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: takes nothing.
    let _pool = Pool(unsafe { objc_autoreleasePoolPush() });
    // SAFETY: the classes are Foundation's, which is linked, and the methods are sent as they are declared there; the path
    // ends with a zero and lives until the call returns; what is given back lives as long as the pool; `error` is ours to
    // be written, and is an error where the answer is no.
    unsafe {
        let send: unsafe extern "C" fn(Object, Selector) -> Object =
            std::mem::transmute(objc_msgSend as unsafe extern "C" fn());
        let manager = send(
            objc_getClass(c"NSFileManager".as_ptr()),
            selector(c"defaultManager"),
        );
        let url = url_of(&path);
        if manager.is_null() || url.is_null() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let send_wish: unsafe extern "C" fn(Object, Selector, Object, *mut Object) -> Bool =
            std::mem::transmute(objc_msgSend as unsafe extern "C" fn());
        let mut error: Object = null_mut();
        if send_wish(manager, selector(wish), url, &raw mut error) != 0 {
            return Ok(());
        }
        Err(told(error))
    }
}

/// Why the provider could not fetch a file that it was asked for; `None` where nothing went wrong yet, or nothing is told.
pub(super) fn downloading_error(path: &Path) -> Option<io::Error> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: takes nothing.
    let _pool = Pool(unsafe { objc_autoreleasePoolPush() });
    // SAFETY: as in `ask`; the key is Foundation's; `value` is ours to be written, and lives as long as the pool.
    unsafe {
        // A URL keeps what it was told, so each look needs one of its own.
        let url = url_of(&path);
        if url.is_null() {
            return None;
        }
        // - (BOOL)getResourceValue:(id *)value forKey:(NSURLResourceKey)key error:(NSError **)error
        let get: unsafe extern "C" fn(Object, Selector, *mut Object, Object, *mut Object) -> Bool =
            std::mem::transmute(objc_msgSend as unsafe extern "C" fn());
        let mut value: Object = null_mut();
        let is_told = get(
            url,
            selector(c"getResourceValue:forKey:error:"),
            &raw mut value,
            NSURLUbiquitousItemDownloadingErrorKey,
            null_mut(),
        ) != 0;
        (is_told && !value.is_null()).then(|| told(value))
    }
}

/// An `NSURL` of a path, or null.
///
/// # Safety
/// There is a pool on this thread; the URL lives as long as that.
unsafe fn url_of(path: &CStr) -> Object {
    // SAFETY: the class is Foundation's, and the method is sent as it is declared there; the path ends with a zero.
    unsafe {
        // + (NSURL *)fileURLWithFileSystemRepresentation:(const char *)path isDirectory:(BOOL)isDir relativeToURL:(NSURL *)baseURL
        let make_url: unsafe extern "C" fn(
            Object,
            Selector,
            *const c_char,
            Bool,
            Object,
        ) -> Object = std::mem::transmute(objc_msgSend as unsafe extern "C" fn());
        make_url(
            objc_getClass(c"NSURL".as_ptr()),
            selector(c"fileURLWithFileSystemRepresentation:isDirectory:relativeToURL:"),
            path.as_ptr(),
            0,
            null_mut(),
        )
    }
}

/// # Safety
/// `error` is null or an `NSError` that lives until this returns.
unsafe fn told(error: Object) -> io::Error {
    if error.is_null() {
        return io::Error::other("no reason was given");
    }
    // SAFETY: `code` gives an NSInteger, `localizedDescription` an NSString, and its `UTF8String` a text of C that lives as
    // long as that.
    unsafe {
        let number: unsafe extern "C" fn(Object, Selector) -> isize =
            std::mem::transmute(objc_msgSend as unsafe extern "C" fn());
        let send: unsafe extern "C" fn(Object, Selector) -> Object =
            std::mem::transmute(objc_msgSend as unsafe extern "C" fn());
        let code = number(error, selector(c"code"));
        let text = send(
            send(error, selector(c"localizedDescription")),
            selector(c"UTF8String"),
        );
        let text = if text.is_null() {
            format!("error {code}")
        } else {
            CStr::from_ptr(text.cast()).to_string_lossy().into_owned()
        };
        let kind = if code == FEATURE_UNSUPPORTED || code == libc::ENOTSUP as isize {
            io::ErrorKind::Unsupported
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, text)
    }
}

fn selector(name: &CStr) -> Selector {
    // SAFETY: the name ends with a zero; it is copied.
    unsafe { sel_registerName(name.as_ptr()) }
}
