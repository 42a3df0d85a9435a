//! What a process may use: open files, memory held back by the allocator. Called once, when a daemon starts.

/// Lets this process open as many files as the system permits it. A sampler that streams its sounds from disk holds
/// thousands of them open, and each costs the daemon one as well; the usual limit of 1,024 is for programs that use
/// `select`. Returns the limit that is in force then, where there is one.
#[cfg(unix)]
pub fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it was");
            before
        }
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

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn as_many_files_as_are_permitted() {
        let raised = super::raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(raised, limit.maximum);
        assert_eq!(limit.current, limit.maximum);
        super::share_memory_between_threads();
    }
}
