//! What is told of a source, where several tell at once.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;

use super::*;

/// As this catalog has them; no disk says what it is.
pub(in crate::storage) fn sources_of(catalog: &Arc<Catalog>) -> Arc<Sources> {
    Sources::new(
        Arc::clone(catalog),
        DeclaredTrusted::default(),
        Vec::new(),
        Box::new(|_| None),
        Box::new(|_| ()),
    )
}

#[test]
fn what_happened_last_is_what_is_told_last() {
    let home = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Catalog::open(home.path()).unwrap());
    let sources = sources_of(&catalog);
    let table = MountTable::read().unwrap();
    let key = MountKey::of(table.entries().first().unwrap());
    let source = SourceNo(1);
    // Whoever tells is held up now and then.
    catalog.listen(Box::new(|_| std::thread::yield_now()));
    let start = Barrier::new(3);
    for round in 0..3000 {
        {
            let mut known = sources.known.lock();
            known.mounted.insert(source, key.clone());
            known.ejected.clear();
            known.unreachable.insert(source, round);
        }
        sources.tell(source);
        assert_eq!(catalog.source_state(source), SourceState::Suspended);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                sources.reached(source);
            });
            scope.spawn(|| {
                start.wait();
                sources.tell(source);
            });
            start.wait();
            assert!(sources.eject(source));
        });
        assert_eq!(
            catalog.source_state(source),
            SourceState::Ejected,
            "in round {round}"
        );
    }
}

#[test]
fn a_source_that_goes_was_seen_until_then() {
    let home = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Catalog::open(home.path()).unwrap());
    let sources = sources_of(&catalog);
    let new = crate::catalog::NewSource {
        kind: SourceKind::Volume,
        identity: "red".to_owned(),
        name: "red".to_owned(),
        provider: None,
        path: "/media/red".into(),
    };
    let long_ago = Nanoseconds(1_700_000_000_000_000_000);
    let row = catalog
        .write(Durability::Normal, |w| w.add_source(&new, long_ago))
        .unwrap();
    let seen = || {
        let row = catalog.reader().unwrap().source(row.row).unwrap();
        row.unwrap().seen
    };
    let forget = || {
        catalog
            .write(Durability::Normal, |w| w.source_left(row.row, long_ago))
            .unwrap();
    };
    // One that was never there was not seen now.
    sources.found(&row, None).unwrap();
    assert_eq!(seen(), long_ago);

    let table = MountTable::read().unwrap();
    let entry = table.entries().first().unwrap();
    let online = || {
        sources.found(&row, Some(entry)).unwrap();
        assert_eq!(catalog.source_state(row.row), SourceState::Online);
        forget();
    };
    let ends: [&dyn Fn(); 3] = [
        &|| sources.found(&row, None).unwrap(),
        &|| assert!(sources.unreachable(row.row).is_some()),
        &|| assert!(sources.eject(row.row)),
    ];
    for end in ends {
        online();
        let before = now();
        end();
        assert_ne!(catalog.source_state(row.row), SourceState::Online);
        assert!(seen() >= before, "{:?}", seen());
        forget();
        sources.found(&row, None).unwrap();
        assert_eq!(seen(), long_ago, "it is gone already");
        assert!(!sources.is_unreachable(row.row));
    }
}

/// Its mounts are known by their letters alone.
#[cfg(windows)]
#[test]
fn a_share_without_a_letter_is_no_disk_of_this_computer() {
    let home = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(home.path()).unwrap();
    let sources = Sources::new(
        catalog,
        DeclaredTrusted::default(),
        Vec::new(),
        Box::new(|_| None),
        Box::new(|_| ()),
    );
    for path in [
        r"\\nobody-has-this\sounds\a.wav",
        r"\\?\UNC\nobody-has-this\sounds",
    ] {
        let told = sources.of_path(Path::new(path));
        assert!(matches!(told, Err(SourceError::NoLetter(_))), "{told:?}");
    }
}
