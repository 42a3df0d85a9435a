//! Who asks: the class of a requester.
//!
//! The class decides whether a sound that is not here is silence, a wait or an error. It comes from what was
//! registered (by Pulse, by `mediafs run`), from names in the configuration, and from the path: under `by-id/`
//! whoever is unknown is a player, elsewhere a copier; below `.as/<class>/` the path alone decides.
//! The tree asks at look-ups and opens; nothing here waits.

mod look;
mod names;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::num::NonZeroUsize;

use lru::LruCache;
use mediafs_platform::drive::Requester;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::config::RequesterConfig;
use look::ProcessKey;
use names::Names;

/// How far up a registered ancestor is looked for.
const MOST_ANCESTORS: usize = 64;

/// Processes whose ancestors are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");

/// The deal a requester gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, clap::ValueEnum)]
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

/// By which door the tree was entered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Door {
    /// The root: the class is found out.
    Front,
    /// `.as/<class>/`: the path says it.
    As(Class),
}

impl Door {
    /// The folder in the root that has the other doors.
    pub const FOLDER: &'static str = ".as";

    /// The classes that have a door of their own.
    pub const CLASSES: [Class; 4] = [Class::Player, Class::Loader, Class::Copier, Class::Indexer];

    /// The door behind `.as/<name>`.
    #[must_use]
    pub fn named(name: &OsStr) -> Option<Self> {
        Self::CLASSES
            .into_iter()
            .find(|class| name == class.word())
            .map(Self::As)
    }

    /// Its folder from the root; `None` for the front.
    #[must_use]
    pub fn path(self) -> Option<String> {
        match self {
            Self::Front => None,
            Self::As(class) => Some(format!("{}/{}", Self::FOLDER, class.word())),
        }
    }
}

/// Why a process can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is no such process, or it is another one that has the pid by now.
    #[error("there is no process {pid} that was started at {start_time}")]
    NoSuchProcess {
        /// The pid.
        pid: u32,
        /// The start time that was given.
        start_time: u64,
    },
    /// Only registered processes have a mode.
    #[error("process {pid} is not registered")]
    NotRegistered {
        /// The pid.
        pid: u32,
    },
}

#[derive(Clone, Copy)]
struct Registration {
    start_time: u64,
    class: Class,
    strict: bool,
}

#[derive(Default)]
struct Registered {
    by_pid: HashMap<u32, Registration>,
    /// The pid of the registered process that a process descends from, or none. A child keeps what it was even if
    /// its parent ends and it is given to another.
    ancestors: Option<LruCache<ProcessKey, Option<ProcessKey>>>,
}

/// Knows the class of whoever asks.
pub struct Requesters {
    names: Names,
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
            registered: Mutex::default(),
        }
    }

    /// Registers a process, and with it its descendants. Once more for the same process: replaces it.
    ///
    /// # Errors
    /// [`RegisterError::NoSuchProcess`] if no living process has this pid and start time.
    pub fn register(
        &self,
        pid: u32,
        start_time: u64,
        class: Class,
        strict: bool,
    ) -> Result<(), RegisterError> {
        if look::key(pid) != Some(ProcessKey { pid, start_time }) {
            return Err(RegisterError::NoSuchProcess { pid, start_time });
        }
        let mut registered = self.registered.lock();
        registered.by_pid.retain(|&pid, registration| {
            look::key(pid).is_some_and(|now| now.start_time == registration.start_time)
        });
        registered.by_pid.insert(
            pid,
            Registration {
                start_time,
                class,
                strict,
            },
        );
        // Who had no registered ancestor may have one now.
        registered.ancestors = None;
        Ok(())
    }

    /// Strict mode on or off.
    ///
    /// # Errors
    /// [`RegisterError::NotRegistered`].
    pub fn set_mode(&self, pid: u32, start_time: u64, strict: bool) -> Result<(), RegisterError> {
        match self.registered.lock().by_pid.get_mut(&pid) {
            Some(registration) if registration.start_time == start_time => {
                registration.strict = strict;
                Ok(())
            }
            _ => Err(RegisterError::NotRegistered { pid }),
        }
    }

    /// The class of whoever asks through `door`, for a path under `by-id/` or elsewhere.
    #[must_use]
    pub fn class_through(&self, door: Door, by: &Requester, under_by_id: bool) -> Class {
        match door {
            Door::As(class) => class,
            Door::Front => self.class_of(by, under_by_id),
        }
    }

    /// The class of whoever asks by the front door. A process that can't be seen is a copier.
    ///
    /// A registered process is what it was registered as, and so are its descendants; but a copying program, file
    /// manager or indexer that a player started (to collect a project, to show a folder) stays what it is, for a
    /// copy of silence would be a lie, and an error is none.
    #[must_use]
    pub fn class_of(&self, by: &Requester, under_by_id: bool) -> Class {
        let Some(process) = by.thread.and_then(look::of_thread) else {
            return Class::Copier;
        };
        let registration = self.registration(process);
        if let Some((registration, true)) = registration {
            return deal(registration);
        }
        let by_name = look::program(process).and_then(|program| self.names.class(&program));
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

    /// What the process, or the nearest of its ancestors, is registered as; and whether it is the process itself.
    fn registration(&self, process: ProcessKey) -> Option<(Registration, bool)> {
        let mut registered = self.registered.lock();
        if registered.by_pid.is_empty() {
            return None;
        }
        let lookup = |by_pid: &HashMap<u32, Registration>, key: ProcessKey| {
            by_pid
                .get(&key.pid)
                .copied()
                .filter(|registration| registration.start_time == key.start_time)
        };
        if let Some(own) = lookup(&registered.by_pid, process) {
            return Some((own, true));
        }
        let Registered { by_pid, ancestors } = &mut *registered;
        let ancestors = ancestors.get_or_insert_with(|| LruCache::new(REMEMBERED));
        let ancestor = *ancestors.get_or_insert(process, || {
            let mut at = process;
            for _ in 0..MOST_ANCESTORS {
                at = look::parent(at)?;
                if lookup(by_pid, at).is_some() {
                    return Some(at);
                }
            }
            None
        });
        lookup(by_pid, ancestor?).map(|registration| (registration, false))
    }
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

    /// A child that is killed at the end of its test.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    impl Running {
        fn key(&self) -> ProcessKey {
            look::key(self.0.id()).unwrap()
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
        let us = look::program(look::key(std::process::id()).unwrap()).unwrap();
        while look::program(running.key()).unwrap().executable == us.executable {
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
        let us = look::key(std::process::id()).unwrap();
        requesters
            .register(us.pid, us.start_time, Class::Indexer, false)
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
            let exe = dir.path().join(name).into_os_string();
            while look::program(look::key(pid).unwrap())
                .unwrap()
                .executable
                .as_ref()
                != Some(&exe)
            {
                std::thread::yield_now();
            }
        };
        wait_for(plain_pid, "plain");
        wait_for(cp_pid, "cp");

        assert_eq!(requesters.class_of(&asks(plain_pid), false), Class::Copier);
        let key = shell.key();
        requesters
            .register(key.pid, key.start_time, Class::Player, false)
            .unwrap();
        assert_eq!(requesters.class_of(&asks(key.pid), false), Class::Player);
        assert_eq!(requesters.class_of(&asks(plain_pid), false), Class::Player);
        // What a player starts to copy with does not get silence.
        assert_eq!(requesters.class_of(&asks(cp_pid), false), Class::Copier);
        // Unless it is registered itself.
        let cp_key = look::key(cp_pid).unwrap();
        requesters
            .register(cp_pid, cp_key.start_time, Class::Player, false)
            .unwrap();
        assert_eq!(requesters.class_of(&asks(cp_pid), false), Class::Player);

        requesters.set_mode(key.pid, key.start_time, true).unwrap();
        assert_eq!(requesters.class_of(&asks(plain_pid), true), Class::Copier);
        requesters.set_mode(key.pid, key.start_time, false).unwrap();
        assert_eq!(requesters.class_of(&asks(plain_pid), true), Class::Player);

        requesters
            .register(key.pid, key.start_time, Class::Indexer, false)
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
        let mut shell = run(Path::new("/bin/sh"), &["-c", &script]);
        let by = asks(shell.0.id());
        assert_eq!(requesters.class_of(&by, true), Class::Player);
        drop(shell.0.stdin.take());
        while look::program(shell.key()).unwrap().executable.as_ref()
            != Some(&cp.clone().into_os_string())
        {
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
            requesters.register(key.pid, key.start_time + 1, Class::Player, false),
            Err(RegisterError::NoSuchProcess {
                pid: key.pid,
                start_time: key.start_time + 1
            })
        );
        assert_eq!(
            requesters.set_mode(key.pid, key.start_time, true),
            Err(RegisterError::NotRegistered { pid: key.pid })
        );
        requesters
            .register(key.pid, key.start_time, Class::Player, false)
            .unwrap();
        drop(running);
        let other = named(dir.path(), "two").key();
        // `other` has ended as well by now.
        assert!(
            requesters
                .register(other.pid, other.start_time, Class::Player, false)
                .is_err()
        );
        let last = named(dir.path(), "three");
        requesters
            .register(last.key().pid, last.key().start_time, Class::Player, false)
            .unwrap();
        assert_eq!(requesters.registered.lock().by_pid.len(), 1);
    }

    #[test]
    fn doors_say_the_class() {
        assert_eq!(
            Door::named("player".as_ref()),
            Some(Door::As(Class::Player))
        );
        assert_eq!(Door::named("Player".as_ref()), None);
        assert_eq!(Door::named("".as_ref()), None);
        assert_eq!(
            Door::As(Class::Indexer).path().as_deref(),
            Some(".as/indexer")
        );
        let requesters = requesters(&[]);
        let by = asks(std::process::id());
        assert_eq!(
            requesters.class_through(Door::As(Class::Loader), &by, false),
            Class::Loader
        );
        assert_eq!(
            requesters.class_through(Door::Front, &by, false),
            Class::Copier
        );
    }
}
