//! What programs write beside sounds.

use crate::host::{DELETE, GENERIC_READ, GENERIC_WRITE};
use crate::program::STATUS_MEDIA_WRITE_PROTECTED;
use crate::scene::{SOON, Scene};
use crate::support::sounds::wav;
use crate::support::{Home, wait_until};

#[test]
fn they_are_written_beside_and_named_when_whole() {
    let home = Home::new();
    std::fs::create_dir(home.library().join("Drums")).unwrap();
    let sound = wav(3000, 1);
    std::fs::write(home.library().join(r"Drums\Kick.wav"), &sound).unwrap();
    let scene = Scene::mounted(home);
    let id = scene.item("Drums/Kick.wav")["mediaId"]
        .as_str()
        .unwrap()
        .to_owned();
    let drums = r"\library\library\Drums";
    wait_until(SOON, "the sound", || {
        scene.is_there(&format!(r"{drums}\Kick.wav"))
    });
    let peaks = format!(r"{drums}\Kick.wav.reapeaks");
    for text in [&b"one"[..], b"two and more"] {
        let temporary = format!(r"{drums}\Kick.wav.reapeaks.tmp");
        scene.put(&temporary, text).unwrap();
        scene.move_to(&temporary, &peaks, true).unwrap();
        assert_eq!(scene.bytes(&peaks.to_uppercase()).unwrap(), text);
        assert!(!scene.is_there(&temporary));
    }
    // In whatever case the program was told of the sound.
    let temporary = format!(r"{drums}\KICK.WAV.gpk.tmp");
    scene.put(&temporary, b"peaks").unwrap();
    scene
        .move_to(&temporary, &format!(r"{drums}\kick.wav.gpk"), true)
        .unwrap();
    assert_eq!(
        scene.names(drums),
        ["Kick.wav", "Kick.wav.gpk", "Kick.wav.reapeaks"]
    );
    scene.put(&format!(r"{drums}\kIcK.asd"), b"live").unwrap();
    assert_eq!(
        scene.bytes(&format!(r"\by-id\{id}\KICK.ASD")).unwrap(),
        b"live"
    );
    scene.delete(&format!(r"{drums}\kick.asd")).unwrap();
    scene.delete(&format!(r"{drums}\KICK.wav.GPK")).unwrap();
    // In every view, and found again.
    assert_eq!(
        scene
            .bytes(&format!(r"\by-id\{id}\kick.WAV.reapeaks"))
            .unwrap(),
        b"two and more"
    );
    assert_eq!(scene.names(drums), ["Kick.wav", "Kick.wav.reapeaks"]);
    // Never an item.
    assert_eq!(scene.home.items().len(), 1);
    // Written at places, shortened, appended to.
    let file = scene.open(&peaks, GENERIC_READ | GENERIC_WRITE).unwrap();
    assert_eq!(scene.write(&file, 5000, b"tail"), Ok(5004));
    assert_eq!(scene.write(&file, u64::MAX, b"!"), Ok(5005));
    assert_eq!(scene.read(&file, 4999, 100).unwrap(), b"\0tail!");
    assert_eq!(scene.set_end(&file, 3).unwrap().FileSize, 3);
    let time = 133_000_000_000_000_000;
    assert_eq!(scene.set_written(&file, time).unwrap().LastWriteTime, time);
    scene.done_with(file, &peaks);
    let file = scene.open(&peaks, GENERIC_READ | DELETE).unwrap();
    assert_eq!((file.info.FileSize, file.info.LastWriteTime), (3, time));
    scene.close(file);
    // A sound takes no other's place.
    let refused = scene.move_to(&peaks, &format!(r"{drums}\Kick.wav"), true);
    assert_eq!(refused, Err(STATUS_MEDIA_WRITE_PROTECTED));
    scene.delete(&peaks).unwrap();
    assert_eq!(scene.names(drums), ["Kick.wav"]);
    assert!(scene.bytes(&format!(r"{drums}\Kick.wav")).unwrap() == sound);
    let other = scene.put(&format!(r"{drums}\other.txt"), b"x");
    assert_eq!(other, Err(STATUS_MEDIA_WRITE_PROTECTED));
}
