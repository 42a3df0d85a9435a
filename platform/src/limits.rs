//! What a process may use: open files, memory held back by the allocator and by tables that were large once.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Lets this process open as many files as the system permits it. A sampler that streams its sounds from disk holds
/// thousands of them open, and each costs the daemon one as well; the usual limit of 1,024 is for programs that use
/// `select`. Returns the limit that is in force then, where there is one.
#[cfg(unix)]
pub fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = most_open_files(limit.maximum, open_files_of_a_process());
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it was");
            before
        }
    }
}

/// What a process may ask for: macOS refuses more than it lets one process have (setrlimit(2)), whatever its limit says.
#[cfg(unix)]
fn most_open_files(permitted: Option<u64>, of_a_process: Option<u64>) -> Option<u64> {
    match (permitted, of_a_process) {
        (Some(permitted), Some(most)) => Some(permitted.min(most)),
        (permitted, most) => permitted.or(most),
    }
}

/// `kern.maxfilesperproc`, or `OPEN_MAX`, which is always granted.
#[cfg(target_os = "macos")]
fn open_files_of_a_process() -> Option<u64> {
    const OPEN_MAX: u64 = 10_240;
    let mut most: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>();
    // SAFETY: the name ends with a zero; the number is one of C's, and `length` says how long it is; nothing is set.
    let told = unsafe {
        libc::sysctlbyname(
            c"kern.maxfilesperproc".as_ptr(),
            (&raw mut most).cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    let most = u64::try_from(most).ok().filter(|most| *most > 0);
    Some(most.filter(|_| told == 0).unwrap_or(OPEN_MAX))
}

/// The limit itself says it.
#[cfg(all(unix, not(target_os = "macos")))]
fn open_files_of_a_process() -> Option<u64> {
    None
}

/// Windows has no such limit.
#[cfg(windows)]
pub fn raise_open_files() -> Option<u64> {
    None
}

/// What macOS is taken to bear: twice what anybody is kept waiting.
const OF_MACOS: std::time::Duration = std::time::Duration::from_secs(40);

/// How long the kernel waits for the answer to a request before it takes the whole mount away; `None` where it waits for
/// ever (`fs.fuse.default_request_timeout` and `fs.fuse.max_request_timeout`, both in seconds, 0 for none).
///
/// macOS does not tell. macFUSE waits a minute where it is told nothing, and its limit is for a daemon that hangs: what is
/// given here is such that no answer comes near either.
#[must_use]
pub fn request_timeout() -> Option<std::time::Duration> {
    if cfg!(target_os = "macos") {
        return Some(OF_MACOS);
    }
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/fuse/{name}")).ok()?;
        text.trim().parse().ok().filter(|seconds| *seconds > 0)
    };
    let timeouts = ["default_request_timeout", "max_request_timeout"];
    let shortest = timeouts.into_iter().filter_map(read).min()?;
    Some(std::time::Duration::from_secs(shortest))
}

/// Gives memory that nothing uses back to the system: the allocator by itself gives back only what lies at the end of
/// its regions, and after a scan or a thousand opens little does. Takes milliseconds, in which who allocates may wait;
/// to be called now and then, when there is little to do.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `malloc_trim` works on the C library's allocator under its own locks, and only on pages that are
        // free; it takes an integer and touches no memory of ours.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Lets go of most of a table's room after it was emptied: what the kernel knew of a large library, say. Costs nothing
/// where there is little to let go of.
pub fn shrink_sparse<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    const SMALL: usize = 256;
    if table.capacity() > SMALL && table.len() < table.capacity() / 8 {
        table.shrink_to((table.len() * 2).max(SMALL / 2));
    }
}

/// Keeps the allocator from setting aside a region for each thread: with a dozen threads that do little, that is a
/// fifth of the daemon's memory.
pub fn share_memory_between_threads() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const REGIONS: libc::c_int = 2;
        // SAFETY: `mallopt` sets a parameter of the C library's allocator under its own lock; it takes two integers
        // and touches no memory of ours.
        let taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, REGIONS) };
        if taken == 0 {
            tracing::debug!("the allocator takes no limit of its regions");
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn as_many_files_as_are_permitted() {
        use rustix::process::{Resource, getrlimit};
        let raised = super::raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        let most = super::most_open_files(limit.maximum, super::open_files_of_a_process());
        assert_eq!(raised, most);
        assert_eq!(limit.current, most);
        super::share_memory_between_threads();
        super::give_back_memory();
    }

    #[cfg(unix)]
    #[test]
    fn no_more_files_are_asked_for_than_a_process_may_have() {
        use super::most_open_files;
        // As macOS has it: without a limit, which cannot be asked for.
        assert_eq!(most_open_files(None, Some(61_440)), Some(61_440));
        assert_eq!(most_open_files(Some(4096), Some(61_440)), Some(4096));
        assert_eq!(most_open_files(Some(1 << 20), Some(61_440)), Some(61_440));
        assert_eq!(most_open_files(Some(4096), None), Some(4096));
        assert_eq!(most_open_files(None, None), None);
    }

    #[test]
    fn emptied_tables_let_go_of_their_room() {
        let mut table: std::collections::HashMap<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
        let full = table.capacity();
        for number in 0..10_000 {
            table.remove(&number);
            super::shrink_sparse(&mut table);
            assert_eq!(table.len(), 9_999 - number as usize);
        }
        assert!(table.capacity() < 512 && full >= 10_000);
    }
}
