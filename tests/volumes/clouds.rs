//! Folders on this computer's disk that the user says a sync client manages.

use std::path::Path;

use crate::bench::*;
use crate::dead::Share;
use crate::support::sounds::wav;
use crate::support::{Home, wait_until};

fn declare(home: &Home, provider: &str) {
    declare_at(home, &home.library(), provider);
}

pub(crate) fn declare_at(home: &Home, path: &Path, provider: &str) {
    let text = format!(
        "[[cloud]]\npath = \"{}\"\nprovider = \"{provider}\"\n",
        path.display()
    );
    std::fs::write(home.home().join("config.toml"), text).unwrap();
}

#[test]
fn what_is_here_is_served_and_what_is_with_the_provider_is_not_read() {
    let home = Home::new();
    declare(&home, "nextcloud");
    std::fs::write(home.library().join("a.wav"), wav(500, 1)).unwrap();
    std::fs::write(home.library().join("b.wav.nextcloud"), b" ").unwrap();
    let mounted = home.mount();
    wait_until(DONE, "both", || home.items().len() == 2);
    let ids = ids(&home);
    let a = wait_for_item(&home, &ids["a.wav"], "external-online", "partial");
    assert_eq!(copied(&home, &a).unwrap(), wav(500, 1));
    let b = ids.iter().find(|(name, _)| name.starts_with("b.wav"));
    let b = home.json(["show", b.unwrap().1]);
    assert_eq!(b["availability"], "remote-fetching", "{b:#}");
    assert!(copied(&home, &b).is_err());
    let volume = &known(&home)[0];
    assert_eq!(volume["kind"], "cloud", "{volume:#}");
    assert_eq!(volume["provider"], "nextcloud");
    assert_eq!(volume["state"], "online");
    assert_eq!(volume["path"], home.library().to_str().unwrap());
    let there = home.json(["whereis", &ids["a.wav"]]);
    assert_eq!(there["storage"]["backend"], "cloud", "{there:#}");
    let output = outcome(&home, ["eject", "library"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot be ejected"), "{errors}");
    assert_eq!(known(&home)[0]["state"], "online");
    mounted.stop();
}

#[test]
fn a_library_that_becomes_a_clouds_and_is_one_no_more_keeps_its_items() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(500, 1)).unwrap();
    let mounted = home.mount();
    home.wait_for_items(1);
    let before = ids(&home);
    let id = &before["a.wav"];
    home.run(["tag", id, "mine"]);
    mounted.stop();

    declare(&home, "dropbox");
    let mounted = home.mount();
    let item = wait_for_item(&home, id, "external-online", "partial");
    home.run(["scan"]);
    assert_eq!(ids(&home), before);
    assert_eq!(copied(&home, &item).unwrap(), wav(500, 1));
    assert!(home.on_drive("library/library/a.wav").exists());
    assert_eq!(known(&home)[0]["provider"], "dropbox");
    mounted.stop();

    std::fs::remove_file(home.home().join("config.toml")).unwrap();
    let mounted = home.mount();
    wait_for_item(&home, id, "local", "bytes");
    home.run(["scan"]);
    assert_eq!(ids(&home), before);
    assert_eq!(home.json(["show", id])["tags"][0]["name"], "mine");
    mounted.stop();
}

#[test]
fn a_cloud_that_is_a_mount_of_its_own_is_there_while_that_is() {
    let home = Home::new();
    let cloud = Share::new(&home);
    let at = cloud.at.clone();
    fill(&at, 2, 500);
    declare_at(&home, &at, "rclone");
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let before = ids(&home);
    let one = wait_for_item(&home, &before["1.wav"], "external-online", "partial");
    drop(cloud);
    wait_for_state(&home, "absent");
    home.run(["scan"]);
    let offline = |why: &str| {
        assert_eq!(ids(&home), before, "{why}");
        for id in before.values() {
            let item = home.json(["show", id]);
            assert_eq!(item["availability"], "external-offline", "{why}: {item:#}");
        }
    };
    offline("its empty mount point is no deletion");
    mounted.stop();
    let mounted = mount(&home, &at);
    home.run(["scan"]);
    wait_for_state(&home, "absent");
    offline("nor is it after a start");
    let _cloud = Share::new(&home);
    wait_for_state(&home, "online");
    wait_until(DONE, "its bytes", || {
        copied(&home, &one).is_ok_and(|bytes| bytes == wav(501, 1))
    });
    mounted.stop();
}

#[test]
fn a_cloud_may_hold_mounts() {
    let home = Home::new();
    let inner = Share::new(&home);
    fill(&inner.at, 2, 500);
    let above = inner.at.parent().unwrap();
    declare_at(&home, above, "generic");
    let mounted = mount(&home, &inner.at);
    home.wait_for_items(2);
    let one = home.item("Samples/1.wav");
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}
