//! The client against a daemon that a test plays.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use super::*;
use crate::control::connections::Activity;
use crate::control::events::{Event, Events, LibraryChanged};
use crate::control::methods::{
    MediaRename, MediaScan, Notification, RenameParams, ScanParams, SessionTask, TaskKind,
    TaskParams,
};
use crate::control::server::converse;
use crate::control::{Caller, rpc};

/// A daemon that says this, whatever it is asked, and leaves.
async fn client(answer: &str) -> (Client, DuplexStream) {
    let (here, mut there) = tokio::io::duplex(1 << 16);
    there.write_all(answer.as_bytes()).await.unwrap();
    (Client::over(here), there)
}

async fn hello(answer: &str) -> Result<Hello, ClientError> {
    let (client, mut there) = client(answer).await;
    // It hears the question, or the client might ask nobody.
    let call = client.start::<SessionHello>(&HelloParams::default()).await;
    there.shutdown().await.unwrap();
    call?.answer().await
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    assert!(Client::connect(&path, "test").await.unwrap().is_none());
    // What a daemon that died has left there; a pipe of Windows ends with its process.
    #[cfg(unix)]
    {
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Client::connect(&path, "test").await.unwrap().is_none());
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Client::connect(&file, "test").await.unwrap().is_none());
}

#[tokio::test]
async fn a_daemon_that_goes_or_babbles_is_an_error() {
    assert!(matches!(hello("").await, Err(ClientError::Gone { .. })));
    assert!(matches!(
        hello("HTTP/1.1 400\n").await,
        Err(ClientError::NotUnderstood { .. } | ClientError::Gone { .. })
    ));
    let (client, mut there) = client("").await;
    let call = client
        .start::<SessionHello>(&HelloParams::default())
        .await
        .unwrap();
    there
        .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":7}\n")
        .await
        .unwrap();
    assert!(matches!(
        call.answer().await,
        Err(ClientError::NotUnderstood { .. })
    ));
    let call = client
        .start::<SessionHello>(&HelloParams::default())
        .await
        .unwrap();
    let closed = RpcError::new(Reason::TooMany, "too many");
    there
        .write_all(&rpc::error_line(closed.clone()))
        .await
        .unwrap();
    match call.answer().await {
        Err(ClientError::Refused(error)) => assert_eq!(error, closed),
        other => panic!("{other:?}"),
    }
    // From then on as well.
    let late = client.call::<SessionHello>(&HelloParams::default()).await;
    assert!(matches!(late, Err(ClientError::Refused(_))));
}

#[tokio::test]
async fn answers_are_found_between_what_is_told() {
    let (client, mut there) = client("").await;
    let call = client
        .start::<SessionHello>(&HelloParams::default())
        .await
        .unwrap();
    let text = concat!(
        r#"{"jsonrpc":"2.0","method":"of.aNewerDaemon","params":{}}"#,
        "\n",
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        "\n",
        r#"{"jsonrpc":"2.0","id":1,"result":{"version":"9","protocol":1,"pid":4}}"#,
        "\n"
    );
    there.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(call.answer().await.unwrap().version, "9");
}

#[tokio::test]
async fn a_request_that_no_daemon_would_take_is_not_sent() {
    let (client, _there) = client("").await;
    let task = "x".repeat(LONGEST_REQUEST);
    let refused = client.call::<SessionTask>(&TaskParams { task }).await;
    assert!(matches!(refused, Err(ClientError::TooLong { .. })));
}

/// Answers what the tests below ask; counts what is under way.
#[derive(Default)]
struct Daemon {
    events: Arc<Events>,
    under_way: AtomicUsize,
}

impl Handler for Daemon {
    fn events(&self) -> Option<Arc<Events>> {
        Some(Arc::clone(&self.events))
    }

    fn handle(
        &self,
        method: &str,
        params: Value,
        caller: &mut dyn Caller,
    ) -> Result<Value, RpcError> {
        match method {
            "session.task" => Ok(json!({"task": null})),
            "media.rename" => Err(RpcError::new(Reason::NotFound, params["name"].to_string())),
            // Tells progress until it is cancelled.
            "media.scan" => {
                self.under_way.fetch_add(1, Ordering::SeqCst);
                let mut done = 0;
                while !caller.gone() {
                    done += 1;
                    let _ = caller.tell(&Notification::Progress(TaskProgress {
                        kind: TaskKind::Scan,
                        subject: params["path"].to_string(),
                        done,
                        total: None,
                    }));
                    std::thread::sleep(Duration::from_millis(2));
                }
                self.under_way.fetch_sub(1, Ordering::SeqCst);
                Ok(json!({"files": done, "read": 0, "problems": 0}))
            }
            _ => Err(RpcError::new(Reason::UnknownMethod, method)),
        }
    }
}

/// A client of that daemon, over a connection or in this process.
fn connected(daemon: &Arc<Daemon>, over_a_connection: bool) -> Client {
    let handler = Arc::clone(daemon) as Arc<dyn Handler>;
    if !over_a_connection {
        return Client::here(handler);
    }
    let (here, there) = tokio::io::duplex(4096);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        converse(there, handler, stopped, Arc::<Activity>::default()).await;
        drop(stop);
    });
    Client::over(here)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_are_under_way_at_once_and_each_gets_its_answer() {
    let daemon = Arc::<Daemon>::default();
    let client = connected(&daemon, true);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..1000_u32 {
        let client = client.clone();
        asked.spawn(async move {
            let params = RenameParams {
                item: Default::default(),
                name: number.to_string(),
                intent: Default::default(),
            };
            let Err(ClientError::Refused(error)) = client.call::<MediaRename>(&params).await else {
                panic!("{number} was not answered");
            };
            assert_eq!(error.message, format!("{:?}", number.to_string()));
        });
    }
    assert_eq!(asked.join_all().await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_to_its_own_call_and_a_call_can_be_cancelled() {
    for over_a_connection in [true, false] {
        let daemon = Arc::<Daemon>::default();
        let client = connected(&daemon, over_a_connection);
        let scan = async |path: &str| {
            let params = ScanParams {
                path: Some(crate::control::WirePath(path.into())),
            };
            client.start::<MediaScan>(&params).await.unwrap()
        };
        let (mut one, mut other) = (scan("/one").await, scan("/other").await);
        for _ in 0..5 {
            assert_eq!(one.progress().await.unwrap().subject, "\"/one\"");
            assert_eq!(other.progress().await.unwrap().subject, "\"/other\"");
        }
        one.cancel().await;
        while one.progress().await.is_some() {}
        assert!(one.answer().await.unwrap().files >= 5);
        assert!(other.progress().await.is_some(), "the other goes on");
        // Nobody waits for it any more.
        drop(other);
        for _ in 0..500 {
            if daemon.under_way.load(Ordering::SeqCst) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(daemon.under_way.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_heard_and_taken_up_after_a_new_connection() {
    let daemon = Arc::<Daemon>::default();
    let changed = |count| {
        daemon.events.publish(Event::LibraryChanged(LibraryChanged {
            bases: Vec::new(),
            count,
        }));
    };
    let client = connected(&daemon, true);
    let mut events = client.subscribe(&SubscribeParams::default()).await.unwrap();
    let instance = events.subscribed().instance.clone();
    assert!(events.subscribed().complete);
    changed(1);
    let heard = events.next().await.unwrap();
    assert!(matches!(
        heard.event,
        Some(Event::LibraryChanged(LibraryChanged { count: 1, .. }))
    ));
    drop((events, client));
    changed(2);
    let client = connected(&daemon, true);
    let again = |instance: &str| SubscribeParams {
        since: Some(heard.seq),
        instance: Some(instance.to_owned()),
        topics: None,
    };
    let mut events = client.subscribe(&again(&instance)).await.unwrap();
    assert!(events.subscribed().complete);
    assert_eq!(events.next().await.unwrap().seq, heard.seq + 1);
    // Of another daemon: told at once, and in the order of events.
    let mut lost = client.subscribe(&again("another")).await.unwrap();
    assert!(!lost.subscribed().complete);
    assert!(matches!(
        lost.next().await.unwrap().event,
        Some(Event::Missed(_))
    ));
    assert!(
        events.next().await.is_err(),
        "the later one has taken its place"
    );
    drop(events);
    changed(3);
    assert!(matches!(
        lost.next().await.unwrap().event,
        Some(Event::LibraryChanged(_))
    ));
    drop(lost);
    for _ in 0..500 {
        if daemon.events.subscribers() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(daemon.events.subscribers(), 0);
    let here = connected(&daemon, false);
    assert!(here.subscribe(&SubscribeParams::default()).await.is_err());
}

#[tokio::test]
async fn a_daemon_without_negotiation_is_told_by_what_it_speaks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    for (protocol, expected) in [
        (OLDEST_PROTOCOL - 1, Reason::DaemonTooOld),
        (PROTOCOL + 1, Reason::ClientTooOld),
    ] {
        let listener = endpoint::Listener::bind(&path).unwrap();
        let daemon = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut String::new()).await.unwrap();
            let hello = json!({"version": "0.0.1", "protocol": protocol, "pid": 1});
            let line = rpc::answer_line(&json!(1), Ok(hello));
            stream.write_all(&line).await.unwrap();
        });
        match Client::connect(&path, "test").await {
            Err(ClientError::Refused(error)) => assert_eq!(error.reason, expected),
            other => panic!("{:?}", other.map(|found| found.map(|(_, hello)| hello))),
        }
        daemon.await.unwrap();
    }
}
