//! The daemon dies while its couriers hang in the kernel, in a stream and in a hydration: nothing of it keeps the drive or
//! the home, and the next daemon is there at once.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::scene::{PLAYER_BOUND, Sound, cloud, in_root, mount};
use crate::support::cloud::{Fault, Op};
use crate::support::players::{Class, How, Outcome};
use crate::support::{Home, by_nfs, program, slowness, wait_until};

/// Enough for a debug build on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

fn couriers_of(daemon: u32) -> Vec<u32> {
    let found = program(
        "pgrep",
        ["-P", &daemon.to_string(), "-f", "mediafs-courier"],
    );
    let found = String::from_utf8(found.stdout).unwrap();
    found.lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a thread of the process hangs in the kernel so that nothing can end it.
fn hangs(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().any(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
        let at = std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
        state == Some(Some('D')) || at.contains("request_wait_answer")
    })
}

#[test]
fn a_daemon_killed_while_streams_and_hydrations_hang_leaves_nothing_in_the_way() {
    let home = Home::new();
    let (streams, hydrates) = (cloud(&home, "streams"), cloud(&home, "hydrates"));
    let sounds: Vec<Sound> = (0..4).map(|n| Sound::new(50_000, n)).collect();
    streams.put("0.wav", (*sounds[0].bytes).clone());
    streams.put("1.wav", (*sounds[1].bytes).clone());
    hydrates.put("2.wav", (*sounds[2].bytes).clone());
    std::fs::write(home.library().join("own.wav"), &*sounds[3].bytes).unwrap();
    let own = home.library();
    let roots = [streams.mount_point(), hydrates.mount_point(), &own];
    let drive = mount(&home, &roots);
    home.wait_for_items(4);
    let own = home.on_drive(in_root("library", "own.wav"));

    let faults = [&streams, &hydrates].map(|cloud| (cloud, cloud.inject(Fault::Hung.on(Op::READ))));
    let uses = |class: Class, path: &str| class.uses(How::Read, &home.mount_point(), path);
    let mut player = uses(Class::Player, "library/streams/0.wav")
        .chunk(4096)
        .pause(Duration::from_millis(500))
        .within(Duration::from_secs(20))
        .start();
    // A client of NFS gives each read up after a minute, and reads what it wanted to have beforehand once more.
    let mut copier = uses(Class::Copier, "library/streams/1.wav")
        .within(Duration::from_secs(200))
        .start();
    let mut asked = home
        .command(["hydrate", "--wait"])
        .arg(home.on_drive("library/hydrates/2.wav"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    player.wait_for_bytes(4096);
    copier.wait_for_pending("read");
    for (cloud, fault) in &faults {
        cloud.wait_for_hit(*fault);
    }
    let couriers = couriers_of(drive.pid());
    assert_eq!(couriers.len(), 2);
    wait_until(Duration::from_secs(5), "couriers that hang", || {
        couriers.iter().all(|pid| hangs(*pid))
    });

    drive.kill();
    let gone = match by_nfs() {
        true => Errno::IO.raw_os_error(),
        false => Errno::NOTCONN.raw_os_error(),
    };
    assert!(!asked.wait().unwrap().success());
    let dead = std::fs::metadata(&own).unwrap_err();
    assert_eq!(dead.raw_os_error(), Some(gone));
    // Who waited is told; who had silence before has it still, and no more.
    let seen = copier.see(sounds[1].truth());
    assert!(
        matches!(seen.outcome, Outcome::Errno(e) if e == gone || e == Errno::CONNABORTED.raw_os_error()),
        "{seen:?}"
    );
    let seen = player.see(sounds[0].truth());
    // A client of NFS may have read beforehand all the silence that there is.
    let had_all = by_nfs() && seen.outcome == Outcome::Silence;
    assert!(had_all || seen.outcome == Outcome::Errno(gone), "{seen:?}");
    assert!(couriers.iter().any(|pid| hangs(*pid)), "they hang still");
    for pid in &couriers {
        let held = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let held = held.map_or(0, Iterator::count);
        // Its socket, its two outputs, and the files that it reads.
        assert!(held <= 8, "courier {pid} holds {held} files");
    }

    let begun = Instant::now();
    let _again = mount(&home, &roots);
    assert!(
        begun.elapsed() < AT_ONCE,
        "remounted after {:?}",
        begun.elapsed()
    );
    eprintln!("remounted after {:?}", begun.elapsed());
    assert_eq!(std::fs::read(&own).unwrap(), *sounds[3].bytes);
    let control = crate::scene::Control::start();
    let seen = uses(Class::Player, "library/streams/0.wav").see(sounds[0].truth());
    let late = control.stop();
    assert_eq!(seen.outcome, Outcome::Silence, "{seen:?}");
    assert!(
        seen.longest() <= PLAYER_BOUND * slowness() + late,
        "{seen:?}, late {late:?}"
    );

    streams.heal();
    hydrates.heal();
    for (path, sound) in [("library/streams/1.wav", 1), ("library/hydrates/2.wav", 2)] {
        wait_until(Duration::from_secs(60), path, || {
            std::fs::read(home.on_drive(path)).is_ok_and(|read| read == *sounds[sound].bytes)
        });
    }
}
