//! What is told of a source, where several tell at once.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;

use super::*;

#[test]
fn what_happened_last_is_what_is_told_last() {
    let home = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Catalog::open(home.path()).unwrap());
    let sources = Sources::new(
        Arc::clone(&catalog),
        DeclaredTrusted::default(),
        Vec::new(),
        Box::new(|_| None),
        Box::new(|_| ()),
    );
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
            let later = Instant::now() + UNREACHABLE;
            known.unreachable.insert(source, later);
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
