//! Library roots that are forgotten: what ends, what goes on, what comes back.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mediafs::library::{ImportOptions, Progress};

use super::support::{House, put, wav};

#[test]
fn a_scan_ends_with_its_root_and_goes_on_when_that_is_back() {
    const COUNT: usize = 3000;
    let house = House::new();
    for number in 0..COUNT {
        let file = house.sounds().join(format!("{number:04}.wav"));
        put(&file, &wav(i16::try_from(number).unwrap(), 50));
    }
    let library = house.watched();
    let base = library.add_root(&house.sounds()).unwrap();
    house.wait(|house| !house.items(&base).is_empty());
    library.forget_root(&base).unwrap();
    let mut before = house.items(&base);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = house.items(&base);
        if now.len() == before.len() {
            break;
        }
        before = now;
    }
    assert!(before.len() < COUNT, "nothing was interrupted");

    let again = library.add_root(&house.sounds()).unwrap();
    assert_eq!(again.row, base.row);
    house.wait_for(Duration::from_secs(60), |house| {
        house.items(&base).len() == COUNT
    });
    let now = house.items(&base);
    assert!(
        before
            .iter()
            .all(|(path, item)| now[path].media_id == item.media_id)
    );
}

#[test]
fn a_file_that_was_referenced_by_itself_is_the_same_item_in_its_library() {
    let house = House::new();
    let file = house.sounds().join("kit/kick.wav");
    put(&file, &wav(1, 50));
    put(&house.sounds().join("kit/other.wav"), &wav(2, 50));
    let library = house.watched();
    let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
    let options = ImportOptions::default();
    let done = library.import(std::slice::from_ref(&file), &options, &progress, &cancel);
    let referenced = done.unwrap()[0].media_id.clone().unwrap();
    let base = library.add_root(&house.sounds()).unwrap();
    house.wait(|house| house.items(&base).len() == 2);
    assert_eq!(house.items(&base)["kit/kick.wav"].media_id, referenced);
    let again = library.import(std::slice::from_ref(&file), &options, &progress, &cancel);
    assert_eq!(again.unwrap()[0].media_id.as_ref(), Some(&referenced));
    assert_eq!(house.reader().counts().unwrap().items, 2);

    // Nobody looks there any more, and both are what they were.
    let known = house.items(&base);
    library.forget_root(&base).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    std::fs::remove_file(house.sounds().join("kit/other.wav")).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    for item in known.values() {
        assert_eq!(house.item(&item.media_id), *item);
    }
}
