//! Tags, attributes, alternatives, usages, analyses.

use serde_json::json;

use super::*;
use crate::model::{Attribute, Confidence, ObjectHash, Storage, Tag, TagSource, Usage, UsageRole};

fn tag(name: &str, source: TagSource, confidence: f32) -> Tag {
    Tag {
        name: name.to_owned(),
        source,
        confidence: Confidence::new(confidence),
    }
}

fn names(bench: &Bench, item: ItemNo) -> Vec<(String, TagSource)> {
    let tags = bench.reader().tags(item).unwrap();
    tags.into_iter().map(|tag| (tag.name, tag.source)).collect()
}

#[test]
fn the_users_word_stands_above_others() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    let give = |tag: Tag| bench.write(|w| w.tag(item, &tag));
    give(tag("Kick", TagSource::Name, 0.5));
    give(tag("KICK", TagSource::User, 1.0));
    assert_eq!(names(&bench, item), [("KICK".to_owned(), TagSource::User)]);
    give(tag("kick", TagSource::Analysis, 1.0));
    assert_eq!(names(&bench, item), [("KICK".to_owned(), TagSource::User)]);
    // Of the others the surer one.
    give(tag("Deep", TagSource::Analysis, 0.9));
    give(tag("deep", TagSource::Name, 0.2));
    assert_eq!(
        names(&bench, item)[0],
        ("Deep".to_owned(), TagSource::Analysis)
    );
    give(tag("deep", TagSource::Composer, 0.95));
    assert_eq!(
        names(&bench, item)[0],
        ("deep".to_owned(), TagSource::Composer)
    );
    // A source may change its own mind.
    give(tag("deep", TagSource::Composer, 0.1));
    let first = &bench.reader().tags(item).unwrap()[0];
    assert!((first.confidence.value() - 0.1).abs() < 1e-6);
}

#[test]
fn what_the_user_removed_only_the_user_brings_back() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(1));
    let give = |source| bench.write(|w| w.tag(item, &tag("Loop", source, 1.0)));
    give(TagSource::File);
    assert!(bench.write(|w| w.untag(item, "LOOP")));
    assert!(!bench.write(|w| w.untag(item, "loop")));
    assert!(!bench.write(|w| w.untag(item, "never")));
    for source in [
        TagSource::File,
        TagSource::Name,
        TagSource::Analysis,
        TagSource::Composer,
    ] {
        give(source);
        assert_eq!(names(&bench, item), []);
    }
    // Nor does another content of the file.
    bench.see("a.wav", evidence(2));
    bench.probe(place, &sound_record());
    assert_eq!(names(&bench, item), []);
    give(TagSource::User);
    assert_eq!(names(&bench, item), [("Loop".to_owned(), TagSource::User)]);
}

#[test]
fn odd_labels_are_refused() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    for name in ["", "  ", &"x".repeat(2000)] {
        let refused = bench.catalog.write(Durability::Full, |w| {
            w.tag(item, &tag(name, TagSource::User, 1.0))
        });
        assert!(matches!(refused, Err(CatalogError::InvalidLabel { .. })));
    }
    let odd = "ünï\u{1F941}'; DROP TABLE item; --";
    bench.write(|w| w.tag(item, &tag(odd, TagSource::User, 1.0)));
    assert_eq!(names(&bench, item)[0].0, odd);
}

fn sound_stating(values: &[(&str, serde_json::Value)]) -> ProbeRecord {
    let ProbeRecord::Media {
        kind,
        format,
        notes,
        capsule,
        fingerprint,
        ..
    } = sound_record()
    else {
        unreachable!("a sound is media");
    };
    ProbeRecord::Media {
        kind,
        format,
        attributes: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        notes,
        capsule,
        fingerprint,
    }
}

fn values(bench: &Bench, item: ItemNo) -> Vec<(String, serde_json::Value)> {
    let attributes = bench.reader().attributes(item).unwrap();
    attributes.into_iter().map(|a| (a.name, a.value)).collect()
}

#[test]
fn what_a_file_states_follows_the_file_but_not_against_the_user() {
    let bench = Bench::new();
    let place = place_of(bench.see("a.wav", evidence(1)));
    let first = sound_stating(&[("bpm", json!(120)), ("key", json!("Am")), ("", json!(1))]);
    let item = bench.probe(place, &first).unwrap();
    assert_eq!(
        values(&bench, item),
        [
            ("bpm".to_owned(), json!(120)),
            ("key".to_owned(), json!("Am"))
        ]
    );
    let mine = Attribute {
        name: "BPM".to_owned(),
        value: json!(60.5),
        source: TagSource::User,
        confidence: Confidence::CERTAIN,
    };
    bench.write(|w| w.set_attribute(item, &mine));
    bench.see("a.wav", evidence(2));
    bench.probe(
        place,
        &sound_stating(&[("bpm", json!(121)), ("rootNote", json!(60))]),
    );
    assert_eq!(
        values(&bench, item),
        [
            ("BPM".to_owned(), json!(60.5)),
            ("rootNote".to_owned(), json!(60))
        ]
    );
    assert!(bench.write(|w| w.remove_attribute(item, "rootnote")));
    bench.see("a.wav", evidence(3));
    bench.probe(place, &sound_stating(&[("rootNote", json!(61))]));
    assert_eq!(values(&bench, item), [("BPM".to_owned(), json!(60.5))]);
}

#[test]
fn an_item_that_is_made_later_has_what_the_file_states() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let item = bench.write(|w| {
        let place = place_of(w.observe(song.top, OsStr::new("a.wav"), &file(evidence(1)))?);
        w.record_probe(place, 1, &sound_stating(&[("bpm", json!(90))]))?;
        w.add_item(&new_item("a", Some(song.row), "a.wav", place))
    });
    assert_eq!(values(&bench, item), [("bpm".to_owned(), json!(90))]);
}

#[test]
fn alternatives_usages_and_analyses_are_kept_once() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    let elsewhere = Storage::Volume {
        volume: "RED".to_owned(),
        path: "a.wav".to_owned(),
    };
    assert!(bench.write(|w| w.add_alternative(item, &elsewhere)));
    assert!(!bench.write(|w| w.add_alternative(item, &elsewhere)));
    let usage = Usage {
        project: "p".to_owned(),
        role: UsageRole::Other("warp".to_owned()),
        target: "track 1".to_owned(),
    };
    assert!(bench.write(|w| w.add_usage(item, &usage)));
    assert!(!bench.write(|w| w.add_usage(item, &usage)));
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    assert_eq!(whole.alternatives, std::slice::from_ref(&elsewhere));
    assert_eq!(whole.usages, std::slice::from_ref(&usage));
    assert!(bench.write(|w| w.remove_usage(item, &usage)));
    assert!(bench.write(|w| w.remove_alternative(item, &elsewhere)));
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    assert!(whole.usages.is_empty() && whole.alternatives.is_empty());

    let key = AnalysisKey {
        object: ObjectHash([1; 32]),
        kind: "waveform".to_owned(),
        parameters: "{}".to_owned(),
        producer: "peaks 1".to_owned(),
    };
    bench.write(|w| w.put_analysis(&key, ObjectHash([2; 32])));
    bench.write(|w| w.put_analysis(&key, ObjectHash([3; 32])));
    let reader = bench.reader();
    assert_eq!(reader.analysis(&key).unwrap(), Some(ObjectHash([3; 32])));
    assert_eq!(
        reader.analyses_of(key.object).unwrap(),
        [(key.clone(), ObjectHash([3; 32]))]
    );
    let newer = AnalysisKey {
        producer: "peaks 2".to_owned(),
        ..key
    };
    assert_eq!(reader.analysis(&newer).unwrap(), None);
}

#[test]
fn everything_goes_with_a_removed_item() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(1));
    bench.write(|w| w.tag(item, &tag("x", TagSource::User, 1.0)));
    bench.write(|w| w.rename(item, "b.wav"));
    let id = bench.item(item).media_id;
    bench.write(|w| w.remove(item));
    let back = bench.write(|w| w.add_item(&new_item(id.as_str(), None, "c.wav", place)));
    assert_eq!(names(&bench, back), []);
    assert_eq!(bench.reader().names(back).unwrap(), ["c.wav"]);
}

#[test]
fn what_is_pinned_or_named_is_not_unused_when_it_is_gone() {
    let bench = Bench::new();
    let [gone, pinned, named] = ["gone.wav", "pinned.wav", "named.wav"].map(|name| {
        let place = place_of(bench.see(name, evidence(1)));
        let item = bench.probe(place, &sound_record()).unwrap();
        (place, item)
    });
    let unused = || -> Vec<ItemNo> {
        let found = bench.reader().unused_items(0, 10).unwrap();
        found.into_iter().map(|item| item.row).collect()
    };
    bench.write(|w| w.pin(pinned.1, USER).map(drop));
    bench.write(|w| w.rename(named.1, "Better.wav"));
    assert_eq!(unused(), []);
    for (place, _) in [gone, pinned, named] {
        bench.gone(place);
    }
    assert_eq!(unused(), [gone.1]);
    assert_eq!(bench.reader().count_gone_and_known().unwrap(), 2);
    bench.write(|w| w.unpin(pinned.1, USER).map(drop));
    bench.write(|w| w.rename(named.1, "named.wav"));
    assert_eq!(unused(), [gone.1, pinned.1, named.1]);
}
