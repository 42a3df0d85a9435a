//! The control protocol against what `mediafs schema` says of it (`client`), against hostile clients, and as README shows it.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod host;
mod hostile;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::Command;

use client::{PATIENCE, Schema, Socket, judge_told};
use serde_json::{Value, json};
use support::sounds::wav;
use support::volumes::{Kind, Volume};
use support::{Home, MEDIAFS, path_of, show, wait_until};

#[test]
fn what_is_spoken_is_what_the_schema_says() {
    let home = Home::new();
    for seed in 1..=3 {
        std::fs::write(home.library().join(format!("{seed}.wav")), wav(5000, seed)).unwrap();
    }
    std::fs::write(home.library().join("broken.wav"), "RIFF").unwrap();
    let _drive = home.mount();
    let items = home.wait_for_items(3);
    let id = |number: usize| items[number]["mediaId"].clone();
    let mut schema = Schema::printed();
    let mut socket = Socket::connect(&home);
    let mut told = Socket::connect(&home);
    told.judged(&mut schema, "session.subscribe", json!({}));
    let other = home.path("other.wav");
    std::fs::write(&other, wav(400, 9)).unwrap();
    let folder = home.path("many");
    std::fs::create_dir(&folder).unwrap();
    for seed in 10..60_u32 {
        std::fs::write(folder.join(format!("{seed}.wav")), wav(2000, seed)).unwrap();
    }
    let hash = items[0]["blake3"].clone();
    let hash = if hash.is_null() {
        json!("0".repeat(64))
    } else {
        hash
    };
    let calls: Vec<(&str, Value)> = vec![
        (
            "session.hello",
            json!({"client": "test", "protocols": [1, 2]}),
        ),
        ("session.hello", json!({})),
        ("session.warnings", json!({})),
        ("drive.status", json!({})),
        ("drive.check", json!({})),
        ("drive.problems", json!({"limit": 10})),
        ("media.get", json!({"mediaId": id(0)})),
        (
            "media.get",
            json!({"path": home.on_drive(path_of(&items[1]))}),
        ),
        ("media.search", json!({})),
        ("media.search", json!({"query": "1", "limit": 1})),
        (
            "media.import",
            json!({"paths": [other, home.path("none.wav")]}),
        ),
        ("media.import", json!({"paths": [folder]})),
        ("media.scan", json!({})),
        (
            "media.resolve",
            json!({"items": [{"mediaId": id(0)}, {"mediaId": "none"}]}),
        ),
        (
            "paths.translate",
            json!({"paths": ["L:\\by-id\\x\\a.wav", "/etc/passwd"]}),
        ),
        (
            "paths.translate",
            json!({"paths": ["/media/loophole/x"], "to": "windows"}),
        ),
        ("media.tag", json!({"mediaId": id(0), "tags": ["Drum"]})),
        ("media.untag", json!({"mediaId": id(0), "tags": ["Drum"]})),
        ("media.rename", json!({"mediaId": id(0), "name": "Better"})),
        ("media.relink", json!({"mediaId": id(0), "to": "/no/such"})),
        ("media.whereIs", json!({"mediaId": id(0)})),
        ("media.hydrate", json!({"items": [{"mediaId": id(0)}]})),
        ("media.pin", json!({"items": [{"mediaId": id(0)}]})),
        ("media.unpin", json!({"items": [{"mediaId": id(0)}]})),
        ("media.silences", json!({})),
        ("media.standIn", json!({"size": 100, "blake3": hash})),
        (
            "media.silence",
            json!({"mediaId": id(0), "offset": 0, "length": 100}),
        ),
        ("volume.list", json!({})),
        ("volume.eject", json!({"volume": "none"})),
        ("volume.mark", json!({"volume": "none"})),
        (
            "requesters.register",
            json!({"pid": std::process::id(), "startTime": 1, "class": "player"}),
        ),
        (
            "requesters.setMode",
            json!({"pid": std::process::id(), "startTime": 1, "strict": true}),
        ),
        ("requesters.allow", json!({"pid": std::process::id()})),
        ("cache.stats", json!({})),
        ("cache.verify", json!({})),
        ("cache.evict", json!({"bytes": 1})),
        ("session.tasks", json!({})),
        ("session.task", json!({"task": "work-1"})),
        ("session.cancel", json!({"task": "none"})),
        ("media.remove", json!({"mediaId": id(2)})),
        ("media.forgetUnused", json!({"dryRun": true})),
        ("media.forgetLibrary", json!({"name": "library"})),
        ("session.unsubscribe", json!({})),
        ("no.such", json!({})),
    ];
    let mut called = BTreeSet::from(["session.subscribe".to_owned()]);
    for (method, params) in calls {
        socket.judged(&mut schema, method, params);
        called.insert(method.to_owned());
    }
    for take in ["take-1", "take-2"] {
        let params = json!({"kind": "audio", "name": "Take", "ext": "wav", "mediaId": take, "expectedSeconds": 10});
        let reserved = socket.judged(&mut schema, "media.reserve", params);
        let file = reserved["result"]["file"].as_str().unwrap();
        std::fs::write(file, wav(3000, 77)).unwrap();
    }
    let usages = json!([{"role": "clip", "target": "clip-1", "project": "song-1"}]);
    for (method, params) in [
        ("media.takes", json!({})),
        (
            "media.finalise",
            json!({"mediaId": "take-1", "usages": usages}),
        ),
        ("media.abandon", json!({"mediaId": "take-2"})),
        ("media.takes", json!({"recovered": true})),
        ("media.cleanup", json!({"dryRun": true})),
    ] {
        let answer = socket.judged(&mut schema, method, params);
        assert!(answer.get("result").is_some(), "{method}: {answer}");
        called.extend([method.to_owned(), "media.reserve".to_owned()]);
        let told = &answer["result"]["operation"]["id"];
        let changes = ["media.finalise", "media.abandon"].contains(&method);
        assert_eq!(told.is_u64(), changes, "{method}: {answer}");
    }
    let history = socket.judged(&mut schema, "history.list", json!({"limit": 4}));
    let history = history["result"]["operations"].as_array().unwrap().iter();
    let of_takes: Vec<_> = history
        .map(|entry| {
            (
                entry["summary"].as_str().unwrap(),
                entry["revertible"] == true,
            )
        })
        .collect();
    assert_eq!(
        of_takes,
        [
            ("gave up Take.wav", false),
            ("made final: Take.wav", false),
            ("reserved Take.wav", false),
            ("reserved Take.wav", false),
        ]
    );
    let tasks = socket.judged(&mut schema, "session.tasks", json!({}))["result"].clone();
    let kinds: BTreeSet<&str> = tasks["ended"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|task| task["kind"].as_str())
        .collect();
    assert!(
        kinds.is_superset(&BTreeSet::from(["import", "scan", "verify"])),
        "{tasks}"
    );
    for task in tasks["ended"].as_array().unwrap() {
        let params = json!({"task": task["id"]});
        let known = socket.judged(&mut schema, "session.task", params);
        assert_eq!(known["result"]["task"]["state"], task["state"]);
    }
    socket.judged(&mut schema, "session.shutdown", json!({}));
    called.insert("session.shutdown".to_owned());
    // What came of it.
    let mut text = String::new();
    told.reader.read_to_string(&mut text).unwrap();
    for line in text.lines() {
        told.told.push(serde_json::from_str(line).unwrap());
    }
    for message in std::mem::take(&mut told.told) {
        judge_told(&mut schema, &message);
    }
    for event in [
        "media.changed",
        "task.progress",
        "task.ended",
        "library.scanned",
        "library.changed",
    ] {
        let pointer = format!("/events/{event}/params");
        assert!(schema.judged.contains(&pointer), "{event} was not told");
    }
    // What projects and history speak of is called in its own test.
    let known = schema.methods();
    let mut forgotten = known.difference(&called);
    let forgotten: Vec<_> = forgotten
        .by_ref()
        .filter(|name| !host::calls(name))
        .collect();
    assert!(forgotten.is_empty(), "not called: {forgotten:?}");
    // And it is no schema that takes anything.
    assert!(!schema.is_valid("/methods/media.get/result", &json!({"mediaId": "x"})));
    assert!(!schema.is_valid("/methods/media.rename/params", &json!({"mediaId": "x"})));
    assert!(!schema.is_valid("/events/media.changed/params", &json!({"mediaId": "x"})));
}

#[test]
fn versions_are_negotiated_before_all_else() {
    let home = Home::new();
    let _drive = home.mount();
    let mut socket = Socket::connect(&home);
    // Without hello the newest is spoken.
    assert!(socket.call("drive.status", &json!({}))["result"].is_object());
    let refused = socket.call("session.hello", &json!({"protocols": [0]}));
    assert_eq!(refused["error"]["data"]["reason"], "clientTooOld");
    assert!(refused["error"]["data"]["remedy"].is_string());
    for method in [
        "drive.status",
        "session.subscribe",
        "session.cancel",
        "no.such",
    ] {
        let refused = socket.call(method, &json!({}));
        assert_eq!(
            refused["error"]["data"]["reason"], "clientTooOld",
            "{method}"
        );
    }
    let refused = socket.call("session.hello", &json!({"protocols": [77, 78]}));
    assert_eq!(refused["error"]["data"]["reason"], "daemonTooOld");
    let hello = socket.call("session.hello", &json!({"protocols": [77, 1]}))["result"].clone();
    assert_eq!(
        (&hello["protocol"], &hello["mount"]),
        (&json!(1), &json!(home.mount_point()))
    );
    let subscribed = socket.call("session.subscribe", &json!({}))["result"].clone();
    assert_eq!(subscribed["instance"], hello["instance"]);
    let of_another = json!({"since": subscribed["seq"], "instance": "another"});
    let lost = socket.call("session.subscribe", &of_another);
    assert_eq!(lost["result"]["complete"], false);
    let missed = socket.event("session.missed", |_| true);
    assert_eq!(
        (&missed["count"], &missed["from"]),
        (&Value::Null, &Value::Null)
    );
    // One that does not understand the daemon ends it.
    socket.call("session.hello", &json!({"protocols": [77]}));
    assert_eq!(
        socket.call("session.shutdown", &json!({}))["result"],
        json!({})
    );
    wait_until(PATIENCE, "the daemon to end", || {
        home.json(["status"])["running"] == false
    });
}

#[test]
fn bytes_are_found_without_a_drive_and_paths_are_translated() {
    let home = Home::new();
    let bytes = wav(3000, 5);
    let file = home.library().join("kick.wav");
    std::fs::write(&file, &bytes).unwrap();
    let drive = home.mount();
    let item = home.wait_for_items(1).remove(0);
    let id = item["mediaId"].as_str().unwrap();
    let foreign = format!("L:\\by-id\\{id}\\kick.wav");
    let here = home.on_drive(path_of(&item));
    let with_drive = home.json(["translate", &foreign]);
    assert_eq!(with_drive[0]["path"], here.to_str().unwrap());
    assert_eq!(with_drive[0]["mediaId"], id);
    let back = home.run(["translate", "--to", "windows", here.to_str().unwrap()]);
    assert_eq!(back, format!("{foreign}\n"));
    let resolved = home.json(["resolve", here.to_str().unwrap()]);
    assert_eq!(resolved[0]["path"], file.to_str().unwrap());
    drive.stop();
    // Nothing is mounted, and no daemon runs.
    let resolved = home.json(["resolve", id]);
    assert_eq!(resolved[0]["from"], "original", "{resolved}");
    let path = resolved[0]["path"].as_str().unwrap();
    assert_eq!(std::fs::read(path).unwrap(), bytes);
    // Where it was mounted is remembered.
    let translated = home.json(["translate", here.to_str().unwrap()]);
    assert!(
        translated[0]["path"]
            .as_str()
            .unwrap()
            .ends_with(path_of(&item)),
        "{translated}"
    );
    assert_eq!(translated[0]["mediaId"], id);
    let output = home.command(["translate", "/etc/passwd"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    std::fs::remove_file(&file).unwrap();
    let output = home
        .command(["resolve", "--json", id, "none"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let resolved: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&resolved[0]["path"], &resolved[1]["item"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(resolved[0]["item"]["mediaId"], id);
    assert!(resolved[0]["reason"].is_string() && resolved[1]["reason"].is_string());
}

/// A disk that is unplugged: the cache has what was brought, and what is told of it is as the schema says.
#[test]
fn what_an_unplugged_disk_leaves_is_resolved_and_told() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let samples = at.join("Samples");
    std::fs::create_dir(&samples).unwrap();
    let bytes = wav(4000, 1);
    std::fs::write(samples.join("one.wav"), &bytes).unwrap();
    std::fs::write(samples.join("two.wav"), wav(4000, 2)).unwrap();
    let drive = home.mount_with(&["--library".as_ref(), samples.as_os_str()]);
    home.wait_for_items(2);
    let id = |name: &str| {
        let item = home.item(name);
        item["mediaId"].as_str().unwrap().to_owned()
    };
    let (one, two) = (id("one.wav"), id("two.wav"));
    let mut schema = Schema::printed();
    let mut told = Socket::connect(&home);
    told.judged(&mut schema, "session.subscribe", json!({}));
    home.run(["hydrate", "--wait", &one]);
    told.event("task.ended", |task| task["kind"] == "hydrate");
    let mut socket = Socket::connect(&home);
    let both = json!({"items": [{"mediaId": one}, {"mediaId": two}]});
    let check = |resolved: &Value| {
        assert_eq!(resolved[0]["from"], "cache", "{resolved}");
        let path = resolved[0]["path"].as_str().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), bytes);
        assert_eq!(resolved[1]["path"], Value::Null, "{resolved}");
        assert_eq!(resolved[1]["item"]["storage"]["backend"], "volume");
    };
    check(&socket.judged(&mut schema, "media.resolve", both.clone())["result"]["items"]);
    red.detach();
    told.event("volume.changed", |volume| volume["state"] == "absent");
    told.event("status.changed", |status| status["mediaId"] == two.as_str());
    let away = socket.judged(&mut schema, "media.resolve", both);
    check(&away["result"]["items"]);
    assert_eq!(
        away["result"]["items"][1]["item"]["availability"],
        "external-offline"
    );
    let silent = home.on_drive(path_of(&home.item("two.wav")));
    let player = ["run", "--as", "player", "cat", silent.to_str().unwrap()];
    let output = home.command(player).output().unwrap();
    assert_eq!(output.stdout.len(), bytes.len(), "{:?}", output.status);
    told.event("media.silenced", |silenced| {
        silenced["mediaId"] == two.as_str()
    });
    for method in [
        "media.silences",
        "volume.list",
        "session.warnings",
        "session.tasks",
    ] {
        socket.judged(&mut schema, method, json!({}));
    }
    socket.judged(&mut schema, "media.whereIs", json!({"mediaId": two}));
    socket.judged(
        &mut schema,
        "media.hydrate",
        json!({"items": [{"mediaId": two}]}),
    );
    red.mount(&at);
    told.event("media.restored", |restored| {
        restored["mediaId"] == two.as_str()
    });
    for message in std::mem::take(&mut told.told) {
        judge_told(&mut schema, &message);
    }
    drive.stop();
    red.detach();
    // Without a daemon as well.
    let output = home
        .command(["resolve", "--json", &one, &two])
        .output()
        .unwrap();
    check(&serde_json::from_slice(&output.stdout).unwrap());
}

#[test]
fn an_import_is_a_task_that_is_remembered() {
    let home = Home::new();
    let folder = home.path("many");
    std::fs::create_dir(&folder).unwrap();
    for seed in 1..=3000_u32 {
        std::fs::write(folder.join(format!("{seed}.wav")), wav(200, seed)).unwrap();
    }
    let _drive = home.mount();
    let mut told = Socket::connect(&home);
    told.call("session.subscribe", &json!({"topics": ["task"]}));
    let mut asking = Socket::connect(&home);
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "media.import", "params": {"paths": [folder]}});
    writeln!(asking.writer, "{request}").unwrap();
    let task = told.event("task.progress", |task| task["kind"] == "import");
    let id = task["id"].as_str().unwrap();
    home.run(["cancel", id]);
    let ended = told.event("task.ended", |task| task["id"] == id);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    let mut progress = Vec::new();
    let answer = loop {
        let line = asking.line();
        if line["id"] == 1 {
            break line;
        }
        progress.push(line);
    };
    assert_eq!(answer["result"]["complete"], false);
    for line in progress {
        assert_eq!(
            (&line["method"], &line["params"]["request"]),
            (&json!("request.progress"), &json!(1))
        );
    }
    let listed = home.json(["tasks"]);
    assert_eq!(listed, json!([]), "what has ended is not going on");
    let all = home.run(["tasks", "--all"]);
    assert!(all.contains(id) && all.contains("cancelled"), "{all}");
}

/// The part of README that is in Python.
fn example() -> String {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_python_in_the_readme_does_what_it_says() {
    let home = Home::new();
    let example = example();
    assert!(example.lines().count() <= 40);
    std::fs::write(home.path("example.py"), example).unwrap();
    let sound = home.path("Kick.wav");
    std::fs::write(&sound, wav(3000, 3)).unwrap();
    let _drive = home.mount();
    let folder = std::path::Path::new(MEDIAFS).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new("python3")
        .arg(home.path("example.py"))
        .arg(&sound)
        .env("PATH", path)
        .env("MEDIAFS_HOME", home.home())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", show(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let item = home.wait_for_items(1).remove(0);
    assert!(text.contains(path_of(&item)), "{text}");
    assert!(text.contains("media.changed"), "{text}");
}
