//! The daemon dies while programs write beside sounds.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::scene::{Scene, names};
use crate::support::modes;

/// Writes until the daemon dies; notes what was acknowledged.
fn write_on(
    folder: &std::path::Path,
    writer: u8,
    acknowledged: &Mutex<HashMap<String, (u8, u32)>>,
    stop: &AtomicBool,
) {
    for round in 1_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("kick.wav.asd{writer}");
        let temporary = folder.join(format!("{name}.tmp"));
        let whole = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&[writer; 4096])?;
            file.write_all(&round.to_le_bytes())?;
            file.sync_all()?;
            drop(file);
            fs::rename(&temporary, folder.join(&name))
        };
        match whole() {
            Ok(()) => {
                acknowledged.lock().unwrap().insert(name, (writer, round));
            }
            Err(_) => return,
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_and_whole() {
    for (at, mode) in modes().iter().cycle().take(2 * modes().len()).enumerate() {
        let scene = Scene::new();
        let mounted = scene.mounted(mode);
        let id = scene.id("kick.wav");
        let folder = scene.by_id(&id);
        let acknowledged = Mutex::new(HashMap::new());
        let stop = AtomicBool::new(false);
        let killed = || {
            let begun = std::time::Instant::now();
            while acknowledged.lock().unwrap().len() < 3
                && begun.elapsed() < Duration::from_secs(20)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(37 * at as u64));
            mounted.kill();
            stop.store(true, Ordering::Relaxed);
        };
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (folder, acknowledged, stop) = (&folder, &acknowledged, &stop);
                scope.spawn(move || write_on(folder, writer, acknowledged, stop));
            }
            killed();
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        assert_eq!(acknowledged.len(), 3, "it was killed while all wrote");
        let mounted = scene.mount(mode);
        for (name, (writer, round)) in &acknowledged {
            let bytes = fs::read(folder.join(name)).unwrap();
            assert_eq!(bytes.len(), 4100, "{name} is whole");
            assert!(bytes[..4096].iter().all(|byte| byte == writer));
            let found = u32::from_le_bytes(bytes[4096..].try_into().unwrap());
            // The next may have got its name without an answer.
            assert!(
                found == *round || found == round + 1,
                "{name}: {found} after {round}"
            );
        }
        let others: Vec<String> = names(&folder)
            .into_iter()
            .filter(|name| !acknowledged.contains_key(name) && !name.ends_with(".tmp"))
            .collect();
        assert_eq!(others, ["kick.wav"]);
        // All can be written anew.
        fs::write(folder.join("kick.wav.asd0"), "new").unwrap();
        mounted.stop();
    }
}
