//! A home with a project, and takes in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Home, Mounted, show};

pub(crate) struct Scene {
    pub(crate) home: Home,
}

/// A take that was reserved.
pub(crate) struct Reserved {
    pub(crate) id: String,
    /// In `record/`, absolute.
    pub(crate) file: PathBuf,
    pub(crate) staging: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let home = Home::new();
        std::fs::create_dir(home.path("Song")).unwrap();
        Self { home }
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.home.path("Song")
    }

    pub(crate) fn mount(&self, arguments: &[&str]) -> Mounted<'_> {
        let project = self.project();
        let mut all: Vec<&OsStr> = vec!["--project".as_ref(), project.as_os_str()];
        all.extend(arguments.iter().map(OsStr::new));
        self.home.mount_with(&all)
    }

    /// Reserves a take of the project.
    pub(crate) fn reserve(&self, name: &str) -> Reserved {
        let project = self.project();
        self.reserve_with(&[
            "--name".as_ref(),
            name.as_ref(),
            "--project".as_ref(),
            project.as_os_str(),
        ])
    }

    pub(crate) fn reserve_with(&self, arguments: &[&OsStr]) -> Reserved {
        let told = self.home.json([&["reserve".as_ref()], arguments].concat());
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        assert_eq!(
            self.home.on_drive(text("path")),
            Path::new(&text("file")),
            "the path is relative to the mount"
        );
        Reserved {
            id: text("mediaId"),
            file: text("file").into(),
            staging: text("staging").into(),
        }
    }

    pub(crate) fn finalise(&self, take: &Reserved) -> Value {
        self.home.json(["finalise", &take.id])
    }

    /// What a command says that must fail.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.home.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", show(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn takes(&self) -> Vec<Value> {
        self.home.json(["takes"]).as_array().unwrap().clone()
    }

    /// The file of a final item on disk.
    pub(crate) fn resolved(item: &Value) -> PathBuf {
        item["resolvedPath"].as_str().unwrap().into()
    }
}

/// Runs a Python script with its standard output and input piped.
pub(crate) fn python(script: &str, arguments: &[&OsStr]) -> Child {
    Command::new("python3")
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test; scripts/test installs it")
}
