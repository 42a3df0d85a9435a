//! On Linux the kernel grants a lease for reading only where there are no writers. It is given back at once.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

pub(super) fn has_writers(file: &File) -> io::Result<bool> {
    // Whoever opens the file meanwhile makes the system signal us, which would end this process.
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        // SAFETY: the signal has no handler here, and to ignore it is one of the two dispositions that need none.
        unsafe {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
        }
    });
    let lease = |kind: libc::c_int| {
        // SAFETY: the descriptor is open as long as `file`, and the command takes a number.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    match lease(libc::F_RDLCK) {
        Ok(()) => lease(libc::F_UNLCK).map(|()| false),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// By default the signal that the system sends to who holds a lease ends a process.
    #[test]
    fn whoever_opens_the_file_meanwhile_does_not_end_this_process() {
        use std::os::unix::fs::OpenOptionsExt as _;
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take");
        File::create(&path).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let reader = File::open(&path).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    has_writers(&reader).unwrap();
                }
            });
            let begun = std::time::Instant::now();
            let mut met = 0;
            while met < 20 && begun.elapsed() < std::time::Duration::from_secs(60) {
                let opened = File::options()
                    .write(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open(&path);
                // The lease was there, so the signal is on its way.
                met += u32::from(opened.is_err());
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(met, 20, "nobody met the lease");
        });
    }
}
