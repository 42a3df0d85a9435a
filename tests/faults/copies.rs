//! Promise 2 with the programs that people copy with: of sounds that can't be had, each ends with an error and leaves
//! nothing of silence anywhere, or has copied the sound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::scene::{Sound, cloud, configure, in_root, mount};
use crate::support::cloud::{Cloud, Fault, Op, Rule};
use crate::support::{Home, show, wait_until};

const FRAMES: u32 = 40_000;

/// What is not as it should be with a source when copies are made of it.
const STATES: [&str; 4] = ["offline", "hung", "error", "missing"];

const COPY_TREE: &str = "
import os, shutil, sys
failed = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            shutil.copy(os.path.join(folder, name), os.path.join(sys.argv[2], name))
        except OSError as error:
            print(error, file=sys.stderr)
            failed = 1
sys.exit(failed)
";

/// Programs by name, each with how it copies a folder into another.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("cp", &["cp", "-r", "FROM/.", "TO"]),
    ("cp -a", &["cp", "-a", "FROM/.", "TO"]),
    ("rsync", &["rsync", "-a", "FROM/", "TO"]),
    ("tar", &["tar", "-cf", "TO/all.tar", "-C", "FROM", "."]),
    (
        "shutil",
        &["/usr/bin/python3", "-c", COPY_TREE, "FROM", "TO"],
    ),
];

fn copy(words: &[&str], from: &Path, to: &Path) -> Output {
    let words: Vec<String> = words
        .iter()
        .map(|word| {
            let word = word.replace("FROM", from.to_str().unwrap());
            word.replace("TO", to.to_str().unwrap())
        })
        .collect();
    // One that is never done is an error of its own.
    Command::new("timeout")
        .args(["-k", "1", "60"])
        .args(&words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// All files below a folder; those of archives as if they were unpacked beside it.
fn files_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let archive = folder.join("all.tar");
    if archive.exists() {
        let _ = Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(folder)
            .output();
        std::fs::remove_file(&archive).unwrap();
    }
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.insert(entry.path(), std::fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn breaks(state: &str, cloud: &Cloud) {
    let fault: Rule = match state {
        "offline" => Fault::Offline.into(),
        "hung" => Fault::Hung.on(Op::READ),
        "error" => Fault::Error(rustix::io::Errno::IO.raw_os_error()).on(Op::READ),
        _ => return (1..4).for_each(|n| cloud.remove(format!("kit/{n}.wav"))),
    };
    cloud.inject(fault);
}

#[test]
fn copies_of_what_cannot_be_had_are_errors() {
    let home = Home::new();
    configure(&home, "[deadlines]\ncopier_seconds = 3\n");
    let mut sources = Vec::new();
    for (state, s) in STATES.iter().zip(0..) {
        for ((name, words), p) in PROGRAMS.iter().zip(0..) {
            let root = format!("{state}-{name}").replace(' ', "");
            let cloud = cloud(&home, &root);
            let sounds: Vec<Sound> = (0..4)
                .map(|n| Sound::new(FRAMES, s * 1000 + p * 100 + n))
                .collect();
            for (n, sound) in sounds.iter().enumerate() {
                cloud.put(format!("kit/{n}.wav"), (*sound.bytes).clone());
            }
            sources.push((*state, *name, *words, root, cloud, sounds));
        }
    }
    let roots: Vec<&Path> = sources
        .iter()
        .map(|source| source.4.mount_point())
        .collect();
    let _drive = mount(&home, &roots);
    home.wait_for_items(sources.len() * 4);
    // One of each is here already.
    let here: Vec<PathBuf> = sources
        .iter()
        .map(|source| home.on_drive(in_root(&source.3, "kit/0.wav")))
        .collect();
    let words = ["hydrate", "--wait"].map(PathBuf::from);
    home.run(words.iter().chain(&here));
    for (state, _, _, _, cloud, _) in &sources {
        breaks(state, cloud);
    }
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = sources
            .iter()
            .map(|(state, name, words, root, _, _)| {
                let home = &home;
                scope.spawn(move || {
                    let to = home.path(format!("copy-{root}"));
                    std::fs::create_dir(&to).unwrap();
                    // What was removed is still shown until somebody looks.
                    let from = home.on_drive(in_root(root, "kit"));
                    let done = copy(words, &from, &to);
                    (format!("{state} {name}"), done, files_of(&to))
                })
            })
            .collect();
        for (thread, source) in threads.into_iter().zip(&sources) {
            let (what, done, files) = thread.join().unwrap();
            let sounds = &source.5;
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            let line = said.lines().next().unwrap_or_default().to_owned();
            eprintln!("{what:20} {} {} files: {line}", done.status, files.len());
            if done.status.success() || done.status.code() == Some(124) {
                wrong.push(format!("{what}: {}", show(&done)));
            }
            let mut whole = 0;
            for (path, bytes) in files {
                let n: usize = path
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .trim_start_matches('.')
                    .split('.')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                let sound = &sounds[n];
                if bytes == *sound.bytes {
                    whole += 1;
                } else if !sound.bytes.starts_with(&bytes) {
                    // tar fills up what it could not read with zeros, and ends with an error.
                    let read = bytes
                        .iter()
                        .zip(&*sound.bytes)
                        .take_while(|(a, b)| a == b)
                        .count();
                    let padded =
                        what.ends_with("tar") && read == 0 && bytes.iter().all(|byte| *byte == 0);
                    if !padded || bytes == *sound.placeholder {
                        wrong.push(format!(
                            "{what}: {} is no part of the sound",
                            path.display()
                        ));
                    }
                }
            }
            if whole == 0 {
                wrong.push(format!("{what}: not even what is here was copied"));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All of it is to be had again.
    for source in &sources {
        source.4.heal();
    }
    let back = &sources[0];
    wait_until(Duration::from_secs(40), "a source that was offline", || {
        let path = home.on_drive(in_root(&back.3, "kit/1.wav"));
        std::fs::read(path).is_ok_and(|bytes| bytes == *back.5[1].bytes)
    });
}
