//! A real `rclone mount` as a library root: slow, stopped, going on, and killed.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::scene::{Control, PLAYER_BOUND, Sound, configure, mount};
use crate::support::players::{Class, How, Outcome, Seen};
use crate::support::rclone::Rclone;
use crate::support::{Home, wait_until};

/// How long a source may be silent before it counts as hung, and what status may be behind.
const DETECTED: Duration = Duration::from_secs(12);
const TOLD: Duration = Duration::from_secs(2);
/// One that hung is asked again after five seconds.
const BACK: Duration = Duration::from_secs(20);
const COPIER: Duration = Duration::from_secs(4);

#[test]
fn a_stopped_rclone_is_silence_for_players_and_comes_back_by_itself() {
    let home = Home::new();
    configure(
        &home,
        &format!("[deadlines]\ncopier_seconds = {}\n", COPIER.as_secs()),
    );
    let mut rclone = Rclone::new().slowly(1_000_000).start();
    let sounds: Vec<Sound> = (0..8).map(|n| Sound::new(100_000, n)).collect();
    for (n, sound) in sounds.iter().enumerate() {
        rclone.put(format!("kit/{n}.wav"), &*sound.bytes);
    }
    let _drive = mount(&home, &[&rclone.mount_point()]);
    home.wait_for_items(sounds.len());
    let path = |n: usize| format!("library/mount/kit/{n}.wav");
    let see = |class: Class, n: usize| -> Seen {
        class
            .uses(How::Read, &home.mount_point(), path(n))
            .chunk(32 << 10)
            .within(Duration::from_secs(30))
            .see(sounds[n].truth())
    };
    let in_time = |n: usize| {
        let control = Control::start();
        let seen = see(Class::Player, n);
        let late = control.stop();
        assert!(
            seen.longest() <= PLAYER_BOUND + late,
            "{seen:?}, late {late:?}"
        );
        seen
    };
    let availability = |n: usize| -> String {
        let item = home.item(&format!("kit/{n}.wav"));
        item["availability"].as_str().unwrap().to_owned()
    };

    // Slow: a stream, and hydration.
    let played = in_time(0);
    assert!(
        matches!(
            played.outcome,
            Outcome::Bytes | Outcome::Mixed | Outcome::Silence
        ),
        "{played:?}"
    );
    wait_until(Duration::from_secs(20), "all of what is played", || {
        in_time(0).outcome == Outcome::Bytes
    });
    let hydrated = home.on_drive(path(1));
    home.run([Path::new("hydrate"), Path::new("--wait"), &hydrated]);
    assert_eq!(see(Class::Indexer, 1).outcome, Outcome::Bytes);
    assert_eq!(see(Class::Copier, 2).outcome, Outcome::Bytes);
    assert_eq!(availability(3), "external-online");

    // Stopped.
    let stopped = rclone.stop();
    let asked = Instant::now();
    assert_eq!(in_time(3).outcome, Outcome::Silence);
    assert_eq!(
        in_time(1).outcome,
        Outcome::Bytes,
        "what is cached plays on"
    );
    let refused = |errno: Errno| Outcome::Errno(errno.raw_os_error());
    let copied = see(Class::Copier, 4);
    assert_eq!(copied.outcome, refused(Errno::TIMEDOUT), "{copied:?}");
    assert!(copied.bytes.is_empty());
    wait_until(DETECTED + TOLD, "status to tell", || {
        availability(3) == "external-offline"
    });
    let told = asked.elapsed();
    eprintln!("status tells of it {told:?} after the first question");
    assert!(told <= DETECTED + TOLD, "told after {told:?}");
    assert_eq!(in_time(5).outcome, Outcome::Silence);
    let copied = see(Class::Copier, 5);
    assert_eq!(copied.outcome, refused(Errno::NOMEDIUM), "{copied:?}");
    assert!(copied.longest() < Duration::from_secs(1), "{copied:?}");

    // Going on.
    drop(stopped);
    let begun = Instant::now();
    wait_until(BACK, "the source to be back", || {
        availability(5) == "external-online"
    });
    eprintln!("back {:?} after it went on", begun.elapsed());
    for n in 3..6 {
        wait_until(BACK, "its sounds", || {
            see(Class::Copier, n).outcome == Outcome::Bytes
        });
    }

    // Killed: its mount is there, and dead.
    rclone.kill();
    let asked = Instant::now();
    assert_eq!(in_time(6).outcome, Outcome::Silence);
    let copied = see(Class::Copier, 7);
    assert!(
        matches!(copied.outcome, Outcome::Errno(e) if [Errno::NOMEDIUM, Errno::NETUNREACH]
            .map(|errno| errno.raw_os_error()).contains(&e)),
        "{copied:?}"
    );
    wait_until(TOLD, "status to tell", || {
        availability(6) != "external-online"
    });
    eprintln!("a killed rclone is told of after {:?}", asked.elapsed());
    assert_eq!(
        in_time(3).outcome,
        Outcome::Bytes,
        "what is cached plays on"
    );
}
