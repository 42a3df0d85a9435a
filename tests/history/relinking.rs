//! Relink by hand and by search, replace with consent, and suggestions.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::desk::{Desk, operation, refusal};

/// An item whose file went, and whose bytes are known by their hash.
fn missing(desk: &mut Desk, name: &str, frames: u32, seed: u32) -> String {
    let path = desk.sound(&format!("from/{name}"), frames, seed);
    let answer = desk.call("media.import", json!({"paths": [path], "mode": "copy"}));
    let id = answer["items"][0]["mediaId"].as_str().unwrap().to_owned();
    let copy = desk.get(&id)["resolvedPath"].as_str().unwrap().to_owned();
    assert!(desk.get(&id)["blake3"].is_string());
    std::fs::remove_file(copy).unwrap();
    std::fs::remove_file(path).unwrap();
    desk.call("media.scan", json!({}));
    assert_eq!(desk.get(&id)["availability"], "missing");
    id
}

fn found<'a>(answer: &'a Value, id: &str) -> &'a Value {
    answer["matches"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["mediaId"] == id)
        .unwrap_or_else(|| panic!("nothing of {id} in {answer}"))
}

/// Paths as Unix writes them.
fn slashes(paths: &Value) -> String {
    paths.to_string().replace("\\\\", "/")
}

#[test]
fn a_search_takes_bytes_before_facts_and_facts_before_names() {
    let mut desk = Desk::new();
    let bytes = missing(&mut desk, "kick.wav", 100, 1);
    let facts = missing(&mut desk, "snare.wav", 200, 2);
    let name = missing(&mut desk, "hat.wav", 300, 3);
    let twins = missing(&mut desk, "clap.wav", 400, 4);
    let same = missing(&mut desk, "tom.wav", 500, 5);
    let nothing = missing(&mut desk, "gone.wav", 600, 6);
    // The same bytes under another name, beside other bytes under its own.
    let renamed = desk.sound("pack/deep/other name.wav", 100, 1);
    desk.sound("pack/kick.wav", 100, 77);
    // The same length, rate, channels and name.
    let like = desk.sound("pack/Snare.WAV", 200, 78);
    // Only the name, and only the facts.
    let named = desk.sound("pack/hat.wav", 301, 79);
    desk.sound("pack/hat not.wav", 300, 80);
    // Two with the same facts and name, with other bytes; and two with the same bytes.
    let clap = [
        desk.sound("pack/a/clap.wav", 400, 81),
        desk.sound("pack/b/clap.wav", 400, 82),
    ];
    let toms = [
        desk.sound("pack/a/tom.wav", 500, 5),
        desk.sound("pack/b/tom.wav", 500, 5),
    ];
    let folder = desk.folder.path().join("sounds/pack");
    let before = desk.items();
    let dry = desk.call(
        "media.relinkSearch",
        json!({"folders": [folder], "dryRun": true}),
    );
    assert_eq!(desk.items(), before, "a dry run changes nothing");
    assert!(dry["operation"].is_null(), "{dry}");
    let done = desk.call("media.relinkSearch", json!({"folders": [folder]}));
    for answer in [&dry, &done] {
        let table: [(&str, &str, &str, Vec<&PathBuf>); 5] = [
            (&bytes, "relinked", "bytes", vec![&renamed]),
            (&facts, "relinked", "facts", vec![&like]),
            (&name, "suggested", "name", vec![&named]),
            (&twins, "ambiguous", "facts", clap.iter().collect()),
            (&same, "relinked", "bytes", vec![&toms[0]]),
        ];
        for (id, outcome, rank, paths) in table {
            let found = found(answer, id);
            assert_eq!(found["outcome"], outcome, "{found}");
            assert_eq!(found["rank"], rank, "{found}");
            let expected = slashes(&json!(paths));
            assert_eq!(slashes(&found["paths"]), expected, "{found}");
        }
        assert_eq!(answer["matches"].as_array().unwrap().len(), 5, "{answer}");
        assert_eq!(answer["notFound"], 1, "{answer}");
        assert_eq!(answer["complete"], true, "{answer}");
    }
    assert_eq!(done["operation"]["summary"], "relinked 3 sounds");
    let at = |id: &str| slashes(&desk.get(id)["resolvedPath"]);
    assert_eq!(at(&bytes), slashes(&json!(renamed)));
    assert_eq!(at(&facts), slashes(&json!(like)));
    assert_eq!(at(&same), slashes(&json!(toms[0])));
    for id in [&name, &twins, &nothing] {
        assert_eq!(desk.get(id)["availability"], "missing");
    }
    assert_eq!(desk.get(&bytes)["name"], "kick.wav", "names stay");
    // One revert for all.
    assert_eq!(desk.revert(&operation(&done))["outcome"], "reverted");
    for id in [&bytes, &facts, &same] {
        assert_eq!(desk.get(id)["availability"], "missing");
    }
}

/// Its storage that is not trusted is sysfs.
#[cfg(target_os = "linux")]
#[test]
fn a_search_can_be_for_some_items_and_tells_where_it_did_not_look() {
    let mut desk = Desk::new();
    let one = missing(&mut desk, "kick.wav", 100, 1);
    let other = missing(&mut desk, "snare.wav", 200, 2);
    desk.sound("pack/kick.wav", 100, 1);
    desk.sound("pack/snare.wav", 200, 2);
    let folder = desk.folder.path().join("sounds/pack");
    let nowhere = desk.folder.path().join("nowhere");
    // Nobody would call this a local disk, and there is no courier here.
    let untrusted = "/sys/class";
    let answer = desk.call(
        "media.relinkSearch",
        json!({"folders": [folder, nowhere, untrusted], "items": [{"mediaId": one}]}),
    );
    assert_eq!(answer["refused"][1]["path"], json!(untrusted), "{answer}");
    let reason = answer["refused"][1]["reason"].as_str().unwrap();
    assert!(
        reason.contains("the process that reads its storage"),
        "{reason}"
    );
    assert_eq!(found(&answer, &one)["outcome"], "relinked");
    assert_eq!(answer["refused"][0]["path"], json!(nowhere), "{answer}");
    assert_eq!(desk.get(&other)["availability"], "missing");
    assert_eq!(
        refusal(desk.ask("media.relinkSearch", json!({"folders": []}))).0,
        "invalidParameter"
    );
}

#[test]
fn another_sound_is_no_relink_but_a_replacement_with_consent() {
    let desk = Desk::new();
    let old = desk.sound("kick.wav", 100, 1);
    let new = desk.sound("loop.wav", 150, 2);
    let id = desk.import(&old);
    let usage = json!({"mediaId": id, "project": "p", "role": "track", "target": "Drums"});
    desk.call("usages.add", json!({"usages": [usage]}));
    let (reason, message) = refusal(desk.ask("media.relink", json!({"mediaId": id, "to": new})));
    assert_eq!(reason, "refused");
    assert!(
        message.contains("100 frames") && message.contains("150 frames"),
        "{message}"
    );
    assert!(message.contains("replace the sound with it"), "{message}");

    let before = desk.get(&id);
    let asked = desk.call("media.replace", json!({"mediaId": id, "to": new}));
    assert_eq!(asked["replaced"], false);
    assert!(asked["operation"].is_null());
    assert_eq!(desk.get(&id), before, "without consent nothing changes");
    let difference = |what: &str| {
        let all = asked["differences"].as_array().unwrap();
        all.iter().find(|one| one["what"] == what).cloned()
    };
    assert_eq!(
        difference("frames").unwrap(),
        json!({"what": "frames", "from": "100", "to": "150"})
    );
    assert!(difference("bytes").is_some());
    assert!(difference("sampleRate").is_none());
    assert_eq!(asked["usages"][0]["target"], "Drums");

    let done = desk.call(
        "media.replace",
        json!({"mediaId": id, "to": new, "consent": true}),
    );
    assert_eq!(done["replaced"], true);
    let after = desk.get(&id);
    assert_eq!(after["path"], before["path"], "id, name and path stay");
    assert_eq!(after["format"]["frames"], 150);
    assert_eq!(after["resolvedPath"], json!(new));
    assert_eq!(after["usages"], before["usages"]);
    desk.revert(&operation(&done));
    let back = desk.get(&id);
    assert_eq!(back["format"], before["format"]);
    assert_eq!(back["resolvedPath"], before["resolvedPath"]);
    assert_eq!(back["size"], before["size"]);
}

#[test]
fn suggestions_come_best_first() {
    let mut desk = Desk::new();
    let id = missing(&mut desk, "kick.wav", 100, 1);
    let same = desk.import(&desk.sound("x/other.wav", 100, 1));
    let like = desk.import(&desk.sound("x/kick.wav", 100, 2));
    let named = desk.import(&desk.sound("y/kick.wav", 90, 3));
    let long = desk.import(&desk.sound("y/long.wav", 100, 4));
    desk.import(&desk.sound("y/nothing like it.wav", 70, 5));
    let answer = desk.call("media.candidates", json!({"mediaId": id}));
    let candidates = answer["candidates"].as_array().unwrap();
    let ids: Vec<&str> = candidates
        .iter()
        .map(|one| one["mediaId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [&same, &like, &named, &long], "{answer}");
    let scores: Vec<f64> = candidates
        .iter()
        .map(|one| one["score"].as_f64().unwrap())
        .collect();
    assert!(
        scores.windows(2).all(|pair| pair[0] >= pair[1]),
        "{scores:?}"
    );
    assert!(candidates.iter().all(|one| one["provider"] == "facts"));
    let answer = desk.call("media.candidates", json!({"mediaId": id, "limit": 2}));
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 2);
}
