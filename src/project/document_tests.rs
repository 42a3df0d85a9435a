//! Round trips to the letter, and texts of strangers.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const WHOLE: &str = include_str!("document_example.json");

fn parse(text: &str) -> Result<Document, Fault> {
    Document::parse(text.as_bytes())
}

#[test]
fn everything_comes_back_to_the_letter_also_what_is_not_known_here() {
    let document = parse(WHOLE).unwrap();
    assert_eq!(String::from_utf8(document.text().unwrap()).unwrap(), WHOLE);
    assert_eq!(document.items.len(), 3);
    assert_eq!(document.held.len(), 1);
    let kick = document.item(&"KICK-1".parse().unwrap()).unwrap();
    assert_eq!(kick.kind, Kind::Other("stem-bundle".to_owned()));
    assert_eq!(kick.tags.known.len(), 2);
    assert_eq!(
        kick.tags.odd.len(),
        1,
        "a word of a source that is not known"
    );
    assert!(kick.tags.known[1].value.removed);
    let newer = document.item(&"newer-1".parse().unwrap()).unwrap();
    assert!(matches!(newer.storage, Where::Unknown(_)));
    assert!(newer.format.is_none(), "a container of a newer host");
}

#[test]
fn the_first_version_is_read() {
    let text = r#"{"format":"mediafs-project","version":1,"projectId":"p-1","name":"Song","x":[1,{"y":2}]}"#;
    let document = parse(text).unwrap();
    assert_eq!(document.project_id, ProjectId("p-1".to_owned()));
    let text = String::from_utf8(document.text().unwrap()).unwrap();
    assert!(text.contains(r#""version": 2"#), "{text}");
    assert!(text.contains(r#""x": [1,{"y":2}]"#), "{text}");
}

fn with_items(items: &str) -> String {
    format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"Song","items":{items}}}"#
    )
}

#[test]
fn one_bad_entry_hides_no_other_and_keeps_its_text() {
    let good = r#"{"mediaId":"good","kind":"audio","name":"a.wav","storage":{"backend":"project","path":"Media/a.wav"}}"#;
    let long = "x".repeat(5000);
    for bad in [
        "null",
        "7",
        "[]",
        "{}",
        r#"{"mediaId":"../x","kind":"audio","name":"a","storage":{"backend":"project","path":"a"}}"#,
        r#"{"mediaId":"GOOD","kind":"audio","name":"a","storage":{"backend":"project","path":"a"}}"#,
        r#"{"mediaId":"b","mediaId":"c","kind":"audio","name":"a","storage":{"backend":"project","path":"a"}}"#,
        r#"{"mediaId":"b","kind":"audio","name":"","storage":{"backend":"project","path":"a"}}"#,
        r#"{"mediaId":"b","kind":"audio","name":"a\u0000b","storage":{"backend":"project","path":"a"}}"#,
        &format!(
            r#"{{"mediaId":"b","kind":"audio","name":"{long}","storage":{{"backend":"project","path":"a"}}}}"#
        ),
        r#"{"mediaId":"b","kind":"audio","name":"a"}"#,
        r#"{"mediaId":"b","kind":"audio","name":"a","storage":"Media/a.wav"}"#,
        r#"{"mediaId":"b","kind":"audio","name":"a","storage":{"backend":"project","path":"a"},"size":-1}"#,
        r#"{"mediaId":"b","kind":"audio","name":"a","storage":{"backend":"project","path":"a"},"size":1e999}"#,
        r#"{"mediaId":"b","kind":"audio","name":"a","storage":{"backend":"project","path":"a"},"size":18446744073709551615}"#,
        r#"{"mediaId":"b","kind":{"a":1},"name":"a","storage":{"backend":"project","path":"a"}}"#,
    ] {
        let document = parse(&with_items(&format!("[{good},{bad}]"))).unwrap();
        assert_eq!(document.items.len(), 1, "{bad:.80}");
        assert_eq!(document.held.len(), 1, "{bad:.80}");
        assert!(!document.held[0].reason.is_empty());
        let text = String::from_utf8(document.text().unwrap()).unwrap();
        assert!(text.contains(bad), "{bad:.80}");
    }
}

#[test]
fn whole_texts_of_strangers_are_clear_errors() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = with_items(&format!("[{}1]", "1,".repeat(MOST_ITEMS)));
    let fields: String = (0..5000).map(|n| format!("\"f{n}\":1,")).collect();
    let wide = format!(r#"{{{fields}"format":"mediafs-project"}}"#);
    for damaged in [
        "",
        "{",
        "\0\0",
        "NaN",
        &deep,
        &with_items(&deep),
        &many,
        &wide,
        &with_items("{}"),
        r#"{"format":"mediafs-project","version":2}"#,
        r#"{"format":"mediafs-project","version":2,"projectId":"a","projectId":"b","name":"x"}"#,
    ] {
        assert!(
            matches!(parse(damaged), Err(Fault::Damaged(_))),
            "{damaged:.80}"
        );
    }
    let long_name = format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"{}"}}"#,
        "x".repeat(2000)
    );
    for other in [
        "[]",
        "{}",
        r#"{"format":"other"}"#,
        r#"{"format":"mediafs-project","version":-1}"#,
        r#"{"format":"mediafs-project","version":1e99}"#,
        r#"{"format":"mediafs-project","version":2,"projectId":"../../etc","name":"x"}"#,
        r#"{"format":"mediafs-project","version":2,"projectId":"p","name":""}"#,
        &long_name,
    ] {
        assert!(
            matches!(parse(other), Err(Fault::NotAManifest(_))),
            "{other:.80}"
        );
    }
    let newer = r#"{"format":"mediafs-project","version":3,"everything":"else"}"#;
    assert!(matches!(parse(newer), Err(Fault::Newer(3))));
}

/// Some bytes of the example replaced, left out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        any::<Option<u8>>(),
        any::<bool>(),
    );
    let words = prop::sample::select(vec![
        &b"{"[..],
        b"[",
        b"]",
        b"}",
        b"\"",
        b"null",
        b"-1",
        b"1e999",
        b"99999999999999999999",
        b"\"../../x\"",
        b"\\u0000",
        b",",
        b":",
    ]);
    (
        prop::collection::vec(change, 0..6),
        prop::collection::vec((any::<prop::sample::Index>(), words), 0..4),
    )
        .prop_map(|(changes, words)| {
            let mut text = WHOLE.as_bytes().to_vec();
            for (at, byte, put_in) in changes {
                let at = at.index(text.len());
                match (byte, put_in) {
                    (Some(byte), true) => text.insert(at, byte),
                    (Some(byte), false) => text[at] = byte,
                    (None, _) => {
                        text.remove(at);
                    }
                }
            }
            for (at, word) in words {
                let at = at.index(text.len());
                text.splice(at..at, word.iter().copied());
            }
            text
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_brings_it_down_and_what_is_read_can_be_written_and_read_again(text in mutated()) {
        if let Ok(document) = Document::parse(&text) {
            let written = document.text().unwrap();
            // What is known may be written in another way; raw text is kept. It never grows beyond that.
            prop_assert!(written.len() <= 4 * text.len() + 1000);
            let again = Document::parse(&written).unwrap();
            prop_assert_eq!(again.items.len(), document.items.len());
            prop_assert_eq!(again.held.len(), document.held.len());
            prop_assert_eq!(again.text().unwrap(), written);
        }
    }
}
