//! What a daemon holds: threads, files, children. After whatever went wrong it is to hold no more than before.

use std::collections::BTreeMap;

/// Connections to one database that the daemon may keep.
const CONNECTIONS: usize = 12;

/// What a daemon holds.
#[derive(Debug)]
pub struct Holds {
    threads: usize,
    files: BTreeMap<String, usize>,
    pub children: usize,
}

impl Holds {
    pub fn now(pid: u32) -> Self {
        let mut files = BTreeMap::new();
        for fd in std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .flatten()
        {
            if let Ok(of) = std::fs::read_link(fd.path()) {
                // Sockets and pipes have numbers of their own.
                let of = of.to_string_lossy().into_owned();
                let of = of.split_once(":[").map_or(of.as_str(), |(sort, _)| sort);
                *files.entry(of.to_owned()).or_default() += 1;
            }
        }
        let children = std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .map(|children| children.split_whitespace().count())
            .sum();
        Self {
            threads: std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count),
            files,
            children,
        }
    }

    /// What there is more of than before.
    pub fn more_than(&self, before: &Self) -> Vec<String> {
        let mut more = Vec::new();
        let mut compare = |what: &str, now: usize, then: usize| {
            if now > then {
                more.push(format!("{what}: {now}, before {then}"));
            }
        };
        compare("threads", self.threads, before.threads);
        compare("children", self.children, before.children);
        for (of, now) in &self.files {
            // Whoever answers has one connection, and there are only so many who do.
            let is_catalog = [".db", ".db-wal", ".sqlite", ".sqlite-wal"]
                .iter()
                .any(|end| of.ends_with(end));
            if is_catalog && *now <= CONNECTIONS {
                continue;
            }
            compare(of, *now, before.files.get(of).copied().unwrap_or(0));
        }
        more
    }
}
