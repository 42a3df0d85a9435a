//! Stands in for Windows and WinFsp's driver: sends the drive the requests that the driver would send.
//!
//! A request goes to the function of WinFsp's own DLL that handles its kind. That one checks access by the descriptors that
//! the drive gives, calls the library's table of functions, and fills in the response, which is looked at here. Only what
//! speaks with the driver is replaced ([`driver`]), in the program that includes this file and in no other.
//!
//! It stands in for the driver of any drive: of one that is mounted here ([`Host::start`]), or of the one that a daemon mounts
//! on this thread ([`driver::with_driver`], then [`Driver::of_this_thread`]). Whoever includes it names the crate under test
//! `platform` beside it.

pub(crate) mod driver;

use std::ffi::c_void;
use std::mem::offset_of;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::Arc;

use windows_sys::Win32::Security::{
    DuplicateToken, SecurityImpersonation, TOKEN_DUPLICATE, TOKEN_QUERY,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use winfsp_sys::{
    FSP_FILE_SYSTEM, FSP_FSCTL_DIR_INFO, FSP_FSCTL_FILE_INFO, FSP_FSCTL_TRANSACT_BUF,
    FSP_FSCTL_TRANSACT_REQ, FSP_FSCTL_TRANSACT_RSP, FspFileSystemOpCleanup, FspFileSystemOpClose,
    FspFileSystemOpCreate, FspFileSystemOpEnter, FspFileSystemOpFlushBuffers, FspFileSystemOpLeave,
    FspFileSystemOpOverwrite, FspFileSystemOpQueryDirectory, FspFileSystemOpQueryInformation,
    FspFileSystemOpQuerySecurity, FspFileSystemOpQueryVolumeInformation, FspFileSystemOpRead,
    FspFileSystemOpSetInformation, FspFileSystemOpSetSecurity, FspFileSystemOpWrite,
};

use self::driver::{CREATE, Operation};
use super::platform::drive::Drive;
use super::platform::mount::{MountError, MountOptions, Mounted, mount};

const STATUS_PENDING: i32 = 0x103;
/// As large as requests and responses may be.
const LARGEST: usize = 16 * 1024 - 64;

// Kinds of requests.
const OVERWRITE: u32 = 2;
const CLEANUP: u32 = 3;
const CLOSE: u32 = 4;
const READ: u32 = 5;
const WRITE: u32 = 6;
const QUERY_INFORMATION: u32 = 7;
const SET_INFORMATION: u32 = 8;
const FLUSH_BUFFERS: u32 = 11;
const QUERY_VOLUME_INFORMATION: u32 = 12;
const QUERY_DIRECTORY: u32 = 14;
const QUERY_SECURITY: u32 = 19;
const SET_SECURITY: u32 = 20;

/// A drive that is mounted here, and the driver that asks it.
pub(crate) struct Host {
    pub(crate) driver: Driver,
    pub(crate) mounted: Mounted,
    _runtime: tokio::runtime::Runtime,
}

impl std::ops::Deref for Host {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

/// The driver, as far as one mounted drive can tell.
#[derive(Debug)]
pub(crate) struct Driver {
    file_system: *mut FSP_FILE_SYSTEM,
    token: OwnedHandle,
}

// SAFETY: the file system may be asked from any thread.
unsafe impl Send for Driver {}
// SAFETY: as above.
unsafe impl Sync for Driver {}

/// What a request is answered with.
pub(crate) struct Response {
    pub(crate) status: i32,
    pub(crate) information: u32,
    buffer: Vec<u64>,
}

impl Response {
    pub(crate) fn head(&self) -> &FSP_FSCTL_TRANSACT_RSP {
        // SAFETY: as large as any response, and aligned.
        unsafe { &*self.buffer.as_ptr().cast() }
    }

    /// What is behind the head.
    pub(crate) fn behind(&self, part: FSP_FSCTL_TRANSACT_BUF) -> Vec<u8> {
        let start = offset_of!(FSP_FSCTL_TRANSACT_RSP, Buffer) + usize::from(part.Offset);
        let bytes = self.buffer.iter().flat_map(|word| word.to_ne_bytes());
        bytes.skip(start).take(usize::from(part.Size)).collect()
    }
}

/// An open file.
#[derive(Clone, Copy)]
pub(crate) struct Opened {
    context: u64,
    pub(crate) granted: u32,
    pub(crate) info: FSP_FSCTL_FILE_INFO,
    /// Opened, made, to be overwritten: as `CreateFile` tells.
    pub(crate) how: u32,
}

/// What a `CreateFile` asks for.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) access: u32,
    pub(crate) disposition: u32,
    pub(crate) options: u32,
    pub(crate) process: u32,
}

pub(crate) const OPEN: u32 = 1;
pub(crate) const MAKE: u32 = 2;
pub(crate) const OPEN_OR_MAKE: u32 = 3;
pub(crate) const OVERWRITE_OR_MAKE: u32 = 5;
pub(crate) const GENERIC_READ: u32 = 0x0012_0089;
pub(crate) const GENERIC_WRITE: u32 = 0x0012_0116;
pub(crate) const DELETE: u32 = 0x0001_0000;
pub(crate) const AS_MUCH_AS_ALLOWED: u32 = 0x0200_0000;

impl Wish {
    pub(crate) fn new(access: u32, disposition: u32) -> Self {
        Self {
            access,
            disposition,
            options: 0,
            process: std::process::id(),
        }
    }
}

/// Lets this thread mount as if there were a driver.
pub(crate) fn mount_with_driver(
    drive: Arc<dyn Drive>,
    options: &MountOptions,
    runtime: &tokio::runtime::Runtime,
) -> Result<(Mounted, Driver), MountError> {
    driver::with_driver(|| {
        let mounted = mount(drive, options, runtime.handle().clone())?;
        Ok((mounted, Driver::of_this_thread()))
    })
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

impl Host {
    pub(crate) fn start(drive: Arc<dyn Drive>, options: &MountOptions) -> Self {
        let runtime = runtime();
        let (mounted, driver) = mount_with_driver(drive, options, &runtime).unwrap();
        Self {
            driver,
            mounted,
            _runtime: runtime,
        }
    }
}

impl Driver {
    /// Of what this thread mounted last, within [`driver::with_driver`].
    pub(crate) fn of_this_thread() -> Self {
        Self {
            file_system: driver::of_this_thread().expect("this thread has mounted something"),
            token: token(),
        }
    }

    pub(crate) fn was_taken_apart(&self) -> bool {
        driver::was_taken_apart(self.file_system)
    }

    /// The serial number of the volume, and when it was created.
    pub(crate) fn identity(&self) -> (u32, u64) {
        driver::volume(self.file_system)
    }

    pub(crate) fn rename_goes_on(&self, goes_on: bool) {
        driver::rename_goes_on(self.file_system, goes_on);
    }

    pub(crate) fn notice_of(&self, path: &str) -> u32 {
        driver::notice_of(self.file_system, path)
    }

    pub(crate) fn notices(&self) -> usize {
        driver::notices(self.file_system)
    }

    /// Sends a request as the DLL's own loop would. `texts` go behind its head; they are told where.
    fn send(
        &self,
        kind: u32,
        operation: Operation,
        texts: &[&str],
        fill: impl FnOnce(&mut FSP_FSCTL_TRANSACT_REQ, &[FSP_FSCTL_TRANSACT_BUF]),
    ) -> Response {
        let in_bytes = |text: &&str| {
            let units = text.encode_utf16().chain([0]);
            units.flat_map(u16::to_ne_bytes).collect()
        };
        let parts: Vec<Vec<u8>> = texts.iter().map(in_bytes).collect();
        self.send_with(kind, operation, &parts, fill)
    }

    /// The same with anything behind the head.
    fn send_with(
        &self,
        kind: u32,
        operation: Operation,
        behind: &[Vec<u8>],
        fill: impl FnOnce(&mut FSP_FSCTL_TRANSACT_REQ, &[FSP_FSCTL_TRANSACT_BUF]),
    ) -> Response {
        let mut request = vec![0_u64; LARGEST / 8];
        let mut buffer = vec![0_u64; LARGEST / 8];
        let number = driver::number();
        let mut parts = Vec::new();
        let head = offset_of!(FSP_FSCTL_TRANSACT_REQ, Buffer);
        let mut end = head;
        // SAFETY: both are as large as any request or response, aligned, and may be zero; the rest is written behind the head,
        // within the request.
        let status = unsafe {
            let start = request.as_mut_ptr().cast::<u8>();
            for part in behind {
                let size = part.len();
                assert!(end + size <= LARGEST);
                start.add(end).copy_from_nonoverlapping(part.as_ptr(), size);
                parts.push(FSP_FSCTL_TRANSACT_BUF {
                    Offset: u16::try_from(end - head).unwrap(),
                    Size: u16::try_from(size).unwrap(),
                });
                end = (end + size).next_multiple_of(8);
            }
            let request = request.as_mut_ptr().cast::<FSP_FSCTL_TRANSACT_REQ>();
            let response = buffer.as_mut_ptr().cast::<FSP_FSCTL_TRANSACT_RSP>();
            (*request).Version = u16::try_from(size_of::<FSP_FSCTL_TRANSACT_REQ>()).unwrap();
            (*request).Size = u16::try_from(end).unwrap();
            (*request).Kind = kind;
            (*request).Hint = number;
            if let Some(name) = parts.first() {
                (*request).FileName = *name;
            }
            fill(&mut *request, &parts);
            (*response).Size = u16::try_from(size_of::<FSP_FSCTL_TRANSACT_RSP>()).unwrap();
            (*response).Kind = kind;
            (*response).Hint = number;
            driver::handle(request, response, || {
                FspFileSystemOpEnter(self.file_system, request, response);
                let status = operation(self.file_system, request, response);
                FspFileSystemOpLeave(self.file_system, request, response);
                status
            })
        };
        let mut response = Response {
            status,
            information: 0,
            buffer,
        };
        response.information = response.head().IoStatus.Information;
        if status == STATUS_PENDING {
            let (status, information, info) = driver::response(number);
            response.status = status;
            response.information = information;
            // SAFETY: as above.
            unsafe {
                let head = response
                    .buffer
                    .as_mut_ptr()
                    .cast::<FSP_FSCTL_TRANSACT_RSP>();
                (*head).Rsp.Write.FileInfo = info;
            }
        }
        response
    }

    pub(crate) fn create(&self, path: &str, wish: Wish) -> Result<Opened, u32> {
        let token = self.token.as_raw_handle() as u64;
        let response = self.send(CREATE, FspFileSystemOpCreate, &[path], |request, _| {
            // SAFETY: it is such a request.
            let create = unsafe { &mut request.Req.Create };
            create.CreateOptions = wish.disposition << 24 | wish.options;
            create.DesiredAccess = wish.access;
            create.ShareAccess = 7;
            create.AccessToken = token | u64::from(wish.process) << 32;
            create.set_UserMode(1);
            create.set_HasTraversePrivilege(1);
        });
        if response.status != 0 {
            return Err(response.status.cast_unsigned());
        }
        // SAFETY: it was opened.
        let opened = unsafe { response.head().Rsp.Create.Opened };
        Ok(Opened {
            context: opened.UserContext2,
            granted: opened.GrantedAccess,
            info: opened.FileInfo,
            how: response.information,
        })
    }

    /// The path of what is opened, as programs are told that ask for it.
    pub(crate) fn own_path(&self, path: &str) -> String {
        let token = self.token.as_raw_handle() as u64;
        let response = self.send(CREATE, FspFileSystemOpCreate, &[path], |request, _| {
            // SAFETY: it is such a request.
            let create = unsafe { &mut request.Req.Create };
            create.CreateOptions = OPEN << 24;
            create.DesiredAccess = 0x80;
            create.AccessToken = token;
            create.set_UserMode(1);
            create.set_HasTraversePrivilege(1);
        });
        assert_eq!(response.status, 0);
        // SAFETY: it was opened.
        let opened = unsafe { response.head().Rsp.Create.Opened };
        let units: Vec<u16> = response
            .behind(opened.FileName)
            .chunks(2)
            .map(|unit| u16::from_ne_bytes([unit[0], unit[1]]))
            .collect();
        self.close_context(opened.UserContext2);
        String::from_utf16(&units).unwrap()
    }

    pub(crate) fn open(&self, path: &str, access: u32) -> Result<Opened, u32> {
        self.create(path, Wish::new(access, OPEN))
    }

    pub(crate) fn overwrite(&self, file: &Opened) -> Result<FSP_FSCTL_FILE_INFO, u32> {
        let response = self.send(OVERWRITE, FspFileSystemOpOverwrite, &[], |request, _| {
            request.Req.Overwrite.UserContext2 = file.context;
        });
        // SAFETY: it is such a response.
        done(&response, unsafe { response.head().Rsp.Overwrite.FileInfo })
    }

    pub(crate) fn read(&self, file: &Opened, offset: u64, length: usize) -> Result<Vec<u8>, u32> {
        let mut bytes = vec![0_u8; length];
        let address = bytes.as_mut_ptr() as u64;
        let response = self.send(READ, FspFileSystemOpRead, &[], |request, _| {
            // SAFETY: it is such a request.
            let read = unsafe { &mut request.Req.Read };
            read.UserContext2 = file.context;
            read.Address = address;
            read.Offset = offset;
            read.Length = u32::try_from(length).unwrap();
        });
        bytes.truncate(response.information as usize);
        done(&response, bytes)
    }

    pub(crate) fn write(&self, file: &Opened, offset: u64, data: &[u8]) -> Result<u64, u32> {
        let response = self.send(WRITE, FspFileSystemOpWrite, &[], |request, _| {
            // SAFETY: it is such a request.
            let write = unsafe { &mut request.Req.Write };
            write.UserContext2 = file.context;
            write.Address = data.as_ptr() as u64;
            write.Offset = offset;
            write.Length = u32::try_from(data.len()).unwrap();
        });
        if response.status == 0 {
            assert_eq!(response.information as usize, data.len());
        }
        // SAFETY: it is such a response.
        done(&response, unsafe {
            response.head().Rsp.Write.FileInfo.FileSize
        })
    }

    pub(crate) fn info(&self, file: &Opened) -> FSP_FSCTL_FILE_INFO {
        let operation = FspFileSystemOpQueryInformation;
        let response = self.send(QUERY_INFORMATION, operation, &[], |request, _| {
            request.Req.QueryInformation.UserContext2 = file.context;
        });
        assert_eq!(response.status, 0);
        // SAFETY: it is such a response.
        unsafe { response.head().Rsp.QueryInformation.FileInfo }
    }

    pub(crate) fn flush(&self, file: &Opened) -> Result<(), u32> {
        let response = self.send(
            FLUSH_BUFFERS,
            FspFileSystemOpFlushBuffers,
            &[],
            |request, _| {
                request.Req.FlushBuffers.UserContext2 = file.context;
            },
        );
        done(&response, ())
    }

    fn set(
        &self,
        file: &Opened,
        class: u32,
        texts: &[&str],
        fill: impl FnOnce(&mut FSP_FSCTL_TRANSACT_REQ, &[FSP_FSCTL_TRANSACT_BUF]),
    ) -> Result<FSP_FSCTL_FILE_INFO, u32> {
        let operation = FspFileSystemOpSetInformation;
        let response = self.send(SET_INFORMATION, operation, texts, |request, parts| {
            request.Req.SetInformation.UserContext2 = file.context;
            request.Req.SetInformation.FileInformationClass = class;
            fill(request, parts);
        });
        // SAFETY: it is such a response.
        done(&response, unsafe {
            response.head().Rsp.SetInformation.FileInfo
        })
    }

    pub(crate) fn set_end(&self, file: &Opened, size: u64) -> Result<FSP_FSCTL_FILE_INFO, u32> {
        self.set(file, 20, &[], |request, _| {
            request.Req.SetInformation.Info.EndOfFile.FileSize = size;
        })
    }

    pub(crate) fn set_room(&self, file: &Opened, size: u64) -> Result<FSP_FSCTL_FILE_INFO, u32> {
        self.set(file, 19, &[], |request, _| {
            request.Req.SetInformation.Info.Allocation.AllocationSize = size;
        })
    }

    pub(crate) fn set_written(&self, file: &Opened, time: u64) -> Result<FSP_FSCTL_FILE_INFO, u32> {
        self.set(file, 4, &[], |request, _| {
            // SAFETY: it is of this class.
            unsafe {
                let basic = &mut request.Req.SetInformation.Info.Basic;
                basic.FileAttributes = u32::MAX;
                basic.LastWriteTime = time;
            }
        })
    }

    pub(crate) fn mark_to_go(&self, file: &Opened, path: &str) -> Result<(), u32> {
        let marked = self.set(file, 13, &[path], |request, _| {
            // SAFETY: it is of this class.
            unsafe { request.Req.SetInformation.Info.Disposition.set_Delete(1) };
        });
        marked.map(drop)
    }

    pub(crate) fn rename(
        &self,
        file: &Opened,
        from: &str,
        to: &str,
        replace: bool,
    ) -> Result<(), u32> {
        // Whoever replaces shows that it may.
        let token = match replace {
            true => self.token.as_raw_handle() as u64,
            false => 0,
        };
        let renamed = self.set(file, 10, &[from, to], |request, parts| {
            // SAFETY: it is of this class.
            unsafe {
                let rename = &mut request.Req.SetInformation.Info.Rename;
                rename.NewFileName = parts[1];
                rename.AccessToken = token;
            }
        });
        renamed.map(drop)
    }

    /// The last handle is closed; `remove` if it was marked to go.
    pub(crate) fn cleanup(&self, file: &Opened, path: &str, remove: bool) {
        self.send(CLEANUP, FspFileSystemOpCleanup, &[path], |request, _| {
            // SAFETY: it is such a request.
            let cleanup = unsafe { &mut request.Req.Cleanup };
            cleanup.UserContext2 = file.context;
            cleanup.set_Delete(u32::from(remove));
        });
    }

    pub(crate) fn close(&self, file: Opened) {
        self.close_context(file.context);
    }

    fn close_context(&self, context: u64) {
        self.send(CLOSE, FspFileSystemOpClose, &[], |request, _| {
            request.Req.Close.UserContext2 = context;
        });
    }

    /// A part of a list: names and attributes behind `marker`, as many as `room` holds.
    pub(crate) fn list(
        &self,
        folder: &Opened,
        marker: Option<&str>,
        room: usize,
    ) -> Vec<(String, u32)> {
        let texts: Vec<&str> = marker.into_iter().collect();
        self.query(folder, &texts, room, |request, parts| {
            if let Some(part) = parts.first() {
                request.Req.QueryDirectory.Marker = *part;
            }
        })
        .unwrap()
    }

    /// The one entry of this name, if there is one.
    pub(crate) fn entry(&self, folder: &Opened, name: &str) -> Option<(String, u32)> {
        let found = self.query(folder, &[name], 4096, |request, parts| {
            // SAFETY: it is such a request.
            unsafe {
                request.Req.QueryDirectory.Pattern = parts[0];
                request.Req.QueryDirectory.set_PatternIsFileName(1);
            }
        });
        let mut found = found.unwrap();
        assert!(found.len() <= 1);
        found.pop()
    }

    fn query(
        &self,
        folder: &Opened,
        texts: &[&str],
        room: usize,
        fill: impl FnOnce(&mut FSP_FSCTL_TRANSACT_REQ, &[FSP_FSCTL_TRANSACT_BUF]),
    ) -> Result<Vec<(String, u32)>, u32> {
        let mut list = vec![0_u64; room / 8];
        let address = list.as_mut_ptr() as u64;
        let operation = FspFileSystemOpQueryDirectory;
        let response = self.send(QUERY_DIRECTORY, operation, texts, |request, parts| {
            // SAFETY: it is such a request.
            unsafe {
                let query = &mut request.Req.QueryDirectory;
                query.UserContext2 = folder.context;
                query.Address = address;
                query.Length = u32::try_from(room).unwrap();
            }
            fill(request, parts);
        });
        let bytes: Vec<u8> = list.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let bytes = &bytes[..response.information as usize];
        done(&response, entries(bytes))
    }

    pub(crate) fn volume(&self) -> (u64, u64, String) {
        let operation = FspFileSystemOpQueryVolumeInformation;
        let response = self.send(QUERY_VOLUME_INFORMATION, operation, &[], |_, _| {});
        assert_eq!(response.status, 0);
        // SAFETY: it is such a response.
        let info = unsafe { response.head().Rsp.QueryVolumeInformation.VolumeInfo };
        let label = &info.VolumeLabel[..usize::from(info.VolumeLabelLength) / 2];
        (
            info.TotalSize,
            info.FreeSize,
            String::from_utf16(label).unwrap(),
        )
    }

    /// The security descriptor of an open file.
    pub(crate) fn security(&self, file: &Opened) -> Vec<u8> {
        let operation = FspFileSystemOpQuerySecurity;
        let response = self.send(QUERY_SECURITY, operation, &[], |request, _| {
            request.Req.QuerySecurity.UserContext2 = file.context;
        });
        assert_eq!(response.status, 0);
        // SAFETY: it is such a response.
        response.behind(unsafe { response.head().Rsp.QuerySecurity.SecurityDescriptor })
    }

    /// Sets what `information` names of the security descriptor of an open file.
    pub(crate) fn set_security(
        &self,
        file: &Opened,
        information: u32,
        descriptor: &[u8],
    ) -> Result<(), u32> {
        let operation = FspFileSystemOpSetSecurity;
        let behind = [descriptor.to_vec()];
        let response = self.send_with(SET_SECURITY, operation, &behind, |request, parts| {
            // SAFETY: it is such a request.
            let set = unsafe { &mut request.Req.SetSecurity };
            set.UserContext2 = file.context;
            set.SecurityInformation = information;
            set.SecurityDescriptor = parts[0];
        });
        done(&response, ())
    }
}

fn done<T>(response: &Response, value: T) -> Result<T, u32> {
    match response.status {
        0 => Ok(value),
        failed => Err(failed.cast_unsigned()),
    }
}

fn entries(mut list: &[u8]) -> Vec<(String, u32)> {
    let head = size_of::<FSP_FSCTL_DIR_INFO>();
    let mut all = Vec::new();
    while list.len() >= 2 {
        let size = usize::from(u16::from_ne_bytes([list[0], list[1]]));
        if size == 0 {
            break;
        }
        let attributes = offset_of!(FSP_FSCTL_DIR_INFO, FileInfo);
        let attributes = list[attributes..attributes + 4].try_into().unwrap();
        let name: Vec<u16> = list[head..size]
            .chunks(2)
            .map(|unit| u16::from_ne_bytes([unit[0], unit[1]]))
            .collect();
        all.push((
            String::from_utf16(&name).unwrap(),
            u32::from_ne_bytes(attributes),
        ));
        list = &list[size.next_multiple_of(8).min(list.len())..];
    }
    all
}

/// This user, as checks of access want to see it.
fn token() -> OwnedHandle {
    let (mut own, mut shown): (*mut c_void, *mut c_void) = (null_mut(), null_mut());
    // SAFETY: both handles are ours to be written, and to be closed.
    unsafe {
        let rights = TOKEN_DUPLICATE | TOKEN_QUERY;
        assert_ne!(
            OpenProcessToken(GetCurrentProcess(), rights, &raw mut own),
            0
        );
        let own = OwnedHandle::from_raw_handle(own);
        let duplicated = DuplicateToken(own.as_raw_handle(), SecurityImpersonation, &raw mut shown);
        assert_ne!(duplicated, 0);
        OwnedHandle::from_raw_handle(shown)
    }
}
