//! A home without a daemon, asked by the protocol's methods in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mediafs::config::Config;
use mediafs::control::methods::Notification;
use mediafs::control::{Caller, CallerGone, Handler, RpcError};
use mediafs::home::{Home, Purpose};
use serde_json::{Value, json};

use super::support::sounds::wav;

pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    service: Option<Arc<dyn Handler>>,
}

struct Quiet;

impl Caller for Quiet {
    fn tell(&mut self, _: &Notification) -> Result<(), CallerGone> {
        Ok(())
    }

    fn gone(&self) -> bool {
        false
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(folder.path().join("sounds")).unwrap();
        let mut desk = Self {
            folder,
            service: None,
        };
        desk.open();
        desk
    }

    fn open(&mut self) {
        let home = Home::locate(Some(&self.folder.path().join("home"))).unwrap();
        let config = Config::defaults().unwrap();
        home.prepare(&config.trusted).unwrap();
        let lock = home.lock(Purpose::Command, Duration::from_secs(5)).unwrap();
        let service = mediafs::daemon::service_without_daemon(&home, lock, &config).unwrap();
        self.service = Some(service);
    }

    /// Ends, and begins again with what is on the disk.
    pub(crate) fn restart(&mut self) {
        self.service = None;
        self.open();
    }

    pub(crate) fn ask(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.service
            .as_ref()
            .unwrap()
            .handle(method, params, &mut Quiet)
    }

    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        match self.ask(method, params.clone()) {
            Ok(value) => value,
            Err(error) => panic!("{method} {params}: {error:?}"),
        }
    }

    /// A file of noise outside of all libraries.
    pub(crate) fn sound(&self, name: &str, frames: u32, seed: u32) -> PathBuf {
        let path = self.folder.path().join("sounds").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wav(frames, seed)).unwrap();
        path
    }

    /// Imports a file where it is; gives the id.
    pub(crate) fn import(&self, path: &Path) -> String {
        let answer = self.call("media.import", json!({"paths": [path]}));
        assert_eq!(answer["items"][0]["outcome"], "imported", "{answer}");
        answer["items"][0]["mediaId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn get(&self, id: &str) -> Value {
        self.call("media.get", json!({"mediaId": id}))
    }

    /// Reverts an operation; gives the answer.
    pub(crate) fn revert(&self, operation: &Value) -> Value {
        self.call("history.revert", json!({"operation": operation}))
    }

    pub(crate) fn items(&self) -> Vec<Value> {
        let page = self.call("media.search", json!({"limit": 500}));
        page["items"].as_array().unwrap().clone()
    }
}

/// The number of the operation of an answer.
pub(crate) fn operation(answer: &Value) -> Value {
    let id = answer["operation"]["id"].clone();
    assert!(id.is_u64(), "no operation in {answer}");
    id
}

/// The reason of a refusal, and its message.
pub(crate) fn refusal(answer: Result<Value, RpcError>) -> (String, String) {
    let error = answer.expect_err("it is refused");
    let reason = serde_json::to_value(error.reason).unwrap();
    (reason.as_str().unwrap().to_owned(), error.message)
}
