//! Who asks: the class of a requester.
//!
//! The class decides whether a sound that is not here is silence, a wait or an error. It comes from what was
//! registered (by Pulse, by `mediafs run`), from names in the configuration, and from the path: under `by-id/`
//! whoever is unknown is a player, elsewhere a copier; below `.as/<class>/` the path alone decides.
//! The tree asks at look-ups and opens; nothing here waits.

mod names;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use mediafs_platform::drive::Requester;
use mediafs_platform::process::{Process, ProcessId, Processes, StartTime};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::RequesterConfig;
use names::Names;

/// Processes whose ancestors are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// A process, told from a later one of the same number.
type ProcessKey = (ProcessId, StartTime);

/// The deal a requester gets.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Never waits; silence instead.
    Player,
    /// Waits a little, then silence.
    Loader,
    /// The true bytes, or an error.
    Copier,
    /// A file manager: a copier whose sniffing starts nothing.
    Browser,
    /// Only what is here already.
    Indexer,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Player,
        Self::Loader,
        Self::Copier,
        Self::Browser,
        Self::Indexer,
    ];

    /// The word, as in the protocol and in paths.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Loader => "loader",
            Self::Copier => "copier",
            Self::Browser => "browser",
            Self::Indexer => "indexer",
        }
    }
}

/// Why a process can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is no such process, or it is another one that has the number by now.
    #[error("there is no process {} that was started at {}", process.0, started.0)]
    NoSuchProcess {
        /// The number.
        process: ProcessId,
        /// The start that was given.
        started: StartTime,
    },
    /// Only registered processes have a mode.
    #[error("process {} is not registered", process.0)]
    NotRegistered {
        /// The number.
        process: ProcessId,
    },
}

#[derive(Clone, Copy)]
struct Registration {
    class: Class,
    strict: bool,
}

#[derive(Default)]
struct Registered {
    processes: HashMap<ProcessKey, Registration>,
    /// The registered process that a process descends from, or none. A child keeps what it was even if its parent
    /// ends and it is given to another.
    ancestors: Option<LruCache<ProcessKey, Option<ProcessKey>>>,
}

/// Knows the class of whoever asks.
pub struct Requesters {
    names: Names,
    processes: Processes,
    registered: Mutex<Registered>,
}

impl std::fmt::Debug for Requesters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requesters").finish_non_exhaustive()
    }
}

impl Requesters {
    /// With the names of the configuration, and nobody registered.
    #[must_use]
    pub fn new(config: &RequesterConfig) -> Self {
        Self {
            names: Names::new(config),
            processes: Processes::new(),
            registered: Mutex::default(),
        }
    }

    /// Registers a process, and with it its descendants. Once more for the same process: replaces it. Processes that
    /// have ended are forgotten.
    ///
    /// # Errors
    /// [`RegisterError::NoSuchProcess`] if no living process has this number and start.
    pub fn register(
        &self,
        process: ProcessId,
        started: StartTime,
        class: Class,
        strict: bool,
    ) -> Result<(), RegisterError> {
        if !lives((process, started)) {
            return Err(RegisterError::NoSuchProcess { process, started });
        }
        let mut registered = self.registered.lock();
        registered.processes.retain(|&key, _| lives(key));
        registered
            .processes
            .insert((process, started), Registration { class, strict });
        // Who had no registered ancestor may have one now.
        registered.ancestors = None;
        Ok(())
    }

    /// Strict mode on or off.
    ///
    /// # Errors
    /// [`RegisterError::NotRegistered`].
    pub fn set_mode(
        &self,
        process: ProcessId,
        started: StartTime,
        strict: bool,
    ) -> Result<(), RegisterError> {
        self.registered
            .lock()
            .processes
            .get_mut(&(process, started))
            .map(|registration| registration.strict = strict)
            .ok_or(RegisterError::NotRegistered { process })
    }

    /// The class of whoever asks, for a path under `by-id/` or elsewhere. A process that can't be seen is a copier.
    ///
    /// A registered process is what it was registered as, and so are its descendants; but a copying program, file
    /// manager or indexer that a player started (to collect a project, to show a folder) stays what it is, for a
    /// copy of silence would be a lie, and an error is none.
    #[must_use]
    pub fn class_of(&self, by: &Requester, under_by_id: bool) -> Class {
        let Some(process) = self.processes.of_thread(by.thread) else {
            return Class::Copier;
        };
        let registration = self.registration(&process);
        if let Some((registration, true)) = registration {
            return deal(registration);
        }
        let by_name = self.names.class(&process);
        match (by_name, registration) {
            (
                Some(class @ (Class::Copier | Class::Browser | Class::Indexer)),
                Some((registration, _)),
            ) if matches!(registration.class, Class::Player | Class::Loader) => class,
            (_, Some((registration, _))) => deal(registration),
            (Some(class), None) => class,
            (None, None) if under_by_id => Class::Player,
            (None, None) => Class::Copier,
        }
    }

    /// It, or an ancestor of it, was registered as a player or loader, or is named so in the configuration. Not whoever
    /// only took a path where all are players.
    #[must_use]
    pub fn is_known_player(&self, by: &Requester) -> bool {
        let Some(process) = self.processes.of_thread(by.thread) else {
            return false;
        };
        let registered = self.registration(&process).map(|(found, _)| found.class);
        let class = registered.or_else(|| self.names.class(&process));
        matches!(class, Some(Class::Player | Class::Loader))
    }

    /// The process of whoever asks, where that can be seen.
    #[must_use]
    pub fn process_of(&self, by: &Requester) -> Option<Arc<Process>> {
        self.processes.of_thread(by.thread)
    }

    /// What the process, or the nearest of its ancestors, is registered as; and whether it is the process itself.
    fn registration(&self, process: &Process) -> Option<(Registration, bool)> {
        let mut registered = self.registered.lock();
        let Registered {
            processes,
            ancestors,
        } = &mut *registered;
        if processes.is_empty() {
            return None;
        }
        if let Some(own) = processes.get(&key(process)) {
            return Some((*own, true));
        }
        let ancestor = *ancestors
            .get_or_insert_with(|| LruCache::new(REMEMBERED))
            .get_or_insert(key(process), || {
                process
                    .ancestors()
                    .map(|ancestor| key(&ancestor))
                    .find(|ancestor| processes.contains_key(ancestor))
            });
        processes
            .get(&ancestor?)
            .map(|registration| (*registration, false))
    }
}

fn key(process: &Process) -> ProcessKey {
    (process.id, process.started)
}

/// It runs still.
pub(super) fn lives((process, started): ProcessKey) -> bool {
    StartTime::of(process) == Some(started)
}

fn deal(registration: Registration) -> Class {
    match registration.class {
        Class::Player if registration.strict => Class::Copier,
        class => class,
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    fn seen(pid: u32) -> Process {
        Process::of(ProcessId(pid)).unwrap()
    }

    /// A child that is killed at the end of its test.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    impl Running {
        fn process(&self) -> Process {
            seen(self.0.id())
        }

        fn key(&self) -> ProcessKey {
            key(&self.process())
        }
    }

    fn run(program: &Path, arguments: &[&str]) -> Running {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let running = Running(child);
        // Until exec the child is still us.
        let us = seen(std::process::id());
        while running.process().executable == us.executable {
            std::thread::yield_now();
        }
        running
    }

    /// A program under another name that does nothing until it is ended.
    fn named(dir: &Path, name: &str) -> Running {
        let path = dir.join(name);
        std::fs::copy("/bin/sleep", &path).unwrap();
        run(&path, &["1000"])
    }

    fn asks(pid: u32) -> Requester {
        Requester {
            thread: Some(pid),
            uid: 0,
            gid: 0,
        }
    }

    fn requesters(players: &[&str]) -> Requesters {
        let mut config = Config::defaults().unwrap().requesters;
        config.players = players.iter().map(|&name| name.to_owned()).collect();
        Requesters::new(&config)
    }

    #[test]
    fn names_decide_and_the_path_decides_for_the_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let requesters = requesters(&["my-daw"]);
        for (name, by_id, elsewhere) in [
            ("cp", Class::Copier, Class::Copier),
            ("Thunar", Class::Browser, Class::Browser),
            ("tracker-extract-3", Class::Indexer, Class::Indexer),
            ("My-DAW", Class::Player, Class::Player),
            ("sampler", Class::Player, Class::Copier),
        ] {
            let running = named(dir.path(), name);
            let by = asks(running.0.id());
            assert_eq!(requesters.class_of(&by, true), by_id, "{name}");
            assert_eq!(requesters.class_of(&by, false), elsewhere, "{name}");
        }
    }

    #[test]
    fn who_cannot_be_seen_is_a_copier() {
        let requesters = requesters(&[]);
        let by = Requester {
            thread: None,
            uid: 0,
            gid: 0,
        };
        assert_eq!(requesters.class_of(&by, true), Class::Copier);
        assert_eq!(requesters.class_of(&asks(u32::MAX), true), Class::Copier);
    }

    #[test]
    fn a_thread_is_its_process() {
        let requesters = requesters(&[]);
        let us = key(&seen(std::process::id()));
        requesters
            .register(us.0, us.1, Class::Indexer, false)
            .unwrap();
        let class = std::thread::spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").unwrap();
            let thread: u32 = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
            assert_ne!(thread, std::process::id());
            requesters.class_of(&asks(thread), true)
        });
        assert_eq!(class.join().unwrap(), Class::Indexer);
    }

    #[test]
    fn registered_processes_and_their_descendants_are_what_they_were_registered_as() {
        let dir = tempfile::tempdir().unwrap();
        let requesters = requesters(&[]);
        let cp = dir.path().join("cp");
        std::fs::copy("/bin/sleep", &cp).unwrap();
        let plain = dir.path().join("plain");
        std::fs::copy("/bin/sleep", &plain).unwrap();
        // A shell with a child of each sort: it tells their pids.
        let script = format!(
            "{} 1000 & echo $!; {} 1000 & echo $!; wait",
            plain.display(),
            cp.display()
        );
        let mut shell = run(Path::new("/bin/sh"), &["-c", &script]);
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(shell.0.stdout.take().unwrap()));
        let mut next = || lines.next().unwrap().unwrap().parse::<u32>().unwrap();
        let (plain_pid, cp_pid) = (next(), next());
        let wait_for = |pid: u32, name: &str| {
            let exe = dir.path().join(name);
            while seen(pid).executable.as_ref() != Some(&exe) {
                std::thread::yield_now();
            }
        };
        wait_for(plain_pid, "plain");
        wait_for(cp_pid, "cp");

        assert_eq!(requesters.class_of(&asks(plain_pid), false), Class::Copier);
        let key = shell.key();
        requesters
            .register(key.0, key.1, Class::Player, false)
            .unwrap();
        assert_eq!(requesters.class_of(&asks(key.0.0), false), Class::Player);
        assert_eq!(requesters.class_of(&asks(plain_pid), false), Class::Player);
        // What a player starts to copy with does not get silence.
        assert_eq!(requesters.class_of(&asks(cp_pid), false), Class::Copier);
        // Unless it is registered itself.
        let cp_key = super::key(&seen(cp_pid));
        requesters
            .register(cp_key.0, cp_key.1, Class::Player, false)
            .unwrap();
        assert_eq!(requesters.class_of(&asks(cp_pid), false), Class::Player);

        requesters.set_mode(key.0, key.1, true).unwrap();
        assert_eq!(requesters.class_of(&asks(plain_pid), true), Class::Copier);
        requesters.set_mode(key.0, key.1, false).unwrap();
        assert_eq!(requesters.class_of(&asks(plain_pid), true), Class::Player);

        requesters
            .register(key.0, key.1, Class::Indexer, false)
            .unwrap();
        assert_eq!(requesters.class_of(&asks(plain_pid), true), Class::Indexer);

        // An orphan keeps what it was.
        drop(shell);
        assert_eq!(requesters.class_of(&asks(plain_pid), true), Class::Indexer);
        for pid in [plain_pid, cp_pid] {
            let killed = Command::new("kill").arg(pid.to_string()).status().unwrap();
            assert!(killed.success());
        }
    }

    #[test]
    fn exec_changes_who_asks() {
        let dir = tempfile::tempdir().unwrap();
        let requesters = requesters(&[]);
        let cp = dir.path().join("cp");
        std::fs::copy("/bin/sleep", &cp).unwrap();
        let script = format!("read line; exec {} 1000", cp.display());
        // Under a name that nobody knows.
        let sampler = dir.path().join("sampler");
        std::fs::copy("/bin/sh", &sampler).unwrap();
        let mut shell = run(&sampler, &["-c", &script]);
        let by = asks(shell.0.id());
        assert_eq!(requesters.class_of(&by, true), Class::Player);
        drop(shell.0.stdin.take());
        while shell.process().executable.as_ref() != Some(&cp) {
            std::thread::yield_now();
        }
        assert_eq!(requesters.class_of(&by, true), Class::Copier);
    }

    #[test]
    fn only_living_processes_can_be_registered_and_dead_ones_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let requesters = requesters(&[]);
        let running = named(dir.path(), "one");
        let key = running.key();
        assert_eq!(
            requesters.register(key.0, StartTime(key.1.0 + 1), Class::Player, false),
            Err(RegisterError::NoSuchProcess {
                process: key.0,
                started: StartTime(key.1.0 + 1)
            })
        );
        assert_eq!(
            requesters.set_mode(key.0, key.1, true),
            Err(RegisterError::NotRegistered { process: key.0 })
        );
        requesters
            .register(key.0, key.1, Class::Player, false)
            .unwrap();
        drop(running);
        let other = named(dir.path(), "two").key();
        // `other` has ended as well by now.
        assert!(
            requesters
                .register(other.0, other.1, Class::Player, false)
                .is_err()
        );
        let last = named(dir.path(), "three");
        requesters
            .register(last.key().0, last.key().1, Class::Player, false)
            .unwrap();
        assert_eq!(requesters.registered.lock().processes.len(), 1);
    }
}
