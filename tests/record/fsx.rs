//! `fsx` of crates.io, which does random operations on a file and compares with what it expects. `scripts/soak-record`
//! lets it go on for as long as is wanted.

use std::path::PathBuf;

use crate::scene::Scene;
use crate::support::{modes, program, show};

/// Where `scripts/test` installs it.
fn fsx() -> PathBuf {
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/fsx");
    if installed.exists() {
        installed
    } else {
        "fsx".into()
    }
}

#[test]
fn fsx_finds_nothing() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let number = std::env::var("MEDIAFS_FSX_OPERATIONS").unwrap_or_else(|_| "1000".to_owned());
        std::thread::scope(|scope| {
            for more in [1, 2] {
                let take = scene.reserve("fsx");
                let number = &number;
                let seed =
                    std::env::var("MEDIAFS_FSX_SEED").map_or(0, |seed| seed.parse().unwrap());
                let seed: u32 = seed + more;
                scope.spawn(move || {
                    let output = program(
                        fsx().to_str().unwrap(),
                        [
                            "-N",
                            number,
                            "-S",
                            &seed.to_string(),
                            take.file.to_str().unwrap(),
                        ],
                    );
                    assert!(output.status.success(), "{mode:?}: {}", show(&output));
                });
            }
        });
    }
}
