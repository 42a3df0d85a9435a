//! Sounds that are found again on disks that may be pulled: by hand and by search, read by couriers alone.

use std::path::Path;

use serde_json::Value;

use crate::bench::*;
use crate::clouds::declare_at;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

/// A sound that was referenced on this computer's disk, and whose file is gone.
fn lost(home: &Home, name: &str, bytes: &[u8]) -> String {
    let path = home.path(name);
    std::fs::write(&path, bytes).unwrap();
    let found = home.json(["import".as_ref(), "--reference".as_ref(), path.as_os_str()]);
    let id = found[0]["mediaId"].as_str().unwrap().to_owned();
    wait_until(DONE, "it is hashed", || {
        !home.json(["show", &id])["blake3"].is_null()
    });
    std::fs::remove_file(&path).unwrap();
    wait_for_item(home, &id, "missing", "silence");
    id
}

fn search(home: &Home, folder: &Path, words: &[&str]) -> Value {
    let mut all: Vec<&std::ffi::OsStr> = vec!["relink".as_ref(), "--search".as_ref()];
    all.push(folder.as_os_str());
    all.extend(words.iter().map(std::ffi::OsStr::new));
    home.json(all)
}

fn found<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let all = answer["matches"].as_array().unwrap().iter();
    let mut mine = all.filter(|one| one["mediaId"] == id);
    mine.next().unwrap_or_else(|| panic!("{answer:#}"))
}

#[test]
fn what_was_moved_to_a_disk_that_may_be_pulled_is_found_there() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    std::fs::create_dir_all(samples(&at).join("deep")).unwrap();
    let moved = samples(&at).join("deep/renamed.wav");
    std::fs::write(&moved, wav(3000, 1)).unwrap();
    // Of the same size and layout, with other bytes.
    std::fs::write(samples(&at).join("other.wav"), wav(3000, 7)).unwrap();
    settle(&at);
    let mounted = home.mount();
    let id = lost(&home, "kick.wav", &wav(3000, 1));

    let dry = search(&home, &at, &["--dry-run"]);
    let one = found(&dry, &id);
    assert_eq!(one["outcome"], "relinked", "{dry:#}");
    assert_eq!(one["rank"], "bytes", "{dry:#}");
    assert_eq!(one["paths"], serde_json::json!([moved]), "{dry:#}");
    assert_eq!(home.json(["show", &id])["availability"], "missing");

    let done = search(&home, &at, &[]);
    assert_eq!(found(&done, &id)["outcome"], "relinked", "{done:#}");
    let item = home.json(["show", &id]);
    assert_eq!(item["name"], "kick.wav", "its name stays");
    assert_eq!(item["availability"], "external-online", "{item:#}");
    assert_eq!(item["storage"]["backend"], "volume", "{item:#}");
    assert_eq!(item["resolvedPath"], moved.to_str().unwrap());
    assert_eq!(copied(&home, &item).unwrap(), wav(3000, 1));

    red.detach();
    wait_for_state(&home, "absent");
    let item = home.json(["show", &id]);
    assert_eq!(item["availability"], "external-offline", "{item:#}");
    let elsewhere = home.path("elsewhere");
    red.mount(&elsewhere);
    wait_for_state(&home, "online");
    let item = home.json(["show", &id]);
    let there = samples(&elsewhere).join("deep/renamed.wav");
    assert_eq!(item["resolvedPath"], there.to_str().unwrap(), "{item:#}");
    assert_eq!(copied(&home, &item).unwrap(), wav(3000, 1));
    mounted.stop();
}

#[test]
fn by_hand_the_same_sound_alone_is_taken_there() {
    let home = Home::new();
    let red = red(&home, Kind::Ext4, 2, 500);
    let at = home.path("red");
    let mounted = home.mount();
    let id = lost(&home, "kick.wav", &wav(501, 1));
    let file = |number: u32| samples(&at).join(format!("{number}.wav"));
    let relink = |path: &Path| outcome(&home, ["relink".as_ref(), id.as_ref(), path.as_os_str()]);
    let output = relink(&file(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("502 frames"), "{errors}");
    let output = relink(&at);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("it is no file"), "{errors}");
    assert_eq!(home.json(["show", &id])["availability"], "missing");
    let output = relink(&file(1));
    assert!(output.status.success(), "{output:?}");
    let item = home.json(["show", &id]);
    assert_eq!(item["availability"], "external-online", "{item:#}");
    assert_eq!(copied(&home, &item).unwrap(), wav(501, 1));

    // A replacement that may be pulled is one, with consent.
    let output = outcome(
        &home,
        [
            "replace".as_ref(),
            id.as_ref(),
            file(2).as_os_str(),
            "--yes".as_ref(),
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let item = home.json(["show", &id]);
    assert_eq!(item["format"]["frames"], 502, "{item:#}");
    assert_eq!(copied(&home, &item).unwrap(), wav(502, 2));
    drop(red);
    mounted.stop();
}

#[test]
fn a_disk_that_hangs_during_a_search_hangs_nobody_and_the_search_says_so() {
    let home = Home::new();
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, 3, 500);
    let trusted = home.path("here");
    std::fs::create_dir(&trusted).unwrap();
    std::fs::write(trusted.join("snare.wav"), wav(900, 4)).unwrap();
    let mounted = home.mount();
    let kick = lost(&home, "kick.wav", &wav(501, 1));
    let snare = lost(&home, "snare.wav", &wav(900, 4));
    red.forget(&samples(&at));
    let _hung = red.hang();
    let output = outcome(
        &home,
        [
            "relink".as_ref(),
            "--json".as_ref(),
            "--search".as_ref(),
            at.as_os_str(),
            "--search".as_ref(),
            trusted.as_os_str(),
        ],
    );
    assert_eq!(output.status.code(), Some(1), "not everywhere was looked");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found(&answer, &snare)["outcome"], "relinked", "{answer:#}");
    assert_eq!(answer["notFound"], 1, "{answer:#}");
    let refused = answer["refused"].as_array().unwrap();
    let told = refused.iter().any(|one| {
        let path = one["path"].as_str().unwrap_or_default();
        path.starts_with(at.to_str().unwrap())
    });
    assert!(told, "{answer:#}");
    assert_eq!(home.json(["show", &kick])["availability"], "missing");
    red.heal();
    // It is asked again within seconds whether it answers.
    wait_until(DONE, "the disk is searched whole", || {
        let words = ["relink".as_ref(), "--search".as_ref(), at.as_os_str()];
        outcome(&home, words).status.success()
    });
    let item = home.json(["show", &kick]);
    assert_eq!(item["availability"], "external-online", "{item:#}");
    assert_eq!(copied(&home, &item).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn a_search_downloads_nothing() {
    let home = Home::new();
    let cloud = home.path("cloud");
    std::fs::create_dir(&cloud).unwrap();
    declare_at(&home, &cloud, "nextcloud");
    std::fs::write(cloud.join("here.wav"), wav(800, 1)).unwrap();
    std::fs::write(cloud.join("kick.wav.nextcloud"), b" ").unwrap();
    let mounted = home.mount();
    let here = lost(&home, "moved.wav", &wav(800, 1));
    let kick = lost(&home, "kick.wav", &wav(900, 2));
    let answer = search(&home, &cloud, &[]);
    assert_eq!(found(&answer, &here)["outcome"], "relinked", "{answer:#}");
    assert_eq!(answer["notFound"], 1, "{answer:#}");
    assert_eq!(home.json(["show", &kick])["availability"], "missing");
    assert_eq!(
        std::fs::read(cloud.join("kick.wav.nextcloud")).unwrap(),
        b" "
    );
    mounted.stop();
}
