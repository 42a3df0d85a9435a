//! Windows.

#[path = "windows/session.rs"]
mod session;

use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close,
    ctrl_logoff, ctrl_shutdown,
};
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_CLOSING_STATE, FILE_PIPE_DISCONNECTED_STATE, FILE_PIPE_LOCAL_INFORMATION,
    FilePipeLocalInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::{
    CloseHandle, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation,
};
use windows_sys::Win32::System::Console::{
    FreeConsole, GetConsoleProcessList, GetStdHandle, STD_ERROR_HANDLE, STD_HANDLE,
    STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleCtrlHandler, SetStdHandle,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, GetCurrentThread, SetThreadPriority,
    THREAD_PRIORITY_LOWEST,
};
use windows_sys::core::BOOL;

use self::session::Session;

/// Statuses from here on are of exceptions.
const EXCEPTION: u32 = 0xc000_0000;

pub(super) fn user() -> (u32, u32) {
    (0, 0)
}

pub(super) fn requester() -> u32 {
    std::process::id()
}

pub(super) fn set_name(_name: &std::ffi::CStr) {}

pub(super) fn lower_priority() -> io::Result<()> {
    // SAFETY: the handle of the calling thread is always valid, and never closed.
    match unsafe { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_LOWEST) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

pub(super) fn leave_terminal() {}

pub(super) fn leave_own_console() {
    let mut processes = [0_u32; 2];
    // SAFETY: there is room for so many numbers; where there are more, none is written and their count is given.
    let count = unsafe { GetConsoleProcessList(processes.as_mut_ptr(), 2) };
    if count == 1 {
        // SAFETY: takes nothing.
        unsafe { FreeConsole() };
    }
}

pub(super) fn silence_output() -> io::Result<()> {
    let nowhere = std::fs::File::options().write(true).open("NUL")?;
    let before = output();
    // SAFETY: the handle is open, and stays so, as it is given away here.
    if unsafe { SetStdHandle(STD_OUTPUT_HANDLE, nowhere.as_raw_handle()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    std::mem::forget(nowhere);
    if let Some(before) = before {
        // Also where somebody has a duplicate of it, it is not passed on.
        // SAFETY: nobody asks for the standard output by this handle any more, as the system has another one; the library
        // asks for it at each write.
        unsafe {
            SetHandleInformation(before, HANDLE_FLAG_INHERIT, 0);
            CloseHandle(before);
        }
    }
    Ok(())
}

fn output() -> Option<HANDLE> {
    standard(STD_OUTPUT_HANDLE)
}

fn standard(which: STD_HANDLE) -> Option<HANDLE> {
    // SAFETY: takes a number.
    let handle = unsafe { GetStdHandle(which) };
    (!handle.is_null() && handle != INVALID_HANDLE_VALUE).then_some(handle)
}

/// Told of pipes alone; the rest has no reader that could leave.
pub(super) fn output_is_lost() -> bool {
    let Some(output) = output() else {
        return false;
    };
    let mut pipe = FILE_PIPE_LOCAL_INFORMATION::default();
    let mut done = IO_STATUS_BLOCK::default();
    let Ok(length) = u32::try_from(size_of_val(&pipe)) else {
        return false;
    };
    // SAFETY: the handle is that of the standard output, or of nothing; `pipe` is what belongs to the class, as long as is
    // said, and both answers are ours to be written.
    let status = unsafe {
        NtQueryInformationFile(
            output,
            &raw mut done,
            (&raw mut pipe).cast(),
            length,
            FilePipeLocalInformation,
        )
    };
    let lost = [FILE_PIPE_CLOSING_STATE, FILE_PIPE_DISCONNECTED_STATE];
    status >= 0 && lost.contains(&pipe.NamedPipeState)
}

pub(super) fn give_way_to(mut command: Command) -> io::Error {
    /// Ctrl+C is for the other program.
    unsafe extern "system" fn stay(_event: u32) -> BOOL {
        1
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return error,
    };
    // SAFETY: the handler is there as long as the program, and does nothing.
    unsafe { SetConsoleCtrlHandler(Some(stay), 1) };
    match child.wait() {
        Ok(ended) => std::process::exit(ended.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// The file of a program that runs can be renamed, not replaced.
pub(super) fn program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

pub(super) fn begin(program: &Path, _name: &str) -> Command {
    keep_standard_handles();
    let mut command = Command::new(program);
    command.creation_flags(CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP);
    // A folder that is never to be unmounted or removed.
    if let Some(folder) = std::env::var_os("SystemRoot") {
        command.current_dir(folder);
    }
    command
}

/// A new process inherits every handle that can be inherited, not only those that it is given as its own; so a process that
/// lives on would keep open the pipe of whoever reads what this one says. What is given to a process on purpose is a duplicate.
fn keep_standard_handles() {
    for which in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        if let Some(handle) = standard(which) {
            // One that can't be kept (a console of old) is nothing that anybody waits for.
            // SAFETY: takes a handle that is this process's, and two flags.
            unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
        }
    }
}

pub(super) fn ask_to_end(_process: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn was_killed(ended: ExitStatus) -> bool {
    ended
        .code()
        .is_some_and(|code| code.cast_unsigned() >= EXCEPTION)
}

#[derive(Debug)]
pub(super) struct EndSignals {
    c: CtrlC,
    r#break: CtrlBreak,
    close: CtrlClose,
    logoff: CtrlLogoff,
    shutdown: CtrlShutdown,
    /// `None` where there are no windows, as for who has logged in by ssh: there the console tells of all ends.
    session: Option<Session>,
}

impl EndSignals {
    /// The end of a console is always one.
    pub(super) fn listen(_hangup: bool) -> io::Result<Self> {
        Ok(Self {
            c: ctrl_c()?,
            r#break: ctrl_break()?,
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
            session: Session::watch()
                .inspect_err(|error| tracing::warn!(%error, "the end of the session is not told"))
                .ok(),
        })
    }

    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.c.recv() => "Ctrl+C",
            _ = self.r#break.recv() => "Ctrl+Break",
            _ = self.close.recv() => "closed console",
            _ = self.logoff.recv() => "logoff",
            _ = self.shutdown.recv() => "shutdown",
            () = end_of(&mut self.session) => "end of the session",
        }
    }
}

async fn end_of(session: &mut Option<Session>) {
    match session {
        Some(session) => session.ended().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use windows_sys::Win32::System::Threading::CREATE_NEW_CONSOLE;

    use super::*;

    const CHILD: &str = "MEDIAFS_TEST_OWN_CONSOLE";
    const NAME: &str =
        "this_process::system::tests::a_console_of_its_own_is_left_and_another_stays";

    /// How many processes have this one's console, if it has one.
    fn sharing() -> u32 {
        let mut processes = [0_u32; 8];
        // SAFETY: there is room for so many numbers.
        unsafe { GetConsoleProcessList(processes.as_mut_ptr(), 8) }
    }

    #[test]
    fn a_console_of_its_own_is_left_and_another_stays() {
        let again = |part: &str, flags: u32| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", NAME]).env(CHILD, part);
            command.creation_flags(flags).status().unwrap().success()
        };
        match std::env::var(CHILD).as_deref() {
            Ok("alone") => {
                assert_eq!(sharing(), 1, "made for it");
                leave_own_console();
                assert_eq!(sharing(), 0);
                println!("what is written to it is lost, and no error");
            }
            Ok("begins another") => assert!(again("begun", 0)),
            Ok(_) => {
                let before = sharing();
                assert!(before >= 2, "{before}, and with the one that has begun it");
                leave_own_console();
                assert_eq!(sharing(), before);
            }
            Err(_) => {
                assert!(again("alone", CREATE_NEW_CONSOLE));
                assert!(again("begins another", CREATE_NEW_CONSOLE));
            }
        }
    }
}
