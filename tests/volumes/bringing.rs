//! `hydrate`, `cancel`, `pin`, and sounds that are imported from a volume one by one.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, path_of, succeed, wait_until};

/// A volume with one large sound, on a disk that can be slowed down.
fn slow_red(home: &Home, frames: u32) -> Volume {
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, 1, frames);
    red
}

fn slow_down(home: &Home, red: &Volume, bytes_per_second: u64) {
    red.forget(&samples(&home.path("red")).join("1.wav"));
    red.slow(Duration::from_millis(1), bytes_per_second);
}

#[test]
fn what_is_brought_is_told_and_what_cannot_be_is_told_why() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 3, 500);
    let at = home.path("red");
    std::fs::write(home.library().join("here.wav"), wav(100, 7)).unwrap();
    let (library, there) = (home.library(), samples(&at));
    let words = [
        "--library".as_ref(),
        library.as_os_str(),
        "--library".as_ref(),
        there.as_os_str(),
    ];
    let mounted = home.mount_with(&words);
    home.wait_for_items(4);
    let ids = ids(&home);
    let (one, two, three) = (&ids["1.wav"], &ids["2.wav"], &ids["3.wav"]);
    let here = home.run(["hydrate", "--wait", &ids["here.wav"]]);
    assert_eq!(here, "here.wav is here\n");
    let brought = home.run(["hydrate", "--wait", one, two]);
    assert_eq!(brought, "1.wav is here\n2.wav is here\n");
    let items = home.json(["hydrate", "--wait", one]);
    assert_eq!(items[0]["atHand"], true, "{items:#}");
    assert_eq!(items[0]["task"], Value::Null);

    std::fs::remove_file(there.join("3.wav")).unwrap();
    home.run(["scan"]);
    wait_until(DONE, "it is missing", || {
        home.json(["show", three])["availability"] == "missing"
    });
    let output = outcome(&home, ["hydrate", three]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("3.wav cannot be brought: its file is not on red any more"),
        "{told}"
    );

    std::fs::write(there.join("3.wav"), wav(503, 3)).unwrap();
    home.run(["scan"]);
    wait_for_item(&home, three, "external-online", "partial");
    red.detach();
    wait_for_state(&home, "absent");
    let output = outcome(&home, ["hydrate", three, one]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        told,
        "3.wav cannot be brought: red is not connected\n1.wav is here\n"
    );
    let output = outcome(&home, ["hydrate", one, "no-such-id"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    mounted.stop();
}

#[test]
fn interrupted_it_is_cancelled() {
    let home = Home::new();
    let red = slow_red(&home, 3_000_000);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(1);
    let id = id_of(&home.items()[0]);
    slow_down(&home, &red, 1 << 20);
    let command = home
        .command(["hydrate", "--wait", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let task = || {
        let tasks = home.json(["tasks"]);
        let mut tasks = tasks.as_array().unwrap().iter();
        tasks.find(|task| task["kind"] == "hydrate").cloned()
    };
    wait_until(DONE, "it is on its way", || {
        task().is_some_and(|task| task["bytes"].as_u64() > Some(0))
    });
    let running = task().unwrap();
    assert_eq!(running["mediaId"], id.as_str(), "{running:#}");
    assert_eq!(running["name"], "1.wav", "{running:#}");
    let told = home.run(["tasks"]);
    assert!(told.contains("fetching 1.wav: "), "{told}");
    assert_eq!(running["state"], "running", "{running:#}");
    assert_eq!(running["total"], wav(3_000_001, 1).len());
    kill_process(Pid::from_child(&command), Signal::INT).unwrap();
    let output = command.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    wait_until(TOLD, "nothing goes on", || task().is_none());

    // Asked for anew, and cancelled by its name.
    home.run(["hydrate", &id]);
    let again = task().expect("it is on its way");
    home.run(["cancel", again["id"].as_str().unwrap()]);
    wait_until(TOLD, "nothing goes on", || task().is_none());
    let output = outcome(&home, ["cancel", again["id"].as_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_ne!(home.json(["show", &id])["playable"], "bytes");
    red.heal();
    assert_eq!(home.run(["hydrate", "--wait", &id]), "1.wav is here\n");
    mounted.stop();
}

#[test]
fn a_terminal_gets_a_bar() {
    let home = Home::new();
    let red = slow_red(&home, 1_000_000);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(1);
    let id = id_of(&home.items()[0]);
    slow_down(&home, &red, 4 << 20);
    let command = format!(
        "{} --home {} hydrate --wait {id}",
        crate::support::MEDIAFS,
        home.home().display()
    );
    let seen = succeed("script", ["-qec", &command, "/dev/null"]);
    assert!(seen.contains(" of 3.8"), "{seen:?}");
    assert!(seen.contains("1.wav is here"), "{seen:?}");
    mounted.stop();
}

#[test]
fn a_hydration_waits_for_its_volume_and_goes_on_by_itself() {
    let home = Home::new();
    let mut red = slow_red(&home, 3_000_000);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    let id = id_of(&home.items()[0]);
    slow_down(&home, &red, 2 << 20);
    let command = home
        .command(["hydrate", "--wait", &id])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let task = || {
        let tasks = home.json(["tasks"]);
        let mut tasks = tasks.as_array().unwrap().iter();
        tasks.find(|task| task["kind"] == "hydrate").cloned()
    };
    wait_until(DONE, "it is on its way", || {
        task().is_some_and(|task| task["bytes"].as_u64() > Some(0))
    });
    red.detach();
    wait_for_state(&home, "absent");
    wait_until(TOLD, "it waits and says for what", || {
        task().is_some_and(|task| {
            let reason = task["reason"].as_str().unwrap_or_default();
            task["state"] == "waiting" && reason.contains("red is not connected")
        })
    });
    let before = task().unwrap()["bytes"].as_u64().unwrap();
    red.heal();
    red.mount(&home.path("elsewhere"));
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1.wav is here\n");
    assert!(before > 0);
    let item = home.json(["show", &id]);
    assert_eq!(played(&home, &item).unwrap(), wav(3_000_001, 1));
    mounted.stop();
}

#[test]
fn pins_survive_and_follow_the_bytes() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let ids = ids(&home);
    let (one, two) = (&ids["1.wav"], &ids["2.wav"]);
    home.run(["pin", one]);
    home.run(["hydrate", "--wait", one, two]);
    wait_for_item(&home, one, "external-online", "bytes");
    let there = home.json(["whereis", one]);
    assert_eq!(there["pinnedFor"], serde_json::json!(["user"]), "{there:#}");
    assert_eq!(there["cached"], true);
    home.run(["cache", "evict"]);
    assert_eq!(
        home.json(["whereis", one])["cached"],
        true,
        "pinned objects stay"
    );
    wait_until(TOLD, "the other one went", || {
        home.json(["whereis", two])["cached"] == false
    });
    mounted.stop();

    let mounted = mount(&home, &at);
    wait_for_state(&home, "online");
    home.run(["cache", "evict"]);
    let there = home.json(["whereis", one]);
    assert_eq!(there["pinnedFor"], serde_json::json!(["user"]));
    assert_eq!(there["cached"], true);
    // Other bytes: they are brought and pinned by themselves.
    std::fs::write(samples(&at).join("1.wav"), wav(800, 8)).unwrap();
    settle(&at);
    home.run(["scan"]);
    wait_until(DONE, "the new bytes", || {
        let item = home.json(["show", one]);
        item["size"] == wav(800, 8).len() && item["playable"] == "bytes"
    });
    home.run(["cache", "evict"]);
    red.detach();
    wait_for_state(&home, "absent");
    let item = home.json(["show", one]);
    assert_eq!(played(&home, &item).unwrap(), wav(800, 8));

    assert!(
        home.run(["unpin", one])
            .contains("1.wav may leave the cache")
    );
    assert_eq!(
        home.json(["whereis", one])["pinnedFor"],
        serde_json::json!([])
    );
    let watching = Watching::start(&home);
    home.run(["cache", "evict"]);
    wait_until(TOLD, "it went", || {
        home.json(["whereis", one])["cached"] == false
    });
    watching.wait_for(&["status.changed", one, "silence"]);
    mounted.stop();
}

#[test]
fn a_damaged_copy_is_told_and_what_is_pinned_is_brought_again() {
    let home = Home::new();
    let _red = red(&home, Kind::Ext4, 2, 500);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(2);
    let ids = ids(&home);
    let (pinned, other) = (&ids["1.wav"], &ids["2.wav"]);
    home.run(["pin", pinned]);
    home.run(["hydrate", "--wait", pinned, other]);
    let item = wait_for_item(&home, pinned, "external-online", "bytes");
    wait_for_item(&home, other, "external-online", "bytes");
    let objects = files_below(&home.home().join("cache/objects"));
    assert_eq!(objects.len(), 2, "{objects:?}");
    for object in &objects {
        let mut bytes = std::fs::read(object).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        // Objects are not to be written.
        std::fs::remove_file(object).unwrap();
        std::fs::write(object, bytes).unwrap();
    }
    let watching = Watching::start(&home);
    let output = outcome(&home, ["cache", "verify", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["damaged"].as_array().unwrap().len(), 2, "{told:#}");
    let sounds = told["sounds"].as_array().unwrap();
    let again = |name: &str| {
        let found = sounds.iter().find(|sound| sound["name"] == name);
        found.unwrap()["fetchedAgain"].clone()
    };
    assert_eq!(sounds.len(), 2, "{told:#}");
    assert_eq!(
        (again("1.wav"), again("2.wav")),
        (true.into(), false.into())
    );
    watching.wait_for(&["status.changed", other, "partial"]);
    watching.wait_for(&["task.ended", pinned, "1.wav", "done"]);
    wait_for_item(&home, pinned, "external-online", "bytes");
    assert_eq!(home.json(["show", other])["playable"], "partial");
    assert_eq!(played(&home, &item).unwrap(), wav(501, 1));
    assert_eq!(home.json(["cache", "verify"])["intact"], 1);

    let [object] = files_below(&home.home().join("cache/objects"))
        .try_into()
        .unwrap();
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, b"no sound").unwrap();
    let output = outcome(&home, ["cache", "verify"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("the copy of 1.wav was damaged and is set aside; it is fetched again"),
        "{told}"
    );
    wait_for_item(&home, pinned, "external-online", "bytes");
    mounted.stop();
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let found = succeed("find", [folder.to_str().unwrap(), "-type", "f"]);
    found.lines().map(Into::into).collect()
}

#[test]
fn what_is_pinned_while_its_volume_is_away_comes_when_that_is_back() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 1, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    let id = id_of(&home.items()[0]);
    red.detach();
    wait_for_state(&home, "absent");
    let told = home.run(["pin", &id]);
    assert!(told.contains("pinned"), "{told}");
    red.mount(&at);
    wait_for_item(&home, &id, "external-online", "bytes");
    assert_eq!(home.json(["whereis", &id])["cached"], true);
    mounted.stop();
}

/// Who is stopped because it brings so much is warned of for as long as it runs.
#[test]
fn a_program_that_is_stopped_is_warned_of_until_it_has_ended() {
    let home = Home::new();
    let _red = red(&home, Kind::Ext4, 210, 10);
    let mounted = mount(&home, &home.path("red"));
    let items = home.wait_for_items(210);
    let mut reads = String::new();
    for item in &items {
        let path = home.on_drive(path_of(item));
        reads += &format!("read -r -n 1 x < '{}'\n", path.display());
    }
    let mut greedy = std::process::Command::new("bash")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let warned = || {
        let warnings = home.json(["warnings"]).to_string();
        warnings.contains(&format!("(process {}) fetches sounds", greedy.id()))
    };
    let mut words = greedy.stdin.as_ref().unwrap();
    std::io::Write::write_all(&mut words, reads.as_bytes()).unwrap();
    wait_until(DONE, "it is stopped", warned);
    std::thread::sleep(Duration::from_secs(2));
    assert!(warned(), "it still runs");
    let watching = Watching::start(&home);
    greedy.kill().unwrap();
    greedy.wait().unwrap();
    watching.wait_for(&["warning.cleared", "fetches sounds"]);
    assert!(
        !home
            .json(["warnings"])
            .to_string()
            .contains("fetches sounds")
    );
    mounted.stop();
}

/// A file that is deleted from a connected volume is not to be got back by connecting that.
#[test]
fn what_was_deleted_from_a_connected_volume_is_to_be_put_back() {
    let home = Home::new();
    let at = home.path("red");
    let _red = red(&home, Kind::Ext4, 2, 500);
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let item = home.item("Samples/1.wav");
    let id = id_of(&item);
    std::fs::remove_file(samples(&at).join("1.wav")).unwrap();
    home.run(["scan"]);
    wait_for_item(&home, &id, "missing", "silence");
    assert!(is_silent(&played(&home, &item).unwrap()));
    let mut warning = Value::Null;
    wait_until(DONE, "a warning", || {
        let all = home.json(["warnings"]);
        let mut all = all.as_array().unwrap().iter();
        let silent = all.find(|w| w["text"].as_str().unwrap().contains("silent"));
        warning = silent.cloned().unwrap_or_default();
        silent.is_some()
    });
    let text = warning["text"].as_str().unwrap();
    assert!(text.contains("not on red any more"), "{text}");
    let remedy = warning["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("put the file back"), "{remedy}");
    assert!(!remedy.contains("connect"), "{remedy}");
    let there = home.run(["whereis", &id]);
    assert!(there.contains("put the file back"), "{there}");
    mounted.stop();
}

#[test]
fn a_full_cache_is_told() {
    let home = Home::new();
    std::fs::write(home.home().join("config.toml"), "[cache]\nquota_gb = 0\n").unwrap();
    let red = red(&home, Kind::Ext4, 1, 1_000_000);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(1);
    let id = id_of(&home.items()[0]);
    let output = outcome(&home, ["hydrate", "--wait", &id]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        told.contains("1.wav was not brought: ") && told.contains("cache"),
        "{told}"
    );
    assert_eq!(red.mounts().len(), 1);
    mounted.stop();
}

#[test]
fn single_files_of_a_volume_are_items_by_their_path_on_it() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 3, 500);
    let at = home.path("red");
    let mounted = home.mount();
    let path = |at: &std::path::Path, n: u32| {
        let path = samples(at).join(format!("{n}.wav"));
        path.to_str().unwrap().to_owned()
    };
    let one = home.json(["import", "--reference", &path(&at, 1)]);
    let id = one[0]["mediaId"].as_str().unwrap().to_owned();
    let copy = home.json(["import", "--copy", &path(&at, 2)]);
    let copy = copy[0]["mediaId"].as_str().unwrap().to_owned();
    assert_eq!(home.json(["show", &copy])["availability"], "local");
    let item = home.json(["show", &id]);
    assert_eq!(item["availability"], "external-online", "{item:#}");
    assert_eq!(item["storage"]["backend"], "volume", "{item:#}");
    let again = home.json(["import", "--reference", &path(&at, 1)]);
    assert_eq!(again[0]["mediaId"], id.as_str());
    red.detach();
    wait_for_state(&home, "absent");
    assert!(is_silent(&played(&home, &item).unwrap()));
    assert_eq!(
        copied(&home, &home.json(["show", &copy])).unwrap(),
        wav(502, 2)
    );
    let elsewhere = home.path("elsewhere");
    red.mount(&elsewhere);
    wait_for_state(&home, "online");
    let item = home.json(["show", &id]);
    assert_eq!(item["resolvedPath"], path(&elsewhere, 1).as_str());
    assert_eq!(copied(&home, &item).unwrap(), wav(501, 1));
    let again = home.json(["import", "--reference", &path(&elsewhere, 1)]);
    assert_eq!(again[0]["mediaId"], id.as_str());

    // The folder as a library takes it in; forgotten, the sound stays.
    home.run(["import", samples(&elsewhere).to_str().unwrap()]);
    wait_until(DONE, "all of the folder", || home.items().len() == 4);
    assert_eq!(ids(&home)["1.wav"], id);
    home.run(["forget-library", samples(&elsewhere).to_str().unwrap()]);
    let item = home.json(["show", &id]);
    assert_eq!(copied(&home, &item).unwrap(), wav(501, 1));
    home.run(["remove", &id]);
    let output = outcome(&home, ["show", &id]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        samples(&elsewhere).join("1.wav").exists(),
        "the file is the user's"
    );
    assert!(std::fs::metadata(home.on_drive(path_of(&item))).is_err());
    mounted.stop();
}
