//! A home with a library and a project, and the folders that show one sound of each.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use serde_json::{Value, json};

use crate::support::sounds::wav;
use crate::support::{Home, Mounted, by_nfs, program, show};

pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) struct Scene {
    pub(crate) home: Home,
}

impl Scene {
    /// `kick.wav` and `snare.wav` in a library, `kick.wav` twice in a project.
    pub(crate) fn new() -> Self {
        let home = Home::new();
        for (name, seed) in [("Drums/kick.wav", 1), ("Drums/snare.wav", 2)] {
            let path = home.library().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, wav(3000, seed)).unwrap();
        }
        std::fs::create_dir(home.path("Song")).unwrap();
        Self { home }
    }

    pub(crate) fn mount(&self, arguments: &[&str]) -> Mounted<'_> {
        let (library, project) = (self.home.library(), self.home.path("Song"));
        let mut all: Vec<&OsStr> = vec![
            "--library".as_ref(),
            library.as_os_str(),
            "--project".as_ref(),
            project.as_os_str(),
        ];
        all.extend(arguments.iter().map(OsStr::new));
        self.home.mount_with(&all)
    }

    /// Mounts, and waits until both sounds of the library are there.
    pub(crate) fn mounted(&self, arguments: &[&str]) -> Mounted<'_> {
        let mounted = self.mount(arguments);
        crate::support::wait_until(SOON, "the library's sounds", || {
            self.home.items().len() >= 2 && self.drums().join("snare.wav").exists()
        });
        mounted
    }

    /// Imports a sound into the project; gives its id.
    pub(crate) fn import(&self, name: &str, seed: u32) -> String {
        let path = self.home.path(format!("in{seed}")).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wav(3000, seed)).unwrap();
        let project = self.home.path("Song");
        let imported = self.home.json([
            "import".as_ref(),
            path.as_os_str(),
            "--project".as_ref(),
            project.as_os_str(),
        ]);
        imported[0]["mediaId"].as_str().unwrap().to_owned()
    }

    /// In the library, on the drive.
    pub(crate) fn drums(&self) -> PathBuf {
        self.home.on_drive("library/library/Drums")
    }

    /// The item of a file of the library.
    pub(crate) fn id(&self, name: &str) -> String {
        let item = self.home.item(&format!("Drums/{name}"));
        item["mediaId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn by_id(&self, id: &str) -> PathBuf {
        self.home.on_drive("by-id").join(id)
    }

    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let mut stream = UnixStream::connect(self.home.home().join("socket")).unwrap();
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The sidecars of an item as the protocol tells of them: name, size, where kept.
    pub(crate) fn told(&self, id: &str) -> Vec<(String, u64, String)> {
        let item = self.call("media.get", json!({"mediaId": id}));
        let all = item["sidecars"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        all.iter()
            .map(|one| {
                (
                    text(&one["name"]),
                    one["size"].as_u64().unwrap(),
                    text(&one["kept"]),
                )
            })
            .collect()
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[track_caller]
pub(crate) fn fails<T: std::fmt::Debug>(done: std::io::Result<T>, errno: Errno) {
    let error = done.expect_err("it is refused");
    assert_eq!(Errno::from_io_error(&error), Some(errno), "{error}");
}

/// Writing into what is not written to is refused. By NFS a client asks beforehand, and says that it is not permitted.
#[track_caller]
pub(crate) fn refuses_bytes<T: std::fmt::Debug>(done: std::io::Result<T>) {
    match by_nfs() {
        true => fails(done, Errno::ACCESS),
        false => fails(done, Errno::ROFS),
    }
}

/// Runs a Python script that must succeed, in a folder.
#[track_caller]
pub(crate) fn python(folder: &Path, script: &str) -> String {
    // What has changed elsewhere, and what a client of NFS believes of a file where a write has failed, it asks for anew
    // after a second.
    let settle = match by_nfs() {
        true => "import time\ndef settle(): time.sleep(1.2)\n",
        false => "def settle(): pass\n",
    };
    let before = "import os, sys, errno, mmap\nos.chdir(sys.argv[1])\n\
        def fails(no, call, *arguments):\n    try:\n        call(*arguments)\n    except OSError as e:\n        assert e.errno == no, (call, arguments, e)\n    else:\n        assert False, (call, arguments)\n";
    let script = format!("{settle}{before}{script}");
    let arguments = ["-c".as_ref(), OsStr::new(&script), folder.as_os_str()];
    let output = program("python3", arguments);
    assert!(output.status.success(), "{}", show(&output));
    String::from_utf8(output.stdout).unwrap()
}
