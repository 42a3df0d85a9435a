//! Everything that can go wrong with a source, at each moment, for each class. What a class may see is the table "What an
//! open gives": a player the sound or its silence and always in time, an indexer what is here, all others the sound or
//! an error.
//!
//! Each pair of trouble and moment has a cloud of its own, and each class a sound of its own in it, so that none brings
//! anything for another. All go wrong at the same time, beside a source that is well and trusted storage.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::scene::{
    Bystander, Control, Latencies, PLAYER_BOUND, Sound, cloud, configure, in_root, mount,
    read_timed,
};
use crate::support::cloud::{Cloud, Fault, Injected};
use crate::support::matrix::{Stage, Trouble, cells};
use crate::support::players::{Class, Content, How, Outcome, Seen, Use};
use crate::support::{Home, wait_until};

/// The deadlines of the home, shorter than usual.
const LOADER: Duration = Duration::from_secs(2);
const COPIER: Duration = Duration::from_secs(4);
/// What those who wait may wait longer: they are looked after every 100 ms, and the machine is busy.
const SLACK: Duration = Duration::from_secs(1);

const FRAMES: u32 = 100_000;
/// Reads of this size are no sniffing.
const PIECE: u64 = 32 << 10;
/// After twelve seconds without an answer a source is suspended, after five more it is asked again.
const SUSPENDED: Duration = Duration::from_secs(2 * 12 + 5 + 3);
const BACK: Duration = Duration::from_secs(60);

struct Cell {
    trouble: Trouble,
    stage: Stage,
    name: String,
    cloud: Cloud,
    sounds: Vec<(Class, Sound)>,
}

fn file(class: Class) -> String {
    format!("kit/{class:?}.wav").to_lowercase()
}

impl Cell {
    fn new(home: &Home, trouble: Trouble, stage: Stage, number: u32) -> Self {
        let name = format!("{trouble:?}-{stage:?}").to_lowercase();
        let cloud = cloud(home, &name);
        let sounds: Vec<_> = Class::ALL
            .into_iter()
            .zip(0..)
            .map(|(class, n)| (class, Sound::new(FRAMES, number * 10 + n)))
            .collect();
        for (class, sound) in &sounds {
            cloud.put(file(*class), (*sound.bytes).clone());
        }
        Self {
            trouble,
            stage,
            name,
            cloud,
            sounds,
        }
    }

    fn goes_wrong(&self) -> Vec<Injected> {
        let inject = |path: &str, size| {
            let rule = self.stage.rule(self.trouble, path, size).unwrap();
            self.cloud.inject(rule)
        };
        if self.stage == Stage::Readdir {
            return vec![inject("kit", 0)];
        }
        let each = self.sounds.iter();
        each.map(|(class, sound)| inject(&file(*class), sound.bytes.len() as u64))
            .collect()
    }

    /// How the drive is used where this goes wrong. Whoever only opened or asked for attributes would not come to where
    /// it does: that is only in the way of what is read then.
    fn uses(&self) -> Vec<How> {
        match self.stage {
            Stage::Readdir => vec![How::List],
            Stage::Stat => vec![How::Stat, How::Read],
            Stage::Map => vec![How::MapPrivate],
            Stage::Open | Stage::FirstRead | Stage::Midway => vec![How::Read],
        }
    }

    fn use_by(&self, home: &Home, class: Class, how: How) -> Use {
        let path = if how == How::List {
            "kit".to_owned()
        } else {
            file(class)
        };
        let piece = if how == How::MapPrivate { 4096 } else { PIECE };
        class
            .uses(how, &home.mount_point(), in_root(&self.name, path))
            .chunk(piece)
            .within(Duration::from_secs(30))
    }

    /// What all classes see. One program after the other is started, so that a player is not held up by the start of
    /// others; those that wait do so together.
    fn seen_by_all(&self, home: &Home, starting: &Mutex<()>) -> Vec<(Class, How, Seen)> {
        let mut seen = Vec::new();
        for how in self.uses() {
            let started = starting.lock().unwrap();
            let mut waiting = Vec::new();
            for (class, sound) in &self.sounds {
                let mut running = self.use_by(home, *class, how).start();
                if *class == Class::Player {
                    seen.push((*class, how, running.see(sound.truth())));
                } else {
                    running.wait_for_request();
                    waiting.push((*class, sound, running));
                }
            }
            drop(started);
            for (class, sound, running) in waiting {
                seen.push((class, how, running.see(sound.truth())));
            }
        }
        seen
    }
}

/// What a class saw in a cell is against its promise: why.
fn broken(cell: &Cell, class: Class, how: How, seen: &Seen, late: Duration) -> Vec<String> {
    let mut broken = Vec::new();
    let mut expect = |holds: bool, why: &str| {
        if !holds {
            broken.push(format!(
                "{} {class:?} {how:?}: {why}: {:?}, {:?}, {:?}",
                cell.name, seen.outcome, seen.content, seen.requests
            ));
        }
    };
    let truth = &cell.sounds.iter().find(|(own, _)| *own == class).unwrap().1;
    let longest = match (class, how) {
        (Class::Player | Class::Indexer, _) | (_, How::Stat | How::List) => PLAYER_BOUND + late,
        (Class::Loader, _) => LOADER + SLACK + late,
        (Class::Copier | Class::Browser, _) => COPIER + SLACK + late,
    };
    expect(seen.longest() <= longest, "too late");
    if matches!(how, How::Stat | How::List) {
        expect(seen.outcome == Outcome::Done, "looking failed");
        if let Some(stat) = seen.stat {
            expect(stat.size == truth.bytes.len() as u64, "another size");
        }
        if how == How::List {
            expect(seen.names.len() == Class::ALL.len(), "another list");
        }
        return broken;
    }
    let lies = cell.trouble == Trouble::WrongBytes;
    match class {
        Class::Player | Class::Loader => {
            let plays = matches!(
                seen.outcome,
                Outcome::Bytes | Outcome::Silence | Outcome::Mixed
            );
            // What is a lie is known when all of it is there.
            let whole = seen.bytes.len() == truth.bytes.len();
            expect(
                plays || (lies && seen.outcome == Outcome::Wrong && whole),
                "neither sound nor silence",
            );
        }
        Class::Indexer => expect(
            matches!(seen.outcome, Outcome::Errno(errno) if [Errno::AGAIN, Errno::NODATA]
                .map(|e| e.raw_os_error())
                .contains(&errno)),
            "an indexer was served",
        ),
        Class::Copier | Class::Browser => {
            let errors: &[Errno] = match cell.trouble {
                Trouble::Slow => &[],
                Trouble::Hung => &[Errno::TIMEDOUT, Errno::NOMEDIUM],
                Trouble::Error => &[Errno::IO, Errno::TIMEDOUT],
                Trouble::Offline => &[Errno::NOMEDIUM, Errno::NETUNREACH],
                Trouble::Vanishes => &[Errno::NODATA, Errno::IO],
                Trouble::WrongSize | Trouble::WrongBytes => &[Errno::IO, Errno::NODATA],
                Trouble::Full => &[Errno::IO, Errno::NOSPC, Errno::TIMEDOUT],
            };
            let ok = match seen.outcome {
                Outcome::Bytes => true,
                Outcome::Errno(errno) => errors.iter().any(|e| e.raw_os_error() == errno),
                // SIGBUS is how a mapping says it.
                Outcome::Signal(7) => how == How::MapPrivate && !errors.is_empty(),
                _ => false,
            };
            expect(ok, "neither the sound nor an error of the table");
            let true_so_far = matches!(seen.content, Content::Nothing | Content::Bytes);
            expect(true_so_far || lies, "a copier was lied to");
        }
    }
    broken
}

fn word(seen: &Seen) -> String {
    let outcome = match seen.outcome {
        Outcome::Errno(errno) => match Errno::from_raw_os_error(errno) {
            Errno::AGAIN => "EAGAIN".to_owned(),
            Errno::IO => "EIO".to_owned(),
            Errno::NODATA => "ENODATA".to_owned(),
            Errno::NOMEDIUM => "ENOMEDIUM".to_owned(),
            Errno::NETUNREACH => "ENETUNREACH".to_owned(),
            Errno::TIMEDOUT => "ETIMEDOUT".to_owned(),
            Errno::NOSPC => "ENOSPC".to_owned(),
            Errno::STALE => "ESTALE".to_owned(),
            other => format!("{other:?}"),
        },
        Outcome::Signal(7) => "SIGBUS".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{outcome} {}", seen.longest().as_millis())
}

/// All that was seen, a row for each use.
fn table(title: &str, rows: &BTreeMap<(String, String), Vec<(Class, String)>>) -> String {
    let mut text = format!("{title} (outcome, longest request in ms)\n{:30}", "");
    for class in Class::ALL {
        let _ = write!(text, "{:17}", format!("{class:?}"));
    }
    for ((cell, how), seen) in rows {
        let _ = write!(text, "\n{:30}", format!("{cell} {how}"));
        for (_, word) in seen {
            let _ = write!(text, "{word:17}");
        }
    }
    text
}

/// Lets all cells be seen by all classes; gives the table and what was broken.
fn go_through(
    title: &str,
    home: &Home,
    cells: &[&Cell],
    also: impl Fn(&Cell, Class, How, &Seen) -> Option<String> + Sync,
) -> (String, Vec<String>, Latencies) {
    let starting = Mutex::default();
    let control = Control::start();
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = cells
            .iter()
            .map(|cell| scope.spawn(|| (*cell, cell.seen_by_all(home, &starting))))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let late = control.stop();
    let (mut rows, mut wrong, mut players) = (BTreeMap::new(), Vec::new(), Latencies::default());
    for (cell, seen) in &all {
        for (class, how, seen) in seen {
            let row: &mut Vec<_> = rows
                .entry((cell.name.clone(), format!("{how:?}").to_lowercase()))
                .or_default();
            row.push((*class, word(seen)));
            wrong.extend(broken(cell, *class, *how, seen, late));
            wrong.extend(also(cell, *class, *how, seen));
            if *class == Class::Player {
                seen.requests.iter().for_each(|r| players.add(r.took));
            }
        }
    }
    let mut text = table(title, &rows);
    let _ = write!(
        text,
        "\nplayers: {players}; the machine was late by up to {late:?}"
    );
    (text, wrong, players)
}

/// Hydrates these paths of the drive, so that their hashes are known, and forgets the bytes.
fn hashed_but_gone(home: &Home, paths: &[PathBuf]) {
    let words = ["hydrate", "--wait"].map(PathBuf::from);
    home.run(words.iter().chain(paths));
    home.run(["cache", "evict"]);
}

fn is_suspended(home: &Home, cell: &Cell) -> bool {
    let items = home.items();
    let own = Path::new(&cell.name).join("kit");
    items
        .iter()
        .filter(|item| {
            let path = item["storage"].to_string() + &item["resolvedPath"].to_string();
            path.contains(own.to_str().unwrap())
        })
        .all(|item| item["availability"] != "external-online")
}

#[test]
fn whatever_goes_wrong_each_class_gets_what_it_was_promised() {
    let home = Home::new();
    configure(
        &home,
        &format!(
            "[deadlines]\nloader_seconds = {}\ncopier_seconds = {}\n",
            LOADER.as_secs(),
            COPIER.as_secs()
        ),
    );
    let cells: Vec<Cell> = cells()
        .zip(1..)
        .map(|((trouble, stage), n)| Cell::new(&home, trouble, stage, n))
        .collect();
    let well = cloud(&home, "well");
    let own = Sound::new(20_000, 1_000_001);
    std::fs::write(home.library().join("own.wav"), &*own.bytes).unwrap();
    let others: Vec<Sound> = (0..200)
        .map(|n| Sound::new(10_000, 2_000_000 + n))
        .collect();
    for (n, sound) in others.iter().enumerate() {
        well.put(format!("{n}.wav"), (*sound.bytes).clone());
    }
    let mut roots: Vec<PathBuf> = cells
        .iter()
        .map(|cell| cell.cloud.mount_point().to_owned())
        .collect();
    roots.extend([well.mount_point().to_owned(), home.library()]);
    let roots: Vec<&Path> = roots.iter().map(PathBuf::as_path).collect();
    let begun = Instant::now();
    let _drive = mount(&home, &roots);
    // This process reads more than a copier may without being asked for.
    home.run(["allow", &std::process::id().to_string()]);
    home.wait_for_items(cells.len() * Class::ALL.len() + others.len() + 1);
    let liars = cells.iter().filter(|c| c.trouble == Trouble::WrongBytes);
    let known: Vec<PathBuf> = liars
        .flat_map(|cell| Class::ALL.map(|class| home.on_drive(in_root(&cell.name, file(class)))))
        .collect();
    hashed_but_gone(&home, &known);
    eprintln!("all was scanned after {:?}", begun.elapsed());

    let faults: Vec<Vec<Injected>> = cells.iter().map(Cell::goes_wrong).collect();
    let path = home
        .on_drive(".as/player")
        .join(in_root("library", "own.wav"));
    let trusted = Bystander::start(move |latencies| {
        assert_eq!(read_timed(&path, latencies).unwrap(), *own.bytes);
    });
    let (folder, mut next) = (home.on_drive(".as/copier").join(in_root("well", "")), 0);
    let healthy = Bystander::start(move |latencies| {
        let n = next % others.len();
        next += 1;
        let read = read_timed(&folder.join(format!("{n}.wav")), latencies);
        assert_eq!(read.unwrap(), *others[n].bytes);
    });
    let all: Vec<&Cell> = cells.iter().collect();
    let (text, mut wrong, _) = go_through("While it goes wrong", &home, &all, |_, _, _, _| None);
    eprintln!("{text}");
    for (cell, faults) in cells.iter().zip(&faults) {
        let met: u64 = faults.iter().map(|fault| cell.cloud.hits(*fault)).sum();
        if cell.stage == Stage::Readdir {
            if met > 0 {
                wrong.push(format!("{}: looking touched the source", cell.name));
            }
        } else if met == 0 {
            wrong.push(format!("{}: nobody met the fault", cell.name));
        }
    }

    // A source of which nothing answers is known for it, and nobody waits for it any more.
    let hung: Vec<&Cell> = cells
        .iter()
        .filter(|c| c.trouble == Trouble::Hung && c.stage != Stage::Readdir)
        .collect();
    for cell in &hung {
        cell.cloud.inject(Fault::Hung);
    }
    wait_until(SUSPENDED, "all that hangs to be suspended", || {
        hung.iter().all(|cell| is_suspended(&home, cell))
    });
    let (text, more, _) = go_through("Suspended", &home, &hung, |cell, class, how, seen| {
        let at_once = PLAYER_BOUND + SLACK;
        (seen.longest() > at_once)
            .then(|| format!("{} {class:?} {how:?}: waits still: {seen:?}", cell.name))
    });
    eprintln!("{text}");
    wrong.extend(more);

    let (trusted, healthy) = (trusted.stop(), healthy.stop());
    eprintln!("trusted storage beside it: {trusted}\nanother source beside it: {healthy}");

    // All comes back by itself; but for what was found to be gone or another, which the next scan finds.
    for cell in &cells {
        cell.cloud.heal();
    }
    home.run(["scan"]);
    let begun = Instant::now();
    let mut left: Vec<(&Cell, Class)> = cells
        .iter()
        .flat_map(|cell| Class::ALL.map(|class| (cell, class)))
        .collect();
    while !left.is_empty() && begun.elapsed() < BACK {
        left.retain(|(cell, class)| {
            let path = home.on_drive(in_root(&cell.name, file(*class)));
            let truth = &cell.sounds.iter().find(|(own, _)| own == class).unwrap().1;
            let copied = std::fs::read(path);
            if copied.as_ref().is_ok_and(|bytes| *bytes != *truth.bytes) {
                wrong.push(format!("{} {class:?}: other bytes afterwards", cell.name));
            }
            copied.is_err()
        });
        std::thread::sleep(Duration::from_millis(200));
    }
    eprintln!("all was back after {:?}", begun.elapsed());
    for (cell, class) in left {
        let path = home.on_drive(in_root(&cell.name, file(class)));
        wrong.push(format!(
            "{} {class:?} does not come back: {:?}",
            cell.name,
            std::fs::read(path).map(|bytes| bytes.len())
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let verified = home.run(["cache", "verify"]);
    eprintln!("{verified}");
    assert!(trusted.permille(990) <= PLAYER_BOUND, "{trusted}");
    assert!(healthy.permille(990) <= PLAYER_BOUND * 4, "{healthy}");
}
