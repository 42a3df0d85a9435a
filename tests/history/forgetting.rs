//! What is gone for good and nobody would miss can be removed in one go, and comes back with one revert.

use serde_json::{Value, json};

use super::desk::{Desk, refusal};

fn names(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = items.iter().map(name).collect();
    names.sort_unstable();
    names
}

/// A library of sounds with these names.
fn library(desk: &Desk, names: impl Iterator<Item = String>) -> std::path::PathBuf {
    let folder = desk.folder.path().join("sounds").join("pack");
    for (seed, name) in names.enumerate() {
        desk.sound(&format!("pack/{name}"), 40, u32::try_from(seed).unwrap());
    }
    let answer = desk.call("media.import", json!({"paths": [folder]}));
    assert_eq!(answer["complete"], true, "{answer}");
    folder
}

#[test]
fn only_what_is_gone_and_known_by_nobody_is_forgotten() {
    let desk = Desk::new();
    let kept = ["here", "tagged", "used", "renamed", "valued", "back"];
    let all = ["gone", "gone 2"].into_iter().chain(kept);
    let folder = library(&desk, all.map(|name| format!("{name}.wav")));
    let id = |name: &str| {
        let page = desk.call("media.search", json!({"query": format!("{name}.wav")}));
        let items = page["items"].as_array().unwrap();
        let named = format!("{name}.wav");
        let item = items.iter().find(|item| item["name"] == named).unwrap();
        item["mediaId"].clone()
    };
    desk.call(
        "media.tag",
        json!({"mediaId": id("tagged"), "tags": ["Drum"]}),
    );
    let project = desk.folder.path().join("Song");
    let opened = desk.call("project.new", json!({"path": project}));
    let usage = json!({
        "mediaId": id("used"), "project": opened["projectId"], "role": "clip", "target": "c",
    });
    desk.call("usages.add", json!({"usages": [usage]}));
    desk.call(
        "media.rename",
        json!({"mediaId": id("renamed"), "name": "Better"}),
    );
    let valued = json!({"mediaId": id("valued"), "attribute": "bpm", "value": 120});
    desk.call("media.setAttribute", valued);
    let gone = id("gone");
    // Nothing is gone yet.
    let answer = desk.call("media.forgetUnused", json!({}));
    assert_eq!((names(&answer).len(), &answer["kept"]), (0, &json!(0)));
    assert!(answer["operation"].is_null(), "{answer}");

    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("here.wav") {
            std::fs::remove_file(path).unwrap();
        }
    }
    desk.call("media.scan", json!({}));
    // Nobody has looked since.
    desk.sound("pack/back.wav", 40, 99);
    let would = desk.call("media.forgetUnused", json!({"dryRun": true}));
    assert_eq!(names(&would), ["gone 2.wav", "gone.wav"]);
    let items = would["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["mediaId"] == gone).unwrap();
    assert_eq!(item["wasAt"], json!(folder.join("gone.wav")));
    assert_eq!(would["kept"], 4, "{would}");
    assert_eq!(desk.get(gone.as_str().unwrap())["name"], "gone.wav");

    let count = desk.items().len();
    let done = desk.call("media.forgetUnused", json!({}));
    assert_eq!(names(&done), ["gone 2.wav", "gone.wav"]);
    assert_eq!(desk.items().len(), count - 2);
    let asked = desk.ask("media.get", json!({"mediaId": gone}));
    assert_eq!(refusal(asked).0, "notFound");
    assert_eq!(desk.revert(&done["operation"]["id"])["outcome"], "reverted");
    assert_eq!(desk.items().len(), count);
    assert_eq!(desk.get(gone.as_str().unwrap())["availability"], "missing");
}

#[test]
fn a_folder_that_is_away_as_a_whole_is_not_gone() {
    let desk = Desk::new();
    let folder = library(&desk, ["a.wav".to_owned()].into_iter());
    std::fs::rename(&folder, folder.with_extension("away")).unwrap();
    let _ = desk.ask("media.scan", json!({}));
    let answer = desk.call("media.forgetUnused", json!({}));
    assert_eq!(names(&answer), Vec::<String>::new());
    assert_eq!(desk.items().len(), 1);
}

#[test]
fn many_are_forgotten_in_pages_that_one_revert_brings_back() {
    let desk = Desk::new();
    let folder = library(&desk, (0..1100).map(|number| format!("{number}.wav")));
    for number in 0..1100 {
        std::fs::remove_file(folder.join(format!("{number}.wav"))).unwrap();
    }
    desk.call("media.scan", json!({}));
    let first = desk.call("media.forgetUnused", json!({"group": "tidy"}));
    assert_eq!(names(&first).len(), 1000);
    let params = json!({"group": "tidy", "after": first["next"]});
    let second = desk.call("media.forgetUnused", params);
    assert_eq!((names(&second).len(), &second["next"]), (100, &Value::Null));
    assert_eq!(desk.items().len(), 0);
    let undone = desk.call("history.undo", json!({}));
    assert_eq!(undone["outcome"], "reverted", "{undone}");
    let page = desk.call("drive.status", json!({}));
    assert_eq!(page["items"]["total"], 1100);
}

#[test]
fn what_comes_back_to_where_something_was_forgotten_is_a_sound() {
    let desk = Desk::new();
    let folder = library(&desk, ["a.wav", "b.wav"].into_iter().map(str::to_owned));
    let kept = folder.with_extension("kept");
    std::fs::rename(&folder, &kept).unwrap();
    std::fs::create_dir(&folder).unwrap();
    desk.call("media.scan", json!({}));
    let done = desk.call("media.forgetUnused", json!({}));
    assert_eq!(names(&done), ["a.wav", "b.wav"]);
    assert_eq!(desk.items().len(), 0);
    // One as it was, and another of the same name.
    std::fs::rename(kept.join("a.wav"), folder.join("a.wav")).unwrap();
    desk.sound("pack/b.wav", 80, 77);
    desk.call("media.scan", json!({}));
    assert_eq!(desk.items().len(), 2);
}
