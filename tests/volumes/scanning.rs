//! Scans in the background: they are tasks, and one that is ended by hand stays ended until somebody asks.

use std::time::Duration;

use serde_json::Value;

use crate::bench::*;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

const SOUNDS: usize = 400;

fn tasks(home: &Home, all: bool) -> Vec<Value> {
    let words: &[&str] = if all { &["tasks", "--all"] } else { &["tasks"] };
    let tasks = home.json(words.iter().copied());
    let tasks = tasks.as_array().unwrap().iter();
    tasks
        .filter(|task| task["kind"] == "scan")
        .cloned()
        .collect()
}

#[test]
fn a_scan_that_is_cancelled_stays_cancelled_until_one_is_asked_for() {
    let home = Home::new();
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, u32::try_from(SOUNDS).unwrap(), 100);
    // Nothing of it is in memory.
    red.unmount().unwrap();
    red.mount(&at);
    red.slow(Duration::from_millis(40), 1 << 20);
    let mounted = mount(&home, &at);
    let mut task = Value::Null;
    wait_until(DONE, "the scan is a task with its progress", || {
        task = tasks(&home, false).pop().unwrap_or_default();
        task["files"]["done"].as_u64().is_some_and(|done| done > 0)
    });
    assert_eq!(task["name"], "red", "{task:#}");
    assert_eq!(task["state"], "running");
    let id = task["id"].as_str().unwrap().to_owned();
    home.run(["cancel", &id]);
    let ended = |id: &str| tasks(&home, true).into_iter().find(|task| task["id"] == id);
    wait_until(DONE, "it has ended", || {
        ended(&id).is_some_and(|task| task["state"] == "cancelled")
    });
    let reason = ended(&id).unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("a scan is asked for"), "{reason}");
    // It is at rest, with what it had.
    let before = home.items().len();
    assert!(before < SOUNDS, "it had found all");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(tasks(&home, false), Vec::<Value>::new());
    assert_eq!(home.items().len(), before);
    let again = outcome(&home, ["cancel", &id]);
    assert_eq!(again.status.code(), Some(1));

    red.heal();
    home.run(["scan"]);
    assert_eq!(home.items().len(), SOUNDS);
    mounted.stop();
}
