//! Reverts one by one: what they bring back, what stands in their way, and what they are told as.

use serde_json::{Value, json};

use super::desk::{Desk, operation, refusal};

fn reasons(answer: &Value) -> Vec<&str> {
    assert_eq!(answer["outcome"], "conflict", "{answer}");
    let conflicts = answer["conflicts"].as_array().unwrap();
    conflicts
        .iter()
        .map(|conflict| conflict["reason"].as_str().unwrap())
        .collect()
}

#[test]
fn a_rename_that_was_renamed_again_is_a_conflict_that_names_it() {
    let desk = Desk::new();
    let id = desk.import(&desk.sound("kick.wav", 50, 1));
    let first = operation(&desk.call("media.rename", json!({"mediaId": id, "name": "Boom"})));
    let second = operation(&desk.call("media.rename", json!({"mediaId": id, "name": "Bang"})));
    let answer = desk.revert(&first);
    let reason = reasons(&answer)[0].to_owned();
    assert!(
        reason.contains("was renamed again, to Bang.wav"),
        "{reason}"
    );
    assert!(reason.contains("renamed Boom.wav to Bang.wav"), "{reason}");
    assert_eq!(answer["conflicts"][0]["by"]["id"], second);
    assert_eq!(answer["conflicts"][0]["mediaId"], json!(id));
    assert_eq!(desk.get(&id)["name"], "Bang.wav");
    // The other way round they go, and each former name leads to it still.
    assert_eq!(desk.revert(&second)["outcome"], "reverted");
    let undone = desk.revert(&first);
    assert_eq!(desk.get(&id)["name"], "kick.wav");
    // Twice is once; a revert can be reverted.
    assert!(reasons(&desk.revert(&first))[0].contains("reverted already"));
    assert_eq!(desk.revert(&operation(&undone))["outcome"], "reverted");
    assert_eq!(desk.get(&id)["name"], "Boom.wav");
}

#[test]
fn a_removed_sound_comes_back_with_all_that_was_known_of_it() {
    let mut desk = Desk::new();
    let path = desk.sound("kick.wav", 50, 1);
    let id = desk.import(&path);
    desk.call(
        "media.tag",
        json!({"mediaId": id, "tags": ["Drum", "loud"]}),
    );
    desk.call("media.untag", json!({"mediaId": id, "tags": ["loud"]}));
    desk.call("media.rename", json!({"mediaId": id, "name": "Boom"}));
    let params = json!({"mediaId": id, "attribute": "bpm", "value": 120.5});
    desk.call("media.setAttribute", params);
    let usage = json!({"mediaId": id, "project": "p", "role": "clip", "target": "c1"});
    desk.call("usages.add", json!({"usages": [usage]}));
    let before = desk.get(&id);
    let removed = operation(&desk.call("media.remove", json!({"mediaId": id, "force": true})));
    assert_eq!(
        refusal(desk.ask("media.get", json!({"mediaId": id}))).0,
        "notFound"
    );
    assert!(path.exists(), "the user's file stays");
    desk.restart();
    assert_eq!(desk.revert(&removed)["outcome"], "reverted");
    let mut after = desk.get(&id);
    assert_eq!(after["usages"], before["usages"]);
    after["usages"] = before["usages"].clone();
    assert_eq!(after, before);
}

#[test]
fn an_import_is_one_operation_and_its_revert_leaves_the_files() {
    let desk = Desk::new();
    let files: Vec<_> = (0..5)
        .map(|n| desk.sound(&format!("s{n}.wav"), 40 + n, n))
        .collect();
    let answer = desk.call("media.import", json!({"paths": files, "mode": "copy"}));
    assert_eq!(answer["operation"]["summary"], "imported 5 sounds");
    let ids: Vec<Value> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["mediaId"].clone())
        .collect();
    let copies: Vec<String> = desk
        .items()
        .iter()
        .map(|item| item["resolvedPath"].as_str().unwrap().to_owned())
        .collect();
    let undone = desk.revert(&operation(&answer));
    assert_eq!(desk.items(), Vec::<Value>::new());
    assert!(
        copies
            .iter()
            .all(|copy| std::path::Path::new(copy).exists())
    );
    // Again they are the same, with the same ids.
    assert_eq!(desk.revert(&operation(&undone))["outcome"], "reverted");
    let again: Vec<Value> = desk
        .items()
        .iter()
        .map(|item| item["mediaId"].clone())
        .collect();
    assert_eq!(again, ids);
    assert!(desk.items().iter().all(|item| item["playable"] == "bytes"));
    // What has been done to one of them stands in the way.
    desk.call("media.tag", json!({"mediaId": ids[2], "tags": ["x"]}));
    let answer = desk.revert(&operation(&answer));
    assert!(
        reasons(&answer)[0].contains("s2.wav was changed since"),
        "{answer}"
    );
    assert_eq!(desk.items().len(), 5);
}

#[test]
fn a_group_is_reverted_as_one_or_not_at_all() {
    let desk = Desk::new();
    let one = desk.import(&desk.sound("a.wav", 50, 1));
    let other = desk.import(&desk.sound("b.wav", 50, 2));
    for (id, name) in [(&one, "A2"), (&other, "B2")] {
        let params = json!({"mediaId": id, "name": name, "group": "take 1", "who": "Pulse"});
        desk.call("media.rename", params);
    }
    let later = operation(&desk.call("media.rename", json!({"mediaId": one, "name": "A3"})));
    let answer = desk.call("history.revert", json!({"group": "take 1"}));
    assert_eq!(reasons(&answer).len(), 1);
    assert_eq!(
        desk.get(&other)["name"],
        "B2.wav",
        "nothing of it was reverted"
    );
    desk.revert(&later);
    let answer = desk.call("history.revert", json!({"group": "take 1"}));
    assert_eq!(
        answer["operations"].as_array().unwrap().len(),
        2,
        "{answer}"
    );
    assert_eq!(desk.get(&one)["name"], "a.wav");
    assert_eq!(desk.get(&other)["name"], "b.wav");
    let page = desk.call("history.list", json!({}));
    let grouped = page["operations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|operation| operation["group"] == "take 1")
        .unwrap()
        .clone();
    assert_eq!(grouped["who"], "Pulse");
    assert!(grouped["revertedBy"].is_u64(), "{grouped}");
    assert_eq!(
        refusal(desk.ask("history.revert", json!({"group": "take 1"}))).0,
        "notFound"
    );
    for params in [json!({}), json!({"operation": 1, "group": "x"})] {
        assert_eq!(
            refusal(desk.ask("history.revert", params)).0,
            "invalidParameter"
        );
    }
    let params = json!({"mediaId": one, "name": "x", "group": "g".repeat(300)});
    assert_eq!(
        refusal(desk.ask("media.rename", params)).0,
        "invalidParameter"
    );
}

#[test]
fn undo_and_redo_walk_through_what_was_done() {
    let mut desk = Desk::new();
    let id = desk.import(&desk.sound("a.wav", 50, 1));
    for name in ["b", "c", "d"] {
        desk.call("media.rename", json!({"mediaId": id, "name": name}));
    }
    let name = |desk: &Desk| desk.get(&id)["name"].as_str().unwrap().to_owned();
    for expected in ["c.wav", "b.wav"] {
        desk.call("history.undo", json!({}));
        assert_eq!(name(&desk), expected);
    }
    desk.restart();
    desk.call("history.redo", json!({}));
    assert_eq!(name(&desk), "c.wav");
    desk.call("history.redo", json!({}));
    assert_eq!(name(&desk), "d.wav");
    assert_eq!(refusal(desk.ask("history.redo", json!({}))).0, "notFound");
    desk.call("history.undo", json!({}));
    desk.call("media.tag", json!({"mediaId": id, "tags": ["x"]}));
    // What was done since would be mixed up with it.
    assert_eq!(refusal(desk.ask("history.redo", json!({}))).0, "notFound");
    for _ in 0..4 {
        desk.call("history.undo", json!({}));
    }
    assert_eq!(desk.items(), Vec::<Value>::new());
    assert_eq!(refusal(desk.ask("history.undo", json!({}))).0, "notFound");
}

#[test]
fn what_changes_nothing_is_no_operation() {
    let desk = Desk::new();
    let path = desk.sound("a.wav", 50, 1);
    let id = desk.import(&path);
    desk.call("media.tag", json!({"mediaId": id, "tags": ["x"]}));
    for (method, params) in [
        ("media.rename", json!({"mediaId": id, "name": "a"})),
        ("media.tag", json!({"mediaId": id, "tags": ["x"]})),
        ("media.relink", json!({"mediaId": id, "to": path})),
        ("media.import", json!({"paths": [path]})),
        ("usages.remove", json!({"usages": []})),
    ] {
        let answer = desk.call(method, params);
        assert!(answer["operation"].is_null(), "{method}: {answer}");
    }
    let page = desk.call("history.list", json!({}));
    assert_eq!(page["operations"].as_array().unwrap().len(), 2, "{page}");
}

#[test]
fn a_file_that_was_changed_since_is_not_taken_for_the_old_one() {
    let desk = Desk::new();
    let old = desk.sound("old.wav", 50, 1);
    let new = desk.sound("new.wav", 60, 2);
    let id = desk.import(&old);
    let params = json!({"mediaId": id, "to": new, "consent": true});
    let replaced = operation(&desk.call("media.replace", params));
    desk.sound("old.wav", 70, 3);
    // Looked at again, as the drive would at the first open.
    desk.call("media.import", json!({"paths": [old]}));
    let answer = desk.revert(&replaced);
    assert_eq!(answer["outcome"], "conflict", "{answer}");
    assert_eq!(desk.get(&id)["size"], 44 + 60 * 4);
}

#[test]
fn a_library_that_was_added_or_taken_off_is_so_again() {
    let desk = Desk::new();
    desk.sound("pack/a.wav", 50, 1);
    let pack = desk.folder.path().join("sounds/pack");
    let added = desk.call("media.import", json!({"paths": [pack]}));
    let added = operation(&added);
    let active = |desk: &Desk| {
        let status = desk.call("drive.status", json!({}));
        status["libraries"]
            .as_array()
            .unwrap()
            .iter()
            .any(|library| library["name"] == "pack" && library["active"] == true)
    };
    assert!(active(&desk));
    let off = operation(&desk.call("media.forgetLibrary", json!({"name": "pack"})));
    assert!(!active(&desk));
    assert_eq!(desk.revert(&added)["outcome"], "conflict");
    assert_eq!(desk.revert(&off)["outcome"], "reverted");
    assert!(active(&desk));
    assert_eq!(desk.revert(&added)["outcome"], "reverted");
    assert!(!active(&desk));
    assert_eq!(
        desk.items().len(),
        1,
        "its sounds stay, as when it is taken off by hand"
    );
}
