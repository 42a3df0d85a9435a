//! Which class a program has by its name.
//!
//! Names come from the configuration. A program is looked for by its executable, then by the name it was called by,
//! then by the name the kernel keeps; of a host (wine, java, python, …) the command line is looked at first.

use std::collections::HashMap;
use std::ffi::OsStr;

use mediafs_platform::process::Process;

use super::Class;
use crate::config::RequesterConfig;

/// How many arguments of a host, flags not counted, may name the program it runs.
const HOST_ARGUMENTS: usize = 2;

/// The kernel cuts a process's own name to this length, in bytes.
const KERNEL_NAME: usize = 15;

/// A set of names, some with anything behind them.
#[derive(Debug)]
struct Patterns<T> {
    exact: HashMap<String, T>,
    beginnings: Vec<(String, T)>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            beginnings: Vec::new(),
        }
    }
}

impl<T: Copy> Patterns<T> {
    fn add(&mut self, name: &str, value: T) {
        let name = normal(name);
        match name.strip_suffix('*') {
            Some(beginning) => self.beginnings.push((beginning.to_owned(), value)),
            None => {
                self.exact.insert(name, value);
            }
        }
    }

    fn get(&self, name: &str) -> Option<T> {
        self.exact.get(name).copied().or_else(|| {
            self.beginnings
                .iter()
                .find(|(beginning, _)| name.starts_with(beginning.as_str()))
                .map(|(_, value)| *value)
        })
    }

    /// As `get`, for a name that was cut to [`KERNEL_NAME`] bytes.
    fn get_cut(&self, name: &str) -> Option<T> {
        self.get(name).or_else(|| {
            if name.len() < KERNEL_NAME {
                return None;
            }
            self.exact
                .iter()
                .find(|(full, _)| full.starts_with(name))
                .map(|(_, value)| *value)
        })
    }
}

/// The names of the configuration, ready to be looked up.
#[derive(Debug, Default)]
pub(super) struct Names {
    classes: Patterns<Class>,
    hosts: Patterns<()>,
}

impl Names {
    pub(super) fn new(config: &RequesterConfig) -> Self {
        let mut names = Self::default();
        let lists = [
            (&config.copiers, Class::Copier),
            (&config.browsers, Class::Browser),
            (&config.indexers, Class::Indexer),
            (&config.loaders, Class::Loader),
            (&config.players, Class::Player),
        ];
        for (list, class) in lists {
            for name in list {
                names.classes.add(name, class);
            }
        }
        for name in &config.hosts {
            names.hosts.add(name, ());
        }
        names
    }

    /// The class by name; `None` for a program that no list names.
    pub(super) fn class(&self, program: &Process) -> Option<Class> {
        let executable = program
            .executable
            .as_deref()
            .map(|path| base_name(path.as_os_str()));
        let called = program.arguments.first().map(|name| base_name(name));
        let kernel = base_name(&program.name);

        let is_host = |name: &Option<String>| {
            name.as_deref()
                .is_some_and(|name| self.hosts.get(name).is_some())
        };
        if is_host(&executable) || is_host(&called) || self.hosts.get(&kernel).is_some() {
            // Wine puts the Windows path in the place of its own name.
            let run = called.iter().cloned().chain(
                program
                    .arguments
                    .iter()
                    .skip(1)
                    .filter(|argument| !argument.as_encoded_bytes().starts_with(b"-"))
                    .take(HOST_ARGUMENTS)
                    .map(|argument| base_name(argument)),
            );
            for name in run {
                if self.hosts.get(&name).is_some() {
                    continue;
                }
                let script = [".py", ".jar", ".pl", ".rb", ".js"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix));
                let class = self
                    .classes
                    .get(&name)
                    .or_else(|| self.classes.get(script?));
                if class.is_some() {
                    return class;
                }
            }
        }
        executable
            .and_then(|name| self.classes.get(&name))
            .or_else(|| called.and_then(|name| self.classes.get(&name)))
            .or_else(|| self.classes.get_cut(&kernel))
    }
}

/// The last part of a path of any system.
fn base_name(path: &OsStr) -> String {
    let text = path.to_string_lossy();
    let last = text.rsplit(['/', '\\']).next().unwrap_or(&text);
    // A login shell is called with a dash.
    normal(last.strip_prefix('-').unwrap_or(last))
}

fn normal(name: &str) -> String {
    let name = name.to_lowercase();
    match name.strip_suffix(".exe") {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => name,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Config;
    use mediafs_platform::process::{ProcessId, StartTime};

    fn names(players: &[&str]) -> Names {
        let mut config = Config::defaults().unwrap().requesters;
        config.players = players.iter().map(|&name| name.to_owned()).collect();
        Names::new(&config)
    }

    fn program(executable: Option<&str>, arguments: &[&str], name: &str) -> Process {
        Process {
            id: ProcessId(1),
            started: StartTime(1),
            parent: None,
            executable: executable.map(Into::into),
            arguments: arguments.iter().map(Into::into).collect(),
            name: name.into(),
        }
    }

    #[test]
    fn programs_are_known_by_their_executable() {
        let names = names(&["REAPER"]);
        let class = |path: &str| names.class(&program(Some(path), &["x"], "x"));
        assert_eq!(class("/usr/bin/cp"), Some(Class::Copier));
        assert_eq!(class("/usr/bin/Thunar"), Some(Class::Browser));
        assert_eq!(class("/usr/libexec/gvfsd-trash"), Some(Class::Browser));
        assert_eq!(
            class("/usr/libexec/tracker-miner-fs-3"),
            Some(Class::Indexer)
        );
        assert_eq!(class("/opt/REAPER/reaper"), Some(Class::Player));
        assert_eq!(class("/usr/bin/ffprobe"), None);
        assert_eq!(class("/usr/bin/cpx"), None);
    }

    /// What stands in no list is a player under `by-id/`, and copies silence.
    #[test]
    fn what_copies_within_its_own_process_is_known() {
        let names = names(&[]);
        let class = |path: &str| names.class(&program(Some(path), &[], ""));
        for copier in [
            r"C:\Windows\System32\cmd.exe",
            r"C:\Windows\System32\WindowsPowerShell\v1.0\PowerShell.EXE",
            r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell_ise.exe",
            r"C:\Program Files\PowerShell\7\pwsh.exe",
            r"C:\Windows\System32\CertUtil.exe",
            r"C:\Windows\System32\fc.exe",
            r"C:\Program Files\7-Zip\7zFM.exe",
            r"C:\Program Files\WinRAR\WinRAR.exe",
            r"C:\Program Files\TeraCopy\TeraCopy.exe",
            r"C:\Program Files\FreeFileSync\Bin\FreeFileSync_x64.exe",
            "/bin/bash",
            "/usr/bin/zsh",
            "/usr/bin/cat",
            "/sbin/md5",
            "/usr/bin/lz4",
        ] {
            assert_eq!(class(copier), Some(Class::Copier), "{copier}");
        }
        for browser in [
            r"C:\totalcmd\TOTALCMD64.EXE",
            r"C:\Program Files\GPSoftware\Directory Opus\dopus.exe",
            r"C:\Program Files\WindowsApps\Files\Files.exe",
        ] {
            assert_eq!(class(browser), Some(Class::Browser), "{browser}");
        }
        for indexer in ["prevhost", "SearchFilterHost", "dllhost"] {
            let path = format!(r"C:\Windows\System32\{indexer}.exe");
            assert_eq!(class(&path), Some(Class::Indexer), "{indexer}");
        }
        let login = program(None, &["-zsh"], "zsh");
        assert_eq!(names.class(&login), Some(Class::Copier));
        for unknown in ["/usr/bin/catfish", "/opt/comper/comper", "/usr/bin/mpv"] {
            assert_eq!(class(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn unreadable_executables_are_known_by_what_they_were_called_or_by_the_kernel() {
        let names = names(&[]);
        assert_eq!(
            names.class(&program(None, &["/usr/bin/clamd", "-c"], "x")),
            Some(Class::Indexer)
        );
        assert_eq!(
            names.class(&program(None, &[], "baloo_file_extr")),
            Some(Class::Indexer)
        );
        assert_eq!(names.class(&program(None, &[], "baloo_file_ext")), None);
        assert_eq!(names.class(&program(None, &[], "")), None);
        // One binary under many names.
        assert_eq!(
            names.class(&program(Some("/bin/busybox"), &["cp", "a", "b"], "cp")),
            Some(Class::Copier)
        );
        assert_eq!(
            names.class(&program(
                Some("/bin/busybox"),
                &["busybox", "tar", "c"],
                "busybox"
            )),
            Some(Class::Copier)
        );
    }

    #[test]
    fn of_hosts_the_command_line_speaks() {
        let names = names(&["reaper", "Renoise"]);
        let wine = "/usr/lib/wine/wine64-preloader";
        let class = |exe: &str, args: &[&str]| names.class(&program(Some(exe), args, "main"));
        assert_eq!(
            class(wine, &["C:\\Program Files\\REAPER\\reaper.exe"]),
            Some(Class::Player)
        );
        assert_eq!(
            class(wine, &["/usr/bin/wine64", "--x", "Z:\\opt\\Renoise.exe"]),
            Some(Class::Player)
        );
        assert_eq!(
            class(wine, &["C:\\windows\\explorer.exe"]),
            Some(Class::Browser)
        );
        assert_eq!(class(wine, &["C:\\Kontakt 7.exe"]), None);
        assert_eq!(
            class(
                "/usr/bin/python3.13",
                &["python3", "/usr/bin/borg", "create"]
            ),
            Some(Class::Indexer)
        );
        assert_eq!(
            class("/usr/bin/python3.13", &["python3", "-m", "borg"]),
            Some(Class::Indexer)
        );
        assert_eq!(
            class("/usr/bin/python3.13", &["python3", "x.py", "a", "cp"]),
            None
        );
        let kio = "/usr/lib/kf6/kioworker";
        assert_eq!(
            class(
                kio,
                &[
                    kio,
                    "/usr/lib/qt6/plugins/kf6/kio/thumbnail.so",
                    "thumbnail"
                ]
            ),
            Some(Class::Indexer)
        );
        assert_eq!(
            class(kio, &[kio, "/usr/lib/kio/kio_ftp.so"]),
            Some(Class::Browser)
        );
        // No host: its arguments mean nothing.
        assert_eq!(class("/usr/bin/sox", &["sox", "cp", "tar"]), None);
    }

    #[test]
    fn hostile_names_are_just_unknown() {
        let names = names(&[]);
        for text in ["", "/", "\\", ".exe", "-", "\u{0}", "ﬀ", "İ"] {
            assert_eq!(
                names.class(&program(Some(text), &[text, text], text)),
                None,
                "{text:?}"
            );
        }
    }
}
