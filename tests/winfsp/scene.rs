//! A home, and a daemon of it that mounts its drive for the stand-in.

use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mediafs::config::Config;
use mediafs::daemon::{self, DaemonError, DaemonOptions};
use serde_json::Value;

use crate::host::{Driver, driver};
use crate::platform::mount::Transport;
use crate::support::Home;

/// What becomes true by itself, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A mounted home.
pub(crate) struct Scene {
    pub(crate) home: Rc<Home>,
    driver: Option<Driver>,
    daemon: Option<JoinHandle<Result<(), Box<DaemonError>>>>,
}

impl std::ops::Deref for Scene {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        self.driver.as_ref().unwrap()
    }
}

impl Scene {
    /// Mounts it, with its library, and with a project in `Song`.
    pub(crate) fn mounted(home: impl Into<Rc<Home>>) -> Self {
        let home = home.into();
        let song = home.path("Song");
        if !song.exists() {
            std::fs::create_dir(&song).unwrap();
        }
        let place = mediafs::home::Home::locate(Some(&home.home())).unwrap();
        let config = Config::load(place.config_file()).unwrap();
        place.prepare(&config.trusted).unwrap();
        let options = DaemonOptions {
            home: place,
            config,
            mountpoint: home.path("Loophole"),
            libraries: vec![home.library()],
            projects: vec![song],
            passthrough: false,
            transport: Transport::of_this_system(),
        };
        let (ready, is_ready) = mpsc::channel();
        let daemon = std::thread::spawn(move || {
            driver::with_driver(|| {
                daemon::run(&options, |_, warnings| {
                    assert!(warnings.is_empty(), "{warnings:?}");
                    let _ = ready.send(Driver::of_this_thread());
                    Ok(())
                })
                .map_err(Box::new)
            })
        });
        let driver = match is_ready.recv_timeout(SOON) {
            Ok(driver) => driver,
            Err(_) => panic!("it was not mounted: {:?}", daemon.join()),
        };
        Self {
            home,
            driver: Some(driver),
            daemon: Some(daemon),
        }
    }

    /// Ends the daemon, which must end by itself, without error; how long it took.
    pub(crate) fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.home.run(["unmount"]);
        let daemon = self.daemon.take().unwrap();
        while !daemon.is_finished() {
            assert!(begun.elapsed() < SOON, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon.join().unwrap().unwrap();
        begun.elapsed()
    }

    /// The item of a file, once its facts are known.
    pub(crate) fn item(&self, path: &str) -> Value {
        let path = path.replace('/', "\\");
        let begun = Instant::now();
        loop {
            let items = self.home.items();
            let found = items.iter().find(|item| {
                let place = item["resolvedPath"].as_str();
                place.is_some_and(|place| place.ends_with(&path)) && !item["format"].is_null()
            });
            if let Some(item) = found {
                return item.clone();
            }
            assert!(begun.elapsed() < SOON, "no item {path} among {items:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            if std::thread::panicking() {
                // What it says is no news by then.
                let _ = self.home.command(["unmount"]).output();
            } else {
                self.stop();
            }
        }
    }
}

/// The path of an item on the drive, as Windows asks for it.
pub(crate) fn path_of(item: &Value) -> String {
    let path = item["path"].as_str().unwrap().replace('/', "\\");
    format!("\\{path}")
}
