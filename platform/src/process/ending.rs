//! What Windows tells of the end of a process, and what follows from that.
//!
//! A process that ends, whoever ends it, does so in this order: it is marked as one that is being deleted, its threads stop as
//! soon as what they wait for is answered, the last of them leaves its status, all that is open is closed, and only then does
//! it count as ended to those who wait for that. So who asks for the end of a process on whose request it works, or whose
//! file it closes, must not look for the last of these.
//!
//! A program that closes its files by itself is not being deleted yet. Who leaves that to the system either returned from
//! its `main`, with status 0 where all went well, or was stopped somewhere: by a crash or a closed console, whose statuses are
//! those of exceptions, or by another program, which gives a status that it likes (Task Manager and `taskkill` give 1). What a
//! program left open whose status is not 0 is taken for cut off. It was whole, if that was a program that failed in
//! something else, or had no word on its status yet: then its user finds it where it was put, and is told why. The other way
//! round half a sound would pass for one. A job that is closed ends its programs with status 0: nothing tells those apart.

/// As far as the system tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    /// Is it being deleted? `None` where the system does not know that word.
    pub(super) is_deleted: Option<bool>,
    /// Does it count as ended?
    pub(super) has_ended: bool,
    /// Its status; `None` while it has none, or where that is not told.
    pub(super) status: Option<u32>,
}

impl End {
    /// It waits for nothing any more.
    pub(super) fn is_dying(self) -> bool {
        self.is_deleted == Some(true) || self.has_ended
    }

    /// A file that was closed just now was closed by the system, at an end that was not the program's own.
    pub(super) fn cuts_off(self) -> bool {
        match self.is_deleted {
            Some(is_deleted) => is_deleted && self.status != Some(0),
            None => self.status.is_some_and(|status| status != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: End = End {
        is_deleted: Some(false),
        has_ended: false,
        status: None,
    };
    /// As a process is while its files are closed.
    const ENDS: End = End {
        is_deleted: Some(true),
        has_ended: false,
        status: None,
    };
    const CONSOLE_CLOSED: u32 = 0xc000_013a;

    fn with(status: u32, end: End) -> End {
        End {
            status: Some(status),
            ..end
        }
    }

    #[test]
    fn who_runs_is_neither_dying_nor_cut_off() {
        assert!(!RUNS.is_dying() && !RUNS.cuts_off());
        let unknown = End {
            is_deleted: None,
            ..RUNS
        };
        assert!(!unknown.is_dying() && !unknown.cuts_off());
    }

    #[test]
    fn who_is_ended_is_dying_before_that_counts_as_an_end() {
        assert!(ENDS.is_dying(), "its threads wait for us");
        assert!(with(1, ENDS).is_dying());
        let over = End {
            is_deleted: None,
            has_ended: true,
            ..RUNS
        };
        assert!(over.is_dying());
    }

    #[test]
    fn what_the_system_closes_is_cut_off_unless_all_went_well() {
        // Task Manager, a crash, a program that failed, and one that has left no status yet.
        for status in [1, CONSOLE_CLOSED, 0xc000_0005, 3] {
            assert!(with(status, ENDS).cuts_off(), "{status:#x}");
        }
        assert!(ENDS.cuts_off());
        assert!(!with(0, ENDS).cuts_off(), "it returned from its main");
    }

    #[test]
    fn where_only_the_status_is_told_it_says_so() {
        let unknown = End {
            is_deleted: None,
            ..ENDS
        };
        assert!(with(1, unknown).cuts_off() && with(CONSOLE_CLOSED, unknown).cuts_off());
        assert!(!with(0, unknown).cuts_off() && !unknown.cuts_off());
    }
}
