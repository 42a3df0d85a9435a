//! WinFsp's requests as calls on [`Adapter`], and its answers as WinFsp wants them. The one file that knows the library; it
//! decides nothing.
//!
//! The library turns a panic in any of these into an error of that request.

use std::ffi::{OsStr, OsString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use winfsp::constants::{FSP_FSCTL_TRANSACT_RSP_BUFFER_SIZEMAX, FspCleanupFlags, FspTransactKind};
use winfsp::filesystem::{
    AsyncFileSystemContext, DirBuffer, DirInfo, DirMarker, FileInfo, FileSecurity,
    FileSystemContext, ModificationDescriptor, OpenFileInfo, VolumeInfo, WideNameInfo,
};
use winfsp::host::{DebugMode, FileSystemHost, FileSystemParams, VolumeParams};
use winfsp::notify::{Notifier, NotifyInfo, NotifyingFileSystemContext};
use winfsp::{FspError, Result, U16CStr};
use winfsp_sys::{
    FspFileSystemGetOperationContext, FspFileSystemOperationProcessIdF, FspFsctlPreflight,
    FspVersion,
};

use super::adapter::{Adapter, requester};
use super::changing::Place;
use super::descriptor::Descriptors;
use super::info::{self, Info, SECTOR, SECTORS, Wanted};
use super::names;
use super::opens::Open;
use super::point::FILE_SYSTEM;
use super::status::Status;
use crate::drive::Requester;

/// How long Windows may keep attributes and lists, in milliseconds. With no limit it would keep content as well, which is not
/// the same for every program.
const KEPT: u32 = 1000;
/// How often what has changed is told, in milliseconds.
const TOLD_EVERY: u32 = 250;
/// The longest path, in units.
const LONGEST_PATH: usize = 1024;

/// The drive behind the library's traits.
pub(super) struct Context {
    pub(super) adapter: Arc<Adapter>,
    pub(super) descriptors: Descriptors,
    pub(super) label: String,
    /// Told when WinFsp has stopped asking, and whether that was asked for.
    pub(super) stopped: Box<dyn Fn(bool) + Send + Sync>,
}

/// An open file or folder.
pub(super) struct Opened {
    open: Arc<Open>,
    entries: DirBuffer,
}

impl From<Status> for FspError {
    fn from(status: Status) -> Self {
        Self::NTSTATUS(status.0)
    }
}

/// The process that asks. Told for opening and renaming only.
fn by() -> Requester {
    // SAFETY: the first call gives nothing, or what it gives stays until the request is answered; the second one needs it.
    let process = unsafe {
        match FspFileSystemGetOperationContext().as_ref() {
            Some(context) if !context.Request.is_null() => FspFileSystemOperationProcessIdF(),
            _ => 0,
        }
    };
    requester(process)
}

/// Does the program that opens something mean to write?
fn means_to_write() -> bool {
    // SAFETY: it gives nothing, or what it gives stays until the request is answered. A request of this kind has this part.
    unsafe {
        let request = FspFileSystemGetOperationContext().as_ref();
        let request = request.and_then(|context| context.Request.as_ref());
        request
            .filter(|request| request.Kind == FspTransactKind::FspFsctlTransactCreateKind as u32)
            .is_some_and(|request| {
                let create = request.Req.Create;
                info::means_to_write(create.DesiredAccess, create.CreateOptions)
            })
    }
}

fn tell(info: &Info, out: &mut FileInfo) {
    *out = FileInfo {
        file_attributes: info.attributes,
        allocation_size: info.allocated,
        file_size: info.size,
        creation_time: info.born,
        last_access_time: info.modified,
        last_write_time: info.modified,
        change_time: info.changed,
        index_number: info.index,
        ..FileInfo::default()
    };
}

fn tell_open(open: &Open, info: &Info, out: &mut OpenFileInfo) {
    tell(info, out.as_mut());
    // The path in its own case, for who asks what it has opened.
    let room = usize::from(out.normalized_name_size()).min(FSP_FSCTL_TRANSACT_RSP_BUFFER_SIZEMAX);
    let path = open.path();
    if size_of_val(&*path) < room {
        out.set_normalized_name(&path, None);
    }
}

/// Gives a descriptor as far as there is room; its length.
fn give(descriptor: &[u8], out: Option<&mut [c_void]>) -> Result<u64> {
    if let Some(out) = out {
        if out.len() < descriptor.len() {
            return Err(Status::BUFFER_OVERFLOW.into());
        }
        // SAFETY: there is room for it by the check above, in memory that is the caller's alone.
        unsafe {
            out.as_mut_ptr()
                .cast::<u8>()
                .copy_from_nonoverlapping(descriptor.as_ptr(), descriptor.len());
        }
    }
    Ok(descriptor.len() as u64)
}

impl Context {
    fn opened(&self, (open, info): (Arc<Open>, Info), out: &mut OpenFileInfo) -> Opened {
        tell_open(&open, &info, out);
        Opened {
            open,
            entries: DirBuffer::new(),
        }
    }

    fn fill(&self, folder: &Opened, anew: bool) -> Result<()> {
        let lock = match folder.entries.acquire(anew, None) {
            Ok(lock) => lock,
            // Success: it is filled already.
            Err(FspError::NTSTATUS(0)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut entry: DirInfo = DirInfo::new();
        let mut failed = None;
        let listed = self.adapter.list(&folder.open, |name, info| {
            entry.reset();
            tell(info, entry.file_info_mut());
            let written = entry
                .set_name_raw(name)
                .and_then(|()| lock.write(&mut entry));
            written.map_err(|error| {
                let status = Status(error.to_ntstatus());
                failed = Some(error);
                status
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(listed?),
        }
    }
}

impl FileSystemContext for Context {
    type FileContext = Opened;

    fn get_security_by_name(
        &self,
        file_name: &U16CStr,
        security_descriptor: Option<&mut [c_void]>,
        _reparse_point_resolver: impl FnOnce(&U16CStr) -> Option<FileSecurity>,
    ) -> Result<FileSecurity> {
        let (info, rights) = self
            .adapter
            .look(file_name.as_slice(), &by(), means_to_write())?;
        Ok(FileSecurity {
            reparse: false,
            sz_security_descriptor: give(self.descriptors.of(rights), security_descriptor)?,
            attributes: info.attributes,
        })
    }

    fn open(
        &self,
        file_name: &U16CStr,
        create_options: u32,
        granted_access: u32,
        file_info: &mut OpenFileInfo,
    ) -> Result<Opened> {
        let path = file_name.as_slice();
        let opened = self
            .adapter
            .open(path, create_options, granted_access, by())?;
        Ok(self.opened(opened, file_info))
    }

    fn create(
        &self,
        file_name: &U16CStr,
        create_options: u32,
        granted_access: u32,
        _file_attributes: u32,
        _security_descriptor: Option<&[c_void]>,
        _allocation_size: u64,
        _extra_buffer: Option<&[u8]>,
        _extra_buffer_is_reparse_point: bool,
        file_info: &mut OpenFileInfo,
    ) -> Result<Opened> {
        let wanted = Wanted::of(create_options);
        let path = file_name.as_slice();
        let opened = self.adapter.create(path, wanted, granted_access, by())?;
        Ok(self.opened(opened, file_info))
    }

    fn overwrite(
        &self,
        context: &Opened,
        _file_attributes: u32,
        _replace_file_attributes: bool,
        _allocation_size: u64,
        _extra_buffer: Option<&[u8]>,
        file_info: &mut FileInfo,
    ) -> Result<()> {
        tell(&self.adapter.set_size(&context.open, 0)?, file_info);
        Ok(())
    }

    fn cleanup(&self, context: &Opened, file_name: Option<&U16CStr>, flags: u32) {
        let remove = FspCleanupFlags::FspCleanupDelete.is_flagged(flags);
        let path = file_name.map(U16CStr::as_slice);
        self.adapter.cleanup(&context.open, path, remove);
    }

    fn close(&self, context: Opened) {
        self.adapter.close(&context.open);
    }

    fn flush(&self, context: Option<&Opened>, file_info: &mut FileInfo) -> Result<()> {
        if let Some(context) = context {
            tell(&self.adapter.flush(&context.open)?, file_info);
        }
        Ok(())
    }

    fn get_file_info(&self, context: &Opened, file_info: &mut FileInfo) -> Result<()> {
        tell(&self.adapter.info(&context.open)?, file_info);
        Ok(())
    }

    fn get_security(
        &self,
        context: &Opened,
        security_descriptor: Option<&mut [c_void]>,
    ) -> Result<u64> {
        let rights = self.adapter.rights(&context.open);
        give(self.descriptors.of(rights), security_descriptor)
    }

    fn set_security(
        &self,
        context: &Opened,
        security_information: u32,
        modification_descriptor: ModificationDescriptor,
    ) -> Result<()> {
        let rights = self.adapter.rights(&context.open);
        let wanted = modification_descriptor.as_mut_ptr();
        // SAFETY: the kernel has checked it before it sent it, and it stays until the request is answered.
        let taken = unsafe { self.descriptors.take(rights, security_information, wanted) };
        Ok(taken?)
    }

    fn set_basic_info(
        &self,
        context: &Opened,
        _file_attributes: u32,
        _creation_time: u64,
        last_access_time: u64,
        last_write_time: u64,
        _last_change_time: u64,
        file_info: &mut FileInfo,
    ) -> Result<()> {
        let info = self
            .adapter
            .set_times(&context.open, last_access_time, last_write_time)?;
        tell(&info, file_info);
        Ok(())
    }

    fn set_file_size(
        &self,
        context: &Opened,
        new_size: u64,
        set_allocation_size: bool,
        file_info: &mut FileInfo,
    ) -> Result<()> {
        let info = match set_allocation_size {
            true => self.adapter.set_allocated(&context.open, new_size)?,
            false => self.adapter.set_size(&context.open, new_size)?,
        };
        tell(&info, file_info);
        Ok(())
    }

    fn set_delete(&self, context: &Opened, _file_name: &U16CStr, delete_file: bool) -> Result<()> {
        match delete_file {
            true => Ok(self.adapter.may_remove(&context.open)?),
            false => Ok(()),
        }
    }

    fn rename(
        &self,
        context: &Opened,
        file_name: &U16CStr,
        new_file_name: &U16CStr,
        replace_if_exists: bool,
    ) -> Result<()> {
        let (from, to) = (file_name.as_slice(), new_file_name.as_slice());
        let by = &context.open.by;
        Ok(self.adapter.rename(from, to, replace_if_exists, by)?)
    }

    fn read_directory(
        &self,
        context: &Opened,
        _pattern: Option<&U16CStr>,
        marker: DirMarker<'_>,
        buffer: &mut [u8],
    ) -> Result<u32> {
        self.fill(context, marker.is_none())?;
        Ok(context.entries.read(marker, buffer))
    }

    fn get_dir_info_by_name(
        &self,
        context: &Opened,
        file_name: &U16CStr,
        out_dir_info: &mut DirInfo,
    ) -> Result<()> {
        let (name, info) = self.adapter.entry(&context.open, file_name.as_slice())?;
        out_dir_info.set_name_raw(&*name)?;
        tell(&info, out_dir_info.file_info_mut());
        Ok(())
    }

    fn get_volume_info(&self, out_volume_info: &mut VolumeInfo) -> Result<()> {
        let room = self.adapter.room()?;
        out_volume_info.total_size = room.total;
        out_volume_info.free_size = room.free.min(room.total);
        out_volume_info.set_volume_label(&self.label);
        Ok(())
    }

    fn dispatcher_stopped(&self, normally: bool) {
        (self.stopped)(normally);
    }
}

impl AsyncFileSystemContext for Context {
    async fn read_async(&self, context: &Opened, buffer: &mut [u8], offset: u64) -> Result<u32> {
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let bytes = self.adapter.read(&context.open, offset, length).await?;
        // No more was asked for.
        if let Some(part) = buffer.get_mut(..bytes.len()) {
            part.copy_from_slice(&bytes);
        }
        Ok(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
    }

    async fn write_async(
        &self,
        context: &Opened,
        buffer: &[u8],
        offset: u64,
        write_to_eof: bool,
        constrained_io: bool,
        file_info: &mut FileInfo,
    ) -> Result<u32> {
        let place = Place {
            offset,
            to_end: write_to_eof,
            within: constrained_io,
        };
        let (written, info) = self.adapter.write(&context.open, buffer, place).await?;
        tell(&info, file_info);
        Ok(written)
    }

    /// What the drive answers at once is answered on the thread that asked; the rest goes on elsewhere.
    fn spawn_task(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut future = Box::pin(future);
        if self.adapter.asking.begin(&mut future).is_pending() {
            self.adapter.asking.runtime.spawn(future);
        }
    }
}

impl NotifyingFileSystemContext<()> for Context {
    fn should_notify(&self) -> Option<()> {
        self.adapter.has_news().then_some(())
    }

    fn notify(&self, (): (), notifier: &Notifier) {
        // The library's timer lets a panic through.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let changes = self.adapter.changes.take();
            for notice in self.adapter.notices(changes) {
                let mut info: NotifyInfo<LONGEST_PATH> = NotifyInfo::new();
                info.filter = notice.filter;
                info.action = notice.action;
                // Nobody can have opened what has a longer path.
                if info.set_name_raw(&*notice.path).is_ok() {
                    notifier.notify(&info);
                }
            }
        }));
        if told.is_err() {
            tracing::error!("what has changed could not be told");
        }
    }
}

/// What Windows is told of the volume, beside what is the same for all of them.
pub(super) struct Volume<'a> {
    pub(super) serial: u32,
    pub(super) born: u64,
    /// Makes it a network drive.
    pub(super) network_name: Option<&'a str>,
}

/// What WinFsp has refused.
pub(super) enum Refused {
    /// To make the file system, or to ask it anything.
    Drive(Status),
    /// To show it where it is to be seen.
    Point(Status),
}

/// The drive behind WinFsp. Stops when it is dropped, which waits for what is asked at that moment.
pub(super) struct Host(FileSystemHost<Context>);

fn status(error: impl Into<FspError>) -> Status {
    Status(error.into().to_ntstatus())
}

/// The version of the DLL, which must be loaded.
pub(super) fn version() -> std::result::Result<(u32, u32), Status> {
    let mut version = 0;
    // SAFETY: the number is ours to be written.
    match unsafe { FspVersion(&raw mut version) } {
        0 => Ok((version >> 16, version & 0xffff)),
        other => Err(Status(other)),
    }
}

/// Is there a driver? It is started if need be. The DLL must be loaded.
pub(super) fn driver() -> std::result::Result<(), Status> {
    let mut device: Vec<u16> = "WinFsp.Disk\0".encode_utf16().collect();
    // SAFETY: the name ends with a zero and lives until the call returns.
    match unsafe { FspFsctlPreflight(device.as_mut_ptr()) } {
        0 => Ok(()),
        other => Err(Status(other)),
    }
}

impl Host {
    /// Makes it and shows it at `point`. Nothing is answered yet.
    pub(super) fn new(
        context: Context,
        volume: &Volume<'_>,
        point: &OsStr,
    ) -> std::result::Result<Self, Refused> {
        let mut params = VolumeParams::new();
        params
            .filesystem_name(FILE_SYSTEM)
            .sector_size(SECTOR)
            .sectors_per_allocation_unit(SECTORS)
            .max_component_length(names::LONGEST_NAME as u16)
            .volume_serial_number(volume.serial)
            .volume_creation_time(volume.born)
            .file_info_timeout(KEPT)
            .case_sensitive_search(false)
            .case_preserved_names(true)
            .unicode_on_disk(true)
            .persistent_acls(true)
            .pass_query_directory_filename(true)
            .post_cleanup_when_modified_only(true)
            .flush_and_purge_on_cleanup(true);
        if let Some(name) = volume.network_name {
            params.prefix(name);
        }
        let options = FileSystemParams {
            use_dir_info_by_name: true,
            volume_params: params,
            debug_mode: DebugMode::none(),
        };
        let host = FileSystemHost::new_with_timer_async::<(), TOLD_EVERY>(options, context);
        let mut host = Self(host.map_err(|error| Refused::Drive(status(error)))?);
        let point: OsString = point.to_owned();
        let shown = host.0.mount(&point);
        shown.map_err(|error| Refused::Point(status(error)))?;
        Ok(host)
    }

    /// Answers from now on.
    pub(super) fn start(&mut self, threads: u32) -> std::result::Result<(), Refused> {
        let started = self.0.start_with_threads(threads);
        started.map_err(|error| Refused::Drive(status(error)))
    }

    /// Takes the drive out of sight. What is open goes on.
    pub(super) fn hide(&mut self) {
        self.0.unmount();
    }
}
