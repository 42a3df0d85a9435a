//! A host that imports, uses, reverts, saves, saves as and keeps drafts without a pause, on a daemon that is killed at
//! random moments, again and again. What was acknowledged is there after each: in the catalog, and in the manifest, which
//! is the one of the last save that was answered, or of the one that was under way, and whole. `scripts/storm` runs it
//! for longer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mediafs::project::Document;
use serde_json::{Value, json};

use crate::support::chance::Chance;
use crate::support::sounds::wav;
use crate::support::{Home, Mounted};

/// In the suite.
const SECONDS: u64 = 12;
/// A daemon lives at most so long, in milliseconds; one that does less than saves is no test.
const LONGEST_LIFE: u64 = 900;
/// Items after which some are taken back.
const MANY: usize = 60;

/// A connection of a host; `None` from a call: the daemon died before it answered.
struct Host {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Host {
    fn new(home: &Home) -> Self {
        let writer = UnixStream::connect(home.home().join("socket")).unwrap();
        writer
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self {
            reader: BufReader::new(writer.try_clone().unwrap()),
            writer,
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Option<Result<Value, Value>> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.writer
            .write_all(format!("{request}\n").as_bytes())
            .ok()?;
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(1..) if line.ends_with('\n') => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("{method} was not answered within a minute")
                }
                _ => return None,
            }
            let message: Value = serde_json::from_str(&line).unwrap();
            // Else progress.
            if message["id"] == 1 {
                return Some(match message["error"].is_null() {
                    true => Ok(message["result"].clone()),
                    false => Err(message["error"].clone()),
                });
            }
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Option<Value> {
        let answer = self.ask(method, params)?;
        Some(answer.unwrap_or_else(|error| panic!("{method} {params}: {error}")))
    }

    /// One that no killer is about to interrupt.
    fn surely(&mut self, method: &str, params: &Value) -> Value {
        self.call(method, params)
            .unwrap_or_else(|| panic!("the daemon died during {method}, and nobody killed it"))
    }
}

/// What a project has, as far as it is told apart here.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Has {
    items: BTreeSet<String>,
    usages: BTreeSet<(String, String)>,
}

impl Has {
    fn of_manifest(text: &str) -> Self {
        let manifest: Value = serde_json::from_str(text).unwrap();
        let mut has = Self::default();
        for item in manifest["items"].as_array().unwrap() {
            let id = item["mediaId"].as_str().unwrap().to_owned();
            for usage in item["usages"].as_array().into_iter().flatten() {
                let target = usage["target"].as_str().unwrap().to_owned();
                has.usages.insert((id.clone(), target));
            }
            has.items.insert(id);
        }
        has
    }

    fn of_catalog(host: &mut Host, project: &str) -> Self {
        let mut has = Self::default();
        let mut after = 0;
        loop {
            let page = host.surely("media.search", &json!({"after": after, "limit": 500}));
            for item in page["items"].as_array().unwrap() {
                if item["scope"].to_string().contains(project) {
                    has.items
                        .insert(item["mediaId"].as_str().unwrap().to_owned());
                }
            }
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => break,
            }
        }
        let page = host.surely("usages.list", &json!({"project": project, "limit": 500}));
        assert!(page["next"].is_null(), "more usages than a page");
        for usage in page["usages"].as_array().unwrap() {
            has.usages.insert((
                usage["mediaId"].as_str().unwrap().to_owned(),
                usage["target"].as_str().unwrap().to_owned(),
            ));
        }
        has
    }
}

/// What an operation did, by its number.
#[derive(Clone, Debug)]
enum Did {
    Import(String),
    Use(String, String),
}

#[derive(Default, Debug)]
struct Tally {
    kills: u32,
    interrupted: BTreeMap<&'static str, u32>,
    imports: u32,
    reverts: u32,
    saves: u32,
    drafts: u32,
    copies: u32,
    new_manifests: u32,
    old_manifests: u32,
}

struct World {
    song: PathBuf,
    project: String,
    chance: Chance,
    /// What was acknowledged.
    has: Has,
    /// What the call that was not answered would have made of it.
    may_have: Option<Has>,
    /// By revision, what a save was to write.
    saves: BTreeMap<u64, Has>,
    acknowledged_save: u64,
    /// What was acknowledged of drafts; and the one under way.
    drafts: BTreeMap<String, u64>,
    draft_under_way: Option<(String, u64)>,
    /// Copies that were acknowledged, with what they have to have.
    copies: Vec<(PathBuf, Has)>,
    operations: Vec<(Value, Did)>,
    count: u64,
    tally: Tally,
}

impl World {
    /// One call of the host; `None` when the daemon is dead.
    fn step(&mut self, home: &Home, host: &mut Host) -> Option<()> {
        self.count += 1;
        let n = self.count;
        let song = json!({"path": self.song});
        let under_way = match self.chance.below(20) {
            0..=4 => {
                let file = home.path(format!("in/{}.wav", n % 7));
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(&file, wav(50, u32::try_from(n % 1000).unwrap() + 1)).unwrap();
                let id = format!("sound-{n}");
                let mut after = self.has.clone();
                after.items.insert(id.clone());
                self.may_have = Some(after.clone());
                let params = json!({"paths": [file], "projectPath": self.song, "mediaId": id});
                let answer = host.call("media.import", &params);
                if let Some(answer) = &answer {
                    assert_eq!(answer["items"][0]["mediaId"], id.as_str(), "{answer}");
                    let operation = answer["operation"]["id"].clone();
                    self.operations.push((operation, Did::Import(id)));
                    self.has = after;
                    self.tally.imports += 1;
                }
                ("media.import", answer.map(|_| ()))
            }
            5..=8 if !self.has.items.is_empty() => {
                let at = self.chance.index(self.has.items.len());
                let id = self.has.items.iter().nth(at).unwrap().clone();
                let target = format!("clip-{n}");
                let mut after = self.has.clone();
                after.usages.insert((id.clone(), target.clone()));
                self.may_have = Some(after.clone());
                let params = json!({"usages": [{"mediaId": id, "projectId": self.project, "project": self.project,
                    "role": "clip", "target": target}]});
                let answer = host.call("usages.add", &params);
                if let Some(answer) = &answer {
                    let operation = answer["operation"]["id"].clone();
                    self.operations.push((operation, Did::Use(id, target)));
                    self.has = after;
                }
                ("usages.add", answer.map(|_| ()))
            }
            9..=11 if !self.operations.is_empty() => {
                // The latest mostly, as others stand in the way.
                let few = self.operations.len().min(3);
                let at = self.operations.len() - 1 - self.chance.index(few);
                ("history.revert", self.revert(host, at))
            }
            12..=15 => {
                let mut saved = self.has.clone();
                saved
                    .usages
                    .retain(|(item, _)| self.has.items.contains(item));
                self.saves.insert(n, saved);
                let params = json!({"path": self.song, "revision": n.to_string()});
                let answer = host.call("project.save", &params);
                if let Some(answer) = &answer {
                    assert_eq!(answer["revision"], n.to_string(), "{answer}");
                    self.acknowledged_save = n;
                    self.tally.saves += 1;
                }
                ("project.save", answer.map(|_| ()))
            }
            16..=17 => {
                let name = format!("draft {}", n % 3);
                self.draft_under_way = Some((name.clone(), n));
                let params = json!({"path": self.song, "draft": name, "state": {"n": n}});
                let answer = host.call("project.saveDraft", &params);
                if answer.is_some() {
                    self.draft_under_way = None;
                    self.drafts.insert(name, n);
                    self.tally.drafts += 1;
                }
                ("project.saveDraft", answer.map(|_| ()))
            }
            18 => {
                let to = home.path(format!("As {n}"));
                let params = json!({"path": self.song, "to": to, "collect": n.is_multiple_of(2)});
                let has = self.has.clone();
                let answer = host.call("project.saveAs", &params);
                if answer.is_some() {
                    self.copies.push((to.clone(), has));
                    self.tally.copies += 1;
                }
                let done = answer.and_then(|_| host.call("project.close", &json!({"path": to})));
                ("project.saveAs", done.map(|_| ()))
            }
            _ => (
                "project.status",
                host.call("project.status", &song).map(|_| ()),
            ),
        };
        let (what, done) = under_way;
        match done {
            Some(()) => self.may_have = None,
            None => *self.tally.interrupted.entry(what).or_default() += 1,
        }
        done
    }

    fn revert(&mut self, host: &mut Host, at: usize) -> Option<()> {
        let (operation, did) = self.operations[at].clone();
        let mut after = self.has.clone();
        match &did {
            Did::Import(id) => {
                after.items.remove(id);
            }
            Did::Use(id, target) => {
                after.usages.remove(&(id.clone(), target.clone()));
            }
        }
        self.may_have = Some(after.clone());
        let answer = host.call("history.revert", &json!({"operation": operation}))?;
        if answer["outcome"] == "reverted" {
            self.operations.remove(at);
            self.has = after;
            self.tally.reverts += 1;
        }
        Some(())
    }

    /// After a kill, and before anything else is done: what is on the disk.
    fn check_files(&mut self) {
        let text = std::fs::read_to_string(self.song.join("media.json")).unwrap();
        let document = Document::parse(text.as_bytes())
            .unwrap_or_else(|error| panic!("the manifest is not whole: {error}\n{text}"));
        assert!(document.held.is_empty());
        let revision: u64 = document.revision.map_or(0, |r| r.parse().unwrap());
        let newest = self.saves.keys().next_back().copied().unwrap_or(0);
        assert!(
            revision == self.acknowledged_save || revision == newest,
            "revision {revision}; {} was acknowledged, {newest} was under way",
            self.acknowledged_save
        );
        if newest != self.acknowledged_save {
            match revision == newest {
                true => self.tally.new_manifests += 1,
                false => self.tally.old_manifests += 1,
            }
        }
        if let Some(saved) = self.saves.get(&revision) {
            assert_eq!(
                Has::of_manifest(&text),
                *saved,
                "the manifest of revision {revision}"
            );
        }
        // Who comes too late for an answer knows it now.
        self.acknowledged_save = revision;
        self.saves.retain(|save, _| *save == revision);
        if let Ok(text) = std::fs::read(self.song.join("media.json.previous")) {
            Document::parse(&text).unwrap();
        }
        for (folder, has) in self.copies.drain(..) {
            let text = std::fs::read_to_string(folder.join("media.json")).unwrap();
            assert_eq!(Has::of_manifest(&text), has, "{}", folder.display());
        }
    }

    /// After the next start.
    fn check_catalog(&mut self, host: &mut Host) {
        let opened = host.surely("project.open", &json!({"path": self.song, "focused": true}));
        assert_eq!(opened["projectId"], self.project.as_str());
        assert!(opened["insteadOf"].is_null(), "{opened}");
        assert_eq!(opened["held"], json!([]));
        let has = Has::of_catalog(host, &self.project);
        match self.may_have.take() {
            Some(may_have) if has == may_have => self.has = may_have,
            _ => assert_eq!(has, self.has, "what was acknowledged"),
        }
        // What is not known to have been done is not reverted.
        let Has { items, usages } = &self.has;
        self.operations.retain(|(_, did)| match did {
            Did::Import(id) => items.contains(id),
            Did::Use(id, target) => usages.contains(&(id.clone(), target.clone())),
        });
        let under_way = self.draft_under_way.take();
        for (name, n) in &mut self.drafts {
            let draft = host.surely("project.draft", &json!({"path": self.song, "draft": name}));
            let found = draft["state"]["n"].as_u64().unwrap();
            match &under_way {
                Some((other, newer)) if other == name && found == *newer => *n = found,
                _ => assert_eq!(found, *n, "{name}"),
            }
        }
    }
}

/// The copies of an interrupted save-as: without a manifest, or with a whole one.
fn check_copies(home: &Home) {
    for entry in std::fs::read_dir(home.path("")).unwrap() {
        let path = entry.unwrap().path();
        if !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("As "))
        {
            continue;
        }
        if let Ok(text) = std::fs::read(path.join("media.json")) {
            Document::parse(&text).unwrap();
        }
        std::fs::remove_dir_all(path).unwrap();
    }
}

/// Does what a host does until the daemon is killed.
fn live(world: &mut World, home: &Home, drive: Mounted<'_>) {
    let life = Duration::from_millis(20 + world.chance.below(LONGEST_LIFE));
    let is_dead = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_dead = &is_dead;
        scope.spawn(move || {
            std::thread::sleep(life);
            is_dead.store(true, Ordering::SeqCst);
            drive.kill();
        });
        let mut host = Host::new(home);
        while world.step(home, &mut host).is_some() {
            if world.has.items.len() > MANY && !world.operations.is_empty() {
                let at = world.chance.index(world.operations.len());
                if world.revert(&mut host, at).is_none() {
                    *world.tally.interrupted.entry("history.revert").or_default() += 1;
                    break;
                }
                world.may_have = None;
            }
        }
        assert!(is_dead.load(Ordering::SeqCst), "the daemon died by itself");
    });
    world.tally.kills += 1;
}

#[test]
fn whatever_was_acknowledged_survives_a_daemon_that_is_killed_again_and_again() {
    let number = |name: &str, or: u64| {
        std::env::var(name).map_or(or, |number| number.parse().expect("a number"))
    };
    let seconds = number("MEDIAFS_PROJECT_STORM", SECONDS);
    let seed = number("MEDIAFS_PROJECT_STORM_SEED", 1);
    eprintln!("{seconds} seconds, MEDIAFS_PROJECT_STORM_SEED={seed}");
    let home = Home::new();
    let song = home.path("Song");
    let made = home.json([
        "project".as_ref(),
        "new".as_ref(),
        song.as_os_str() as &std::ffi::OsStr,
    ]);
    let mut world = World {
        project: made["projectId"].as_str().unwrap().to_owned(),
        song,
        chance: Chance(seed),
        has: Has::default(),
        may_have: None,
        saves: BTreeMap::new(),
        acknowledged_save: 0,
        drafts: BTreeMap::new(),
        draft_under_way: None,
        copies: Vec::new(),
        operations: Vec::new(),
        count: 0,
        tally: Tally::default(),
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) || world.tally.kills < 3 {
        let drive = home.mount_with(&[]);
        let mut host = Host::new(&home);
        world.check_catalog(&mut host);
        drop(host);
        live(&mut world, &home, drive);
        world.check_files();
        check_copies(&home);
    }
    let drive = home.mount_with(&[]);
    let mut host = Host::new(&home);
    world.check_catalog(&mut host);
    let Tally {
        imports,
        reverts,
        saves,
        drafts,
        ..
    } = world.tally;
    eprintln!("{:?}", world.tally);
    for (count, what) in [
        (imports, "imports"),
        (reverts, "reverts"),
        (saves, "saves"),
        (drafts, "drafts"),
    ] {
        assert!(count > 0, "no {what} were tried: {:?}", world.tally);
    }
    assert!(
        !world.tally.interrupted.is_empty(),
        "no call was under way when the daemon was killed"
    );
    drop(host);
    drive.stop();
}
