//! Names as bytes, listings in pages, search, counts, transactions and what listeners hear.

use super::*;
use crate::model::{Availability, ObjectHash, Playable, Tag};

/// Names of Windows are text.
#[cfg(unix)]
#[test]
fn names_are_bytes_and_are_found_in_either_composition() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let bench = Bench::new();
    let latin = OsString::from_vec(b"latin\xe9.wav".to_vec());
    let place = bench.write(|w| w.observe(bench.top(), &latin, &file(evidence(1))));
    let item = bench.probe(place_of(place), &sound_record()).unwrap();
    assert_eq!(bench.place(place_of(place)).name, latin);
    assert_eq!(bench.item(item).name, "latin%E9.wav");
    let reader = bench.reader();
    let path = reader.place_path(place_of(place)).unwrap().unwrap().1;
    assert_eq!(path.as_os_str(), latin);

    // Two files whose names differ only in composition are two files.
    let composed = place_of(bench.see("ä.wav", evidence(2)));
    let decomposed = place_of(bench.see("a\u{308}.wav", evidence(3)));
    assert_ne!(composed, decomposed);
    let found = |name: &str| {
        let found = reader.child_place(bench.top(), OsStr::new(name)).unwrap();
        found.unwrap().0.row
    };
    assert_eq!(found("ä.wav"), composed);
    assert_eq!(found("a\u{308}.wav"), decomposed);
    bench.gone(composed);
    assert_eq!(found("ä.wav"), decomposed);
    let folder = bench.write(|w| w.folder(bench.top(), OsStr::new("Ö"), Nanoseconds(1)));
    let seen = reader
        .child_folder(bench.top(), OsStr::new("O\u{308}"))
        .unwrap();
    assert_eq!(seen.unwrap().row, folder);
    assert_eq!(
        reader.child_folder(bench.top(), OsStr::new("ö")).unwrap(),
        None
    );
}

#[test]
fn pages_list_everything_once_in_order() {
    let bench = Bench::new();
    bench.write(|w| {
        for n in 0..1200_u32 {
            let name = format!("{n}.wav");
            let seen = file(evidence(u64::from(n)));
            let place = place_of(w.observe(bench.top(), OsStr::new(&name), &seen)?);
            if n % 2 == 0 {
                w.record_probe(place, 1, &sound_record())?;
            }
            if n % 3 == 0 {
                w.place_gone(place)?;
            }
            w.folder(bench.top(), OsStr::new(&format!("f{n}")), Nanoseconds(0))?;
        }
        Ok(())
    });
    let reader = bench.reader();
    let (mut names, mut items, mut after) = (Vec::new(), 0, 0);
    loop {
        let page = reader.list_places(bench.top(), after, 100).unwrap();
        let Some(last) = page.last() else { break };
        after = last.0.row.0;
        for (place, item) in page {
            assert!(place.present);
            items += usize::from(item.is_some());
            names.push(place.name.into_string().unwrap());
        }
    }
    let expected: Vec<String> = (0..1200)
        .filter(|n| n % 3 != 0)
        .map(|n| format!("{n}.wav"))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(items, 400);
    assert_eq!(reader.places_of_folder(bench.top()).unwrap().len(), 1200);
    let (mut folders, mut after) = (0, 0);
    while let Some(last) = reader.list_folders(bench.top(), after, 512).unwrap().last() {
        folders += reader.list_folders(bench.top(), after, 512).unwrap().len();
        after = last.row.0;
    }
    assert_eq!(folders, 1200);
    let counts = reader.counts().unwrap();
    assert_eq!(
        (counts.items, counts.places, counts.unhashed),
        (600, 800, 600)
    );
    assert_eq!(
        counts.states,
        [
            (Availability::Local, Playable::Bytes, 400),
            (Availability::Missing, Playable::Silence, 200)
        ]
    );
}

#[test]
fn look_ups_go_by_index_and_listings_only_through_their_page() {
    let bench = Bench::new();
    let song = bench.project("Song");
    bench.write(|w| w.set_active(song.row, true, true));
    let folder = bench.write(|w| w.folder(bench.top(), OsStr::new("f"), Nanoseconds(0)));
    let mut item = bench.take(&song, "0.wav", "0.wav", "in-song");
    bench.write(|w| {
        for n in 1..300_u64 {
            let name = format!("{n}.wav");
            let place = place_of(w.observe(folder, OsStr::new(&name), &file(evidence(n)))?);
            item = w.record_probe(place, 1, &sound_record())?.unwrap();
        }
        w.rename(item, "renamed.wav")
    });
    let unprobed = place_of(bench.see("new.wav", evidence(1000)));
    let reader = bench.reader();
    let id = bench.item(item).media_id;
    let place = bench.item(item).place.unwrap();
    let labour = |what: &str, work: &dyn Fn()| {
        crate::catalog::db::LABOUR.set(0);
        work();
        (what.to_owned(), crate::catalog::db::LABOUR.get())
    };
    let name = OsStr::new("299.wav");
    let done = [
        labour("child_place", &|| {
            assert!(reader.child_place(folder, name).unwrap().is_some());
        }),
        labour("child_folder", &|| {
            assert!(
                reader
                    .child_folder(bench.top(), OsStr::new("f"))
                    .unwrap()
                    .is_some()
            );
        }),
        labour("list_places", &|| {
            assert_eq!(reader.list_places(folder, 100, 50).unwrap().len(), 50);
        }),
        labour("list_folders", &|| {
            assert_eq!(reader.list_folders(bench.top(), 0, 50).unwrap().len(), 1);
        }),
        labour("item_by_id", &|| {
            assert!(reader.item_by_id(&id).unwrap().is_some());
        }),
        labour("item_at", &|| {
            assert!(reader.item_at(place, None).unwrap().is_some());
        }),
        labour("names", &|| {
            assert_eq!(reader.names(item).unwrap().len(), 2)
        }),
        labour("format", &|| {
            assert!(reader.format(item).unwrap().is_some())
        }),
        labour("shown", &|| {
            let shown = reader.shown(song.row, Section::Audio, "0.wav").unwrap();
            assert!(shown.is_some());
        }),
        labour("list_shown", &|| {
            let page = reader.list_shown(song.row, Section::Audio, 0, 10).unwrap();
            assert_eq!(page.len(), 1);
        }),
        labour("list_project_items", &|| {
            let page = reader.list_project_items(song.row, 0, 10).unwrap();
            assert_eq!(page.len(), 1);
        }),
        labour("place_path", &|| {
            assert!(reader.place_path(place).unwrap().is_some());
        }),
        labour("media_item", &|| {
            assert!(reader.media_item(item).unwrap().is_some());
        }),
        labour("unhashed", &|| {
            assert_eq!(reader.unhashed(0, 10).unwrap().len(), 10);
        }),
        labour("unprobed", &|| {
            let waiting = reader.unprobed(bench.library.row, 0, 10).unwrap();
            assert_eq!(waiting, [unprobed]);
        }),
        labour("gone_places_of_size", &|| {
            assert!(reader.gone_places_of_size(5).unwrap().is_empty());
        }),
    ];
    for (what, labour) in done {
        // Sorting the few rows that share an id or a name counts once.
        assert!(labour <= 2, "{what} goes through {labour} rows");
    }
    // The count does count.
    let whole = labour("search", &|| {
        assert_eq!(reader.search_numbers("", 0, 1000).unwrap().len(), 300);
        assert!(reader.counts().unwrap().items > 0);
    });
    assert!(whole.1 >= 300, "{whole:?}");
}

#[test]
fn what_is_to_be_hashed_is_listed_until_it_is() {
    let bench = Bench::new();
    let (_, one) = bench.sound("1.wav", evidence(1));
    let (gone, _) = bench.sound("2.wav", evidence(2));
    let (_, three) = bench.sound("3.wav", evidence(3));
    bench.gone(gone);
    let waiting = |after| -> Vec<ItemNo> {
        let rows = bench.reader().unhashed(after, 10).unwrap();
        rows.into_iter().map(|item| item.row).collect()
    };
    assert_eq!(waiting(0), [one, three]);
    assert_eq!(waiting(one.0), [three]);
    bench.write(|w| w.record_hash(one, 1, ObjectHash([1; 32]), None));
    assert_eq!(waiting(0), [three]);
    bench.see("1.wav", evidence(9));
    assert_eq!(waiting(0), [one, three]);
}

#[test]
fn search_wants_every_word_somewhere() {
    let bench = Bench::new();
    let drums = bench.write(|w| w.folder(bench.top(), OsStr::new("Drums"), Nanoseconds(1)));
    let kick = bench.write(|w| {
        let place = place_of(w.observe(drums, OsStr::new("Kick Ä.wav"), &file(evidence(1)))?);
        Ok(w.record_probe(place, 1, &sound_record())?.unwrap())
    });
    let (_, pad) = bench.sound("pad.wav", evidence(2));
    bench.write(|w| {
        w.tag(
            pad,
            &Tag {
                name: "Warm".to_owned(),
                source: crate::model::TagSource::User,
                confidence: crate::model::Confidence::CERTAIN,
            },
        )
    });
    let find = |query: &str| -> Vec<String> {
        let found = bench.reader().search(query, 0, 10).unwrap();
        found.into_iter().map(|item| item.name).collect()
    };
    assert_eq!(find(""), ["Kick Ä.wav", "pad.wav"]);
    assert_eq!(find("wav"), ["Kick Ä.wav", "pad.wav"]);
    assert_eq!(find("drums KICK"), ["Kick Ä.wav"]);
    assert_eq!(find("a\u{308}"), ["Kick Ä.wav"]);
    assert_eq!(find("warm pad"), ["pad.wav"]);
    assert_eq!(find("samples pad"), ["pad.wav"]);
    assert_eq!(find("warm kick"), Vec::<String>::new());
    assert_eq!(find("100% _"), Vec::<String>::new());
    let id = bench.item(kick).media_id;
    assert_eq!(find(id.as_str()), ["Kick Ä.wav"]);
    bench.write(|w| w.untag(pad, "warm"));
    assert_eq!(find("warm"), Vec::<String>::new());
    let reader = bench.reader();
    assert_eq!(reader.search_numbers("wav", kick.0, 10).unwrap(), [pad]);
    assert_eq!(reader.search_numbers("wav", 0, 1).unwrap(), [kick]);
    assert_eq!(reader.search_numbers("wav", 0, 0).unwrap(), []);
}

#[test]
fn a_failed_transaction_leaves_and_tells_nothing() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    bench.told();
    let outcome: std::result::Result<(), CatalogError> =
        bench.catalog.write(Durability::Full, |w| {
            w.rename(item, "b.wav")?;
            w.observe(bench.top(), OsStr::new("c.wav"), &file(evidence(2)))?;
            w.remove(ItemNo(999))
        });
    assert!(matches!(
        outcome,
        Err(CatalogError::Unknown { number: 999, .. })
    ));
    assert_eq!(bench.told(), []);
    assert_eq!(bench.item(item).name, "a.wav");
    assert_eq!(
        bench
            .reader()
            .list_places(bench.top(), 0, 10)
            .unwrap()
            .len(),
        1
    );
    // Nor does one whose work panics; the next one works.
    let catalog = Arc::clone(&bench.catalog);
    let panicked = std::thread::spawn(move || {
        let _ = catalog.write(Durability::Full, |w| -> Result<()> {
            w.rename(item, "b.wav")?;
            panic!("on purpose");
        });
    })
    .join();
    assert!(panicked.is_err());
    bench.write(|w| w.rename(item, "c.wav"));
    assert_eq!(bench.reader().names(item).unwrap(), ["c.wav", "a.wav"]);
    assert_eq!(bench.told().len(), 1);
}

#[test]
fn listeners_hear_each_commit_once_after_it_and_in_order() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(1));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let catalog = Arc::downgrade(&bench.catalog);
    bench.catalog.listen(Box::new(move |changes| {
        // What is told can be read.
        let catalog = catalog.upgrade().unwrap();
        let row = catalog.reader().unwrap().item(item).unwrap().unwrap();
        ear.lock().push((changes.len(), row.generation, row.name));
    }));
    bench.write(|w| {
        w.observe(bench.top(), OsStr::new("a.wav"), &file(evidence(2)))?;
        w.record_probe(place, 2, &sound_record())?;
        w.rename(item, "b.wav")
    });
    bench.write(|w| w.rename(item, "c.wav"));
    bench.write(|w| w.rename(item, "c.wav"));
    assert_eq!(
        *heard.lock(),
        [(2, 2, "b.wav".to_owned()), (1, 2, "c.wav".to_owned())]
    );
}

#[test]
fn many_threads_read_while_one_writes() {
    let bench = Bench::new();
    let (_, item) = bench.sound("0.wav", evidence(1));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    let mut reads = 0_u32;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) || reads == 0 {
                        let reader = bench.reader();
                        let whole = reader.media_item(item).unwrap().unwrap();
                        let size = reader.item(item).unwrap().unwrap().size;
                        assert!(whole.size >= last && size >= whole.size);
                        last = size;
                        reads += 1;
                    }
                })
            })
            .collect();
        for size in 2..200 {
            bench.see("0.wav", evidence(size));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
