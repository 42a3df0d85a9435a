//! The files themselves: reopened, of a newer version, of another program, damaged, full.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use rusqlite::Connection;

use super::*;

#[test]
fn everything_is_there_after_opening_again() {
    let bench = Bench::new();
    let place = place_of(bench.see("a.wav", evidence(1)));
    let item = bench
        .probe(place, &record_with(format(), Some(b"capsule")))
        .unwrap();
    let before = bench.reader().media_item(item).unwrap().unwrap();
    let Bench { home, catalog, .. } = bench;
    drop(catalog);
    let catalog = Catalog::open(home.path()).unwrap();
    let reader = catalog.reader().unwrap();
    assert_eq!(reader.media_item(item).unwrap().unwrap(), before);
    assert_eq!(reader.capsule(item).unwrap().unwrap().bytes, b"capsule");
    assert_eq!(catalog.notes(), Vec::<String>::new());
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

fn sql(path: &Path, statement: &str) {
    Connection::open(path)
        .unwrap()
        .execute_batch(statement)
        .unwrap();
}

#[test]
fn a_newer_catalog_is_refused_and_left_alone() {
    let bench = Bench::new();
    bench.sound("a.wav", evidence(1));
    let Bench { home, catalog, .. } = bench;
    drop(catalog);
    let path = home.path().join("catalog.db");
    sql(
        &path,
        "PRAGMA user_version = 4711; PRAGMA journal_mode = DELETE;",
    );
    let before = fs::read(&path).unwrap();
    let refused = Catalog::open(home.path()).map(|_| ()).unwrap_err();
    let CatalogError::NewerVersion { found, known, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!((found, known), (4711, schema::known_version()));
    assert!(refused.to_string().contains("4711"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn other_programs_databases_and_other_files_are_left_alone() {
    for content in [None, Some(&b"This is a letter, not a database. "[..])] {
        let home = TempDir::new().unwrap();
        let path = home.path().join("catalog.db");
        match content {
            None => sql(
                &path,
                "CREATE TABLE other (a); INSERT INTO other VALUES (1);",
            ),
            Some(bytes) => fs::write(&path, bytes.repeat(100)).unwrap(),
        }
        let before = fs::read(&path).unwrap();
        let refused = Catalog::open(home.path()).map(|_| ()).unwrap_err();
        match content {
            None => assert!(
                matches!(refused, CatalogError::NotACatalog { .. }),
                "{refused}"
            ),
            Some(_) => assert!(matches!(refused, CatalogError::Damaged { .. }), "{refused}"),
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_catalog_with_broken_pages_says_so() {
    let bench = Bench::new();
    bench.write(|w| {
        for n in 0..500 {
            let name = format!("{n}.wav");
            w.observe(bench.top(), OsStr::new(&name), &file(evidence(n)))?;
        }
        Ok(())
    });
    let Bench {
        home,
        catalog,
        library,
        ..
    } = bench;
    drop(catalog);
    let path = home.path().join("catalog.db");
    let length = fs::metadata(&path).unwrap().len();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // The first pages say what tables there are; everything behind is overwritten.
    file.seek(SeekFrom::Start(64 << 10)).unwrap();
    let rest = usize::try_from(length - (64 << 10)).unwrap();
    assert!(
        rest > 10_000,
        "the catalog is too small for this test: {length}"
    );
    file.write_all(&vec![0xA5; rest]).unwrap();
    drop(file);
    let outcome = Catalog::open(home.path()).and_then(|catalog| {
        catalog
            .reader()?
            .list_places(library.top, 0, 1000)
            .map(|_| ())
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
}

#[test]
fn lost_or_damaged_capsules_lose_nothing_else() {
    for damage in ["lost", "text", "pages", "other table", "newer"] {
        let bench = Bench::new();
        let mut items = Vec::new();
        for n in 0..50_u64 {
            let place = place_of(bench.see(&format!("{n}.wav"), evidence(n)));
            // What does not compress fills pages.
            let bytes: Vec<u8> = (0..20_000_u64)
                .map(|at| blake3::hash(&(n * 20_000 + at).to_le_bytes()).as_bytes()[0])
                .collect();
            items.push(
                bench
                    .probe(place, &record_with(format(), Some(&bytes)))
                    .unwrap(),
            );
        }
        let Bench { home, catalog, .. } = bench;
        let kept = |catalog: &Catalog| {
            let reader = catalog.reader().unwrap();
            let capsules = items
                .iter()
                .filter(|item| reader.capsule(**item).unwrap().is_some());
            capsules.count()
        };
        assert_eq!(kept(&catalog), 50);
        drop(catalog);
        let path = home.path().join("capsules.db");
        let length = fs::metadata(&path).unwrap().len();
        assert!(length > 500_000, "{length}");
        match damage {
            "lost" => fs::remove_file(&path).unwrap(),
            "text" => fs::write(&path, "no database at all, whatever it says").unwrap(),
            "other table" => sql(&path, "DROP TABLE capsule; CREATE TABLE capsule (a);"),
            "newer" => sql(&path, "PRAGMA user_version = 99;"),
            _ => {
                let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.seek(SeekFrom::Start(4096)).unwrap();
                let rest = usize::try_from(length - 4096).unwrap();
                file.write_all(&vec![0xA5; rest]).unwrap();
            }
        }
        let catalog = Catalog::open(home.path()).unwrap();
        assert_eq!(kept(&catalog), 0, "{damage}");
        let reader = catalog.reader().unwrap();
        for item in &items {
            assert_eq!(reader.format(*item).unwrap(), Some(format()));
        }
        let lost = reader.lost_capsules(0, 1000).unwrap().lost;
        assert_eq!(lost.len(), 50, "{damage}");
        assert_eq!(
            reader.lost_capsules(lost[9].row.0, 5).unwrap().lost,
            lost[10..15]
        );
        // And it works again.
        let place = reader.item(items[0]).unwrap().unwrap().place.unwrap();
        write(&catalog, |w| {
            w.record_probe(place, 1, &record_with(format(), Some(b"new")))
        });
        assert_eq!(kept(&catalog), 1, "{damage}");
        assert_eq!(reader.lost_capsules(0, 1000).unwrap().lost, lost[1..]);
        assert_eq!(reader.lost_capsules(0, 1).unwrap().last, Some(lost[0].row));
        let end = lost[49].row;
        assert_eq!(reader.lost_capsules(end.0, 1).unwrap().last, None);
        assert_eq!(
            catalog.notes().len(),
            usize::from(damage != "lost"),
            "{damage}"
        );
        let aside = home.path().join("capsules.db.damaged");
        assert_eq!(aside.exists(), damage != "lost", "{damage}");
        assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_full_disk_undoes_the_change_and_keeps_everything_before() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    // No page more than there are: what SQLite says then is what it says of a full disk.
    bench.write(|w| {
        w.reader()
            .db()
            .many("limiting its size", "PRAGMA max_page_count = 1", [], |_| {
                Ok(())
            })
    });
    let fill = |skip_errors: bool| {
        bench.catalog.write(Durability::Full, |w| {
            w.rename(item, "renamed.wav")?;
            for n in 0..5000_u64 {
                let name = format!("some longer name, {n}.wav");
                let outcome = w.observe(bench.top(), OsStr::new(&name), &file(evidence(n)));
                if !skip_errors {
                    outcome?;
                }
            }
            Ok(())
        })
    };
    let full: CatalogError = fill(false).unwrap_err();
    assert!(matches!(full, CatalogError::Full { .. }), "{full}");
    // A caller that goes on after the failure does not get half of it.
    let half: CatalogError = fill(true).unwrap_err();
    assert!(matches!(half, CatalogError::Undone { .. }), "{half}");
    assert_eq!(bench.item(item).name, "a.wav");
    assert_eq!(
        bench
            .reader()
            .list_places(bench.top(), 0, 10)
            .unwrap()
            .len(),
        1
    );
    bench.write(|w| {
        w.reader().db().many(
            "limiting its size",
            "PRAGMA max_page_count = 1000000",
            [],
            |_| Ok(()),
        )
    });
    fill(false).unwrap();
    assert_eq!(bench.item(item).name, "renamed.wav");
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_home_that_is_not_there_is_a_clear_error() {
    let home = TempDir::new().unwrap();
    let nowhere = home.path().join("nowhere");
    let error = Catalog::open(&nowhere).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!nowhere.exists());
}
