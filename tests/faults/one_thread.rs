//! The mode in which `scripts/one-thread` runs tests like these once more: a mount that takes one request at a time, and reads
//! nothing by itself, as on systems other than Linux. Whatever waited in the thread that takes requests would hold up all
//! others there. Here only that the mode is what it says.

use crate::support::{Home, show};

/// Threads that take requests, and is the kernel asked to read by itself.
fn of_daemon(one_thread: bool) -> (usize, bool) {
    let home = Home::new();
    let mut mount = home.command(["mount", "--background", "--"]);
    mount.arg(home.mount_point());
    mount.env_remove("MEDIAFS_TEST_ONE_THREAD");
    if one_thread {
        mount.env("MEDIAFS_TEST_ONE_THREAD", "1");
    }
    let mounted = mount.output().unwrap();
    assert!(mounted.status.success(), "{}", show(&mounted));
    let status = home.json(["status"]);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", status["pid"])).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    // As the library names them, with a number.
    let is_dispatch = |name: &String| {
        let number = name.trim_end().strip_prefix("fuser-");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let dispatch = names.flatten().filter(is_dispatch).count();
    home.run(["unmount"]);
    let note = status["mount"]["passthroughNote"].clone();
    (dispatch, note != "off: not asked for")
}

#[test]
fn the_mode_of_other_systems_has_one_thread_and_no_passthrough() {
    assert_eq!(of_daemon(true), (1, false));
    assert_eq!(of_daemon(false), (4, true));
}
