//! The disk of the cache is full: nothing can be brought, and that is said; players hear what their storage gives all the
//! same, and in time.

use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::scene::{Control, PLAYER_BOUND, Sound, cloud, configure, in_root, mount};
use crate::support::janitor::Janitor;
use crate::support::players::{Class, Content, How, Outcome};
use crate::support::{Home, show, wait_until};

/// A small disk for the cache.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(home: &Home, janitor: &mut Janitor) -> Self {
        let at = home.home().join("cache");
        std::fs::create_dir(&at).unwrap();
        janitor.unmount(&at);
        rustix::mount::mount("tmpfs", &at, "tmpfs", MountFlags::empty(), c"size=8m").unwrap();
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_heard_by_no_player_and_an_error_for_copiers() {
    let home = Home::new();
    configure(
        &home,
        "[deadlines]\nloader_seconds = 2\ncopier_seconds = 4\n",
    );
    let mut janitor = Janitor::new();
    let _disk = SmallDisk::mount(&home, &mut janitor);
    let cloud = cloud(&home, "cloud");
    // Each larger than the disk, but for one.
    let sounds: Vec<(Class, Sound)> = Class::ALL
        .into_iter()
        .zip(0..)
        .map(|(class, n)| (class, Sound::new(2_500_000, n)))
        .collect();
    for (class, sound) in &sounds {
        cloud.put(format!("{class:?}.wav"), (*sound.bytes).clone());
    }
    let small = Sound::new(10_000, 100);
    cloud.put("small.wav", (*small.bytes).clone());
    let _drive = mount(&home, &[cloud.mount_point()]);
    home.wait_for_items(sounds.len() + 1);
    for (class, sound) in &sounds {
        for how in [How::Read, How::MapPrivate] {
            let path = in_root("cloud", format!("{class:?}.wav"));
            let uses = || {
                let control = Control::start();
                let seen = class
                    .uses(how, &home.mount_point(), &path)
                    .chunk(32 << 10)
                    .length(1 << 20)
                    .see(sound.truth());
                (seen, control.stop())
            };
            let (mut seen, mut late) = uses();
            // What came too late for a player is silence until it is opened again.
            let mut opens = 1;
            while *class == Class::Player && seen.outcome == Outcome::Silence && opens < 100 {
                assert!(seen.longest() <= PLAYER_BOUND + late, "{seen:?}, {late:?}");
                std::thread::sleep(Duration::from_millis(100));
                (seen, late) = uses();
                opens += 1;
            }
            eprintln!(
                "{class:?} {how:?}: {:?}, {:?}, {opens} opens",
                seen.outcome,
                seen.longest()
            );
            match class {
                Class::Player => {
                    let heard = matches!(seen.content, Content::Bytes | Content::Mixed);
                    assert!(heard, "{how:?} {:?}", seen.outcome);
                }
                Class::Loader => assert_eq!(seen.outcome, Outcome::Bytes, "{how:?}"),
                Class::Indexer => {
                    let refused = Outcome::Errno(Errno::AGAIN.raw_os_error());
                    assert_eq!(seen.outcome, refused);
                }
                Class::Copier | Class::Browser => {
                    let full = Outcome::Errno(Errno::NOSPC.raw_os_error());
                    let told = how == How::MapPrivate && seen.outcome == Outcome::Signal(7);
                    assert!(seen.outcome == full || told, "{class:?} {how:?} {seen:?}");
                    assert!(seen.bytes.is_empty());
                }
            }
            if *class == Class::Player {
                assert!(seen.longest() <= PLAYER_BOUND + late, "{seen:?}, {late:?}");
            }
        }
    }
    // Who asks for it by hand is told so.
    let path = home.on_drive(in_root("cloud", "Copier.wav"));
    let asked = home
        .command(["hydrate".as_ref(), "--wait".as_ref(), path.as_os_str()])
        .output()
        .unwrap();
    assert!(!asked.status.success(), "{}", show(&asked));
    // What finds room comes.
    let path = home.on_drive(in_root("cloud", "small.wav"));
    wait_until(Duration::from_secs(10), "a small sound", || {
        std::fs::read(&path).is_ok_and(|bytes| bytes == *small.bytes)
    });
}
