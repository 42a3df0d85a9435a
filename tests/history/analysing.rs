//! What analyses made is kept by the bytes it was made of, and taken for no others.

use serde_json::{Value, json};

use super::desk::{Desk, operation, refusal};

fn tempo(id: &str, hash: &Value, artefact: &str) -> Value {
    json!({
        "mediaId": id, "type": "tempo", "parameters": "", "producer": "tapper 1",
        "blake3": hash, "process": 1, "artefact": artefact,
    })
}

fn asked(id: &str) -> Value {
    json!({"mediaId": id, "type": "tempo", "parameters": "", "producer": "tapper 1"})
}

/// A copy of a sound: its hash is known at once.
fn copy(desk: &Desk, name: &str, frames: u32, seed: u32) -> (String, Value) {
    let path = desk.sound(name, frames, seed);
    let answer = desk.call("media.import", json!({"paths": [path], "mode": "copy"}));
    let id = answer["items"][0]["mediaId"].as_str().unwrap().to_owned();
    let hash = desk.get(&id)["blake3"].clone();
    assert!(hash.is_string());
    (id, hash)
}

#[test]
fn wanted_put_and_got_by_bytes() {
    let mut desk = Desk::new();
    let (one, hash) = copy(&desk, "one.wav", 50, 1);
    let (other, other_hash) = copy(&desk, "other.wav", 50, 2);
    let (twin, twin_hash) = copy(&desk, "twin/one again.wav", 50, 1);
    assert_eq!(hash, twin_hash);
    // Not hashed yet: nobody could say what was read.
    desk.import(&desk.sound("left in place.wav", 50, 3));
    let types =
        json!([{"type": "tempo", "producer": "tapper 1"}, {"type": "peaks", "producer": "p"}]);
    let wanted = |desk: &Desk, after: Value| {
        let params = json!({"types": types, "after": after, "limit": 2});
        desk.call("analysis.wanted", params)
    };
    let page = wanted(&desk, Value::Null);
    assert_eq!(page["items"][0]["mediaId"], json!(one));
    assert_eq!(page["items"][0]["blake3"], hash);
    assert_eq!(page["items"][0]["types"].as_array().unwrap().len(), 2);
    let page = wanted(&desk, page["next"].clone());
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["items"][0]["mediaId"], json!(twin));
    assert_eq!(page["next"], Value::Null);

    assert_eq!(refusal(desk.ask("analysis.get", asked(&one))).0, "notFound");
    desk.call("analysis.put", tempo(&one, &hash, "{\"bpm\":120}"));
    desk.restart();
    let got = desk.call("analysis.get", asked(&one));
    assert_eq!(got["artefact"], "{\"bpm\":120}");
    assert_eq!(got["blake3"], hash);
    let file = std::fs::read_to_string(got["artefactPath"].as_str().unwrap()).unwrap();
    assert_eq!(file, "{\"bpm\":120}");
    // The same bytes under another id have it, too; other bytes, another producer or parameters do not.
    assert_eq!(
        desk.call("analysis.get", asked(&twin))["artefact"],
        "{\"bpm\":120}"
    );
    assert_eq!(
        refusal(desk.ask("analysis.get", asked(&other))).0,
        "notFound"
    );
    for (key, value) in [
        ("producer", "tapper 2"),
        ("parameters", "fast"),
        ("type", "peaks"),
    ] {
        let mut params = asked(&one);
        params[key] = json!(value);
        assert_eq!(refusal(desk.ask("analysis.get", params)).0, "notFound");
    }
    let page = wanted(&desk, Value::Null);
    assert_eq!(
        page["items"][0]["types"],
        json!([{"type": "peaks", "parameters": "", "producer": "p"}])
    );
    // It survives a rename, and an eviction of all that is not pinned.
    desk.call("media.rename", json!({"mediaId": one, "name": "renamed"}));
    desk.call("cache.evict", json!({}));
    assert_eq!(
        desk.call("analysis.get", asked(&one))["artefact"],
        "{\"bpm\":120}"
    );
    let _ = other_hash;
}

#[test]
fn what_was_not_made_of_the_true_bytes_is_refused() {
    let desk = Desk::new();
    let (one, hash) = copy(&desk, "one.wav", 50, 1);
    let (_, other_hash) = copy(&desk, "other.wav", 50, 2);
    let (reason, message) = refusal(desk.ask("analysis.put", tempo(&one, &other_hash, "x")));
    assert_eq!(reason, "refused");
    assert!(message.contains("other bytes"), "{message}");
    let unhashed = desk.import(&desk.sound("left in place.wav", 50, 3));
    let (reason, message) = refusal(desk.ask("analysis.put", tempo(&unhashed, &hash, "x")));
    assert_eq!(reason, "refused");
    assert!(message.contains("not known by their hash"), "{message}");
    // Replaced since: what was made of the old bytes is neither taken nor shown, and is there again with them.
    desk.call("analysis.put", tempo(&one, &hash, "old"));
    let new = desk.sound("new.wav", 90, 4);
    let params = json!({"mediaId": one, "to": new, "consent": true});
    let replaced = operation(&desk.call("media.replace", params));
    assert_eq!(
        refusal(desk.ask("analysis.put", tempo(&one, &hash, "x"))).0,
        "refused"
    );
    assert_eq!(refusal(desk.ask("analysis.get", asked(&one))).0, "notFound");
    desk.revert(&replaced);
    assert_eq!(desk.call("analysis.get", asked(&one))["artefact"], "old");
}

/// Among what is no file are pipes.
#[cfg(target_os = "linux")]
#[test]
fn artefacts_and_words_have_bounds() {
    let desk = Desk::new();
    let (one, hash) = copy(&desk, "one.wav", 50, 1);
    let put = |params: Value| refusal(desk.ask("analysis.put", params)).0;
    let mut neither = tempo(&one, &hash, "x");
    neither.as_object_mut().unwrap().remove("artefact");
    assert_eq!(put(neither.clone()), "invalidParameter");
    let mut both = tempo(&one, &hash, "x");
    both["artefactPath"] = json!("/etc/hostname");
    assert_eq!(put(both), "invalidParameter");
    for (key, value) in [
        ("type", String::new()),
        ("type", "t".repeat(2000)),
        ("producer", String::new()),
        ("parameters", "p".repeat(2000)),
        ("blake3", "zz".to_owned()),
        ("artefact", "x".repeat((16 << 20) + 1)),
    ] {
        let mut params = tempo(&one, &hash, "x");
        params[key] = json!(value);
        assert_eq!(put(params), "invalidParameter", "{key}");
    }
    let big = desk.folder.path().join("big");
    std::fs::File::create(&big)
        .unwrap()
        .set_len((16 << 20) + 1)
        .unwrap();
    for path in [
        json!(big),
        json!(desk.folder.path()),
        json!("relative"),
        json!("/nowhere"),
    ] {
        let mut params = neither.clone();
        params["artefactPath"] = path;
        assert_eq!(put(params), "invalidParameter");
    }
    // A pipe is no file, and nobody waits for it.
    let pipe = desk.folder.path().join("pipe");
    super::support::succeed("mkfifo", [&pipe]);
    neither["artefactPath"] = json!(pipe);
    assert_eq!(put(neither.clone()), "invalidParameter");
    let whole = desk.folder.path().join("peaks");
    std::fs::write(&whole, vec![0xff; 300_000]).unwrap();
    neither["artefactPath"] = json!(whole);
    assert_eq!(desk.call("analysis.put", neither)["size"], 300_000);
    let got = desk.call("analysis.get", asked(&one));
    assert_eq!(
        (&got["size"], &got["artefact"]),
        (&json!(300_000), &Value::Null)
    );
    let types: Vec<Value> = (0..33)
        .map(|n| json!({"type": format!("{n}"), "producer": "p"}))
        .collect();
    for types in [json!([]), json!(types)] {
        assert_eq!(
            refusal(desk.ask("analysis.wanted", json!({"types": types}))).0,
            "invalidParameter"
        );
    }
}
