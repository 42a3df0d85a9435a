//! `pjdfstest` of crates.io, which tries what POSIX says of each call, in `import/`: the one folder where things are made,
//! renamed and removed. What it finds there is in `pjdfstest.toml`, with the reasons.

use std::path::{Path, PathBuf};

use crate::scene::Scene;
use crate::support::{modes, program, show};

/// Passed when the list was made, as root; without root much of it is left out.
const PASSED: usize = 128;

/// Where `scripts/test` installs it.
fn pjdfstest() -> PathBuf {
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/pjdfstest");
    if installed.exists() {
        installed
    } else {
        "pjdfstest".into()
    }
}

fn judge(folder: &Path, elsewhere: &Path) -> std::process::Output {
    let known = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/record/pjdfstest.toml");
    program(
        pjdfstest().to_str().unwrap(),
        [
            "-c".as_ref(),
            known.as_os_str(),
            "-p".as_ref(),
            folder.as_os_str(),
            "-s".as_ref(),
            elsewhere.as_os_str(),
        ],
    )
}

/// Without the colours.
fn plain(text: &[u8]) -> String {
    let mut plain = String::new();
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[test]
fn pjdfstest_finds_what_is_known() {
    let is_root = rustix::process::geteuid().is_root();
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let elsewhere = scene.home.path("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let output = judge(&scene.home.on_drive("import"), &elsewhere);
        let text = plain(&output.stdout);
        let told: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with(" FAILED") || line.ends_with(" PASSED UNEXPECTEDLY"))
            .collect();
        assert!(
            output.status.success() && told.is_empty(),
            "{mode:?}: {told:#?} {}",
            show(&output)
        );
        let passed = text.lines().filter(|line| line.ends_with(" ok")).count();
        assert!(
            if is_root {
                passed >= PASSED
            } else {
                passed > 0
            },
            "{mode:?}: {passed} passed, {text}"
        );
    }
}

/// It makes a folder of its own first, and nothing is made in `record/`: what is refused there is in `rules`.
#[test]
fn pjdfstest_cannot_begin_in_record() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let output = judge(&scene.home.on_drive("record"), &scene.home.path("home"));
    assert!(!output.status.success());
    let why = plain(&output.stderr);
    assert!(why.contains("Read-only file system"), "{why}");
    assert!(!plain(&output.stdout).contains(" ok"), "{}", show(&output));
}
