//! Connections over pipes in memory.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::control::events::{Event, Events, LibraryChanged};
use crate::control::methods::{TaskKind, TaskProgress};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, DuplexStream};

/// Echoes, counts, panics or waits, as asked.
#[derive(Default)]
struct Echo {
    events: Arc<Events>,
}

impl Handler for Echo {
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
            "echo" => Ok(params),
            "panic" => panic!("as asked"),
            "wait" => {
                while !caller.gone() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(RpcError::new(rpc::Reason::Cancelled, "gone"))
            }
            "progress" => {
                for done in 0..3 {
                    let note = Notification::Progress(TaskProgress {
                        kind: TaskKind::Scan,
                        subject: String::new(),
                        done,
                        total: None,
                    });
                    caller
                        .tell(&note)
                        .map_err(|_| RpcError::new(rpc::Reason::Cancelled, "gone"))?;
                }
                Ok(json!(3))
            }
            _ => Err(RpcError::new(rpc::Reason::UnknownMethod, method)),
        }
    }
}

fn connect() -> (
    DuplexStream,
    watch::Sender<bool>,
    tokio::task::JoinHandle<()>,
) {
    let (here, stop, served, _) = connect_to(&Arc::default());
    (here, stop, served)
}

fn connect_to(
    events: &Arc<Events>,
) -> (
    DuplexStream,
    watch::Sender<bool>,
    tokio::task::JoinHandle<()>,
    Arc<Activity>,
) {
    let (here, there) = tokio::io::duplex(4096);
    let (stop, stopped) = watch::channel(false);
    let activity = Arc::<Activity>::default();
    let echo = Arc::new(Echo {
        events: Arc::clone(events),
    });
    let served = tokio::spawn(converse(there, echo, stopped, Arc::clone(&activity)));
    (here, stop, served, activity)
}

async fn subscribe_to(here: &mut DuplexStream, params: Value) -> Value {
    let line = rpc::request_line(77, "session.subscribe", &params);
    here.write_all(&line).await.unwrap();
    answers(here, 1).await.remove(0)
}

fn changed(count: u64) -> Event {
    Event::LibraryChanged(LibraryChanged {
        bases: vec!["x".repeat(200)],
        count,
    })
}

async fn answers(stream: &mut DuplexStream, count: usize) -> Vec<Value> {
    let mut reader = BufReader::new(stream);
    let mut all = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        tokio::time::timeout(Duration::from_secs(10), reader.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        all.push(serde_json::from_str(&line).unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_garbage_are_answered_on_one_connection() {
    let (mut here, _stop, _served) = connect();
    here.write_all(b"nonsense\n\n\xff\xfe\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":1}}\n")
        .await
        .unwrap();
    let got = answers(&mut here, 3).await;
    assert_eq!(got[0]["error"]["code"], -32700);
    assert_eq!(got[1]["error"]["code"], -32700);
    assert_eq!(
        got[2],
        json!({"jsonrpc": "2.0", "id": 1, "result": {"a": 1}})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_line_is_refused_and_the_connection_goes_on() {
    let (mut here, _stop, _served) = connect();
    let (mut reading, mut writing) = tokio::io::split(here);
    let sending = tokio::spawn(async move {
        let block = vec![b'x'; 1 << 16];
        for _ in 0..40 {
            writing.write_all(&block).await.unwrap();
        }
        writing
            .write_all(b"\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}\n")
            .await
            .unwrap();
        writing
    });
    let mut reader = BufReader::new(&mut reading);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    assert!(line.contains("1048576"), "{line}");
    line.clear();
    reader.read_line(&mut line).await.unwrap();
    assert!(line.contains("\"id\":2"), "{line}");
    here = reading.unsplit(sending.await.unwrap());
    drop(here);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer() {
    let (mut here, _stop, _served) = connect();
    here.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"panic\"}\n")
        .await
        .unwrap();
    let got = answers(&mut here, 1).await;
    assert_eq!(got[0]["error"]["code"], -32603);
    here.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"none\"}\n")
        .await
        .unwrap();
    assert_eq!(answers(&mut here, 1).await[0]["error"]["code"], -32601);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_sending_side_still_gets_its_answer() {
    let (mut here, _stop, served) = connect();
    here.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"progress\"}")
        .await
        .unwrap();
    here.shutdown().await.unwrap();
    let mut all = String::new();
    here.read_to_string(&mut all).await.unwrap();
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 4, "{all}");
    assert!(
        lines[0].contains("request.progress")
            && lines[0].contains("\"request\":1")
            && lines[3].contains("\"result\":3"),
        "{all}"
    );
    served.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_be_cancelled_and_is_answered() {
    let (mut here, _stop, _served) = connect();
    // More than are worked on at a time: the cancellation is taken all the same.
    for id in 0..AT_A_TIME {
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"wait\"}}\n");
        here.write_all(line.as_bytes()).await.unwrap();
    }
    here.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"method\":\"session.cancel\",\"params\":{\"request\":3}}\n")
        .await
        .unwrap();
    let got = answers(&mut here, 2).await;
    let of = |id: &Value| got.iter().find(|line| line["id"] == *id).unwrap();
    assert_eq!(of(&json!("c"))["result"], json!({}));
    assert_eq!(of(&json!(3))["error"]["data"]["reason"], "cancelled");
    here.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":99,\"method\":\"session.cancel\",\"params\":{\"request\":3}}\n")
        .await
        .unwrap();
    let got = answers(&mut here, 1).await;
    assert_eq!(got[0]["error"]["data"]["reason"], "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_daemon_ends_long_requests_and_the_connection() {
    let (mut here, stop, served) = connect();
    here.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\"}\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(true).unwrap();
    let got = answers(&mut here, 1).await;
    assert_eq!(got[0]["error"]["data"]["reason"], "cancelled");
    tokio::time::timeout(Duration::from_secs(10), served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_left_behind_at_the_end() {
    let (mut here, stop, served) = connect();
    for _ in 0..8 {
        let params = "x".repeat(2000);
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{{\"a\":\"{params}\"}}}}\n"
        );
        here.write_all(line.as_bytes()).await.unwrap();
    }
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(10), served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_whole_between_answers() {
    let events = Arc::<Events>::default();
    let (mut here, _stop, _served, _) = connect_to(&events);
    let seq = subscribe_to(&mut here, json!({"topics": ["library"]})).await["result"]["seq"]
        .as_u64()
        .unwrap();
    for count in 0..200 {
        events.publish(changed(count));
        if count % 10 == 0 {
            let line = rpc::request_line(count, "echo", &json!({}));
            here.write_all(&line).await.unwrap();
        }
    }
    let got = answers(&mut here, 220).await;
    let (told, answered): (Vec<&Value>, Vec<&Value>) =
        got.iter().partition(|line| line.get("method").is_some());
    assert_eq!(answered.len(), 20);
    let numbers = told
        .iter()
        .map(|line| line["params"]["seq"].as_u64().unwrap());
    assert!(numbers.eq(seq + 1..=seq + 200));

    here.write_all(&rpc::request_line(5, "session.unsubscribe", &json!({})))
        .await
        .unwrap();
    assert_eq!(answers(&mut here, 1).await[0]["result"], json!({}));
    events.publish(changed(1));
    here.write_all(&rpc::request_line(6, "echo", &json!({})))
        .await
        .unwrap();
    assert_eq!(answers(&mut here, 1).await[0]["id"], 6);
    assert_eq!(events.subscribers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_delays_nobody_and_hears_that_he_missed() {
    let events = Arc::<Events>::default();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut connection = connect_to(&events);
        subscribe_to(&mut connection.0, json!({})).await;
        slow.push(connection);
    }
    let (mut fast, _stop, _served, _) = connect_to(&events);
    subscribe_to(&mut fast, json!({})).await;
    let mut fast = BufReader::new(fast);
    let mut line = String::new();
    for count in 0..5000_u64 {
        events.publish(changed(count));
        line.clear();
        let read = fast.read_line(&mut line);
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .unwrap()
            .unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["params"]["count"], count);
    }
    let got = answers(&mut slow[0].0, 30).await;
    let missed = got.iter().find(|line| line["method"] == "session.missed");
    let missed = &missed.unwrap()["params"];
    assert!(missed["count"].as_u64().unwrap() > 1000, "{missed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_leave_are_forgotten() {
    let events = Arc::<Events>::default();
    let (mut reading, _stop, left, activity) = connect_to(&events);
    let (mut stuck, _stop, leaving, _) = connect_to(&events);
    let refused = subscribe_to(&mut reading, json!({"topics": ["nonsense"]})).await;
    assert_eq!(refused["error"]["data"]["reason"], "invalidParameter");
    assert!(!activity.is_subscribed());
    subscribe_to(&mut reading, json!({})).await;
    // Again, in place of the first.
    subscribe_to(&mut reading, json!({"since": 1})).await;
    subscribe_to(&mut stuck, json!({})).await;
    assert!(activity.is_subscribed());
    assert_eq!(events.subscribers(), 2);
    (0..200).for_each(|count| events.publish(changed(count)));
    stuck.write_all(b"{\"jsonrpc\":").await.unwrap();
    drop((reading, stuck));
    for served in [left, leaving] {
        tokio::time::timeout(Duration::from_secs(10), served)
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(events.subscribers(), 0);
    assert!(!activity.is_subscribed());
}

#[test]
fn who_asks_and_does_not_read_holds_no_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (silent, _stop, _served) = connect();
        let (_unread, mut asking) = tokio::io::split(silent);
        let sending = tokio::spawn(async move {
            let params = json!({"a": "x".repeat(200)});
            loop {
                let line = rpc::request_line(1, "echo", &params);
                asking.write_all(&line).await.unwrap();
            }
        });
        // Until all that it may have waiting does wait.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (mut here, _stop, _served) = connect();
        here.write_all(&rpc::request_line(2, "echo", &json!({})))
            .await
            .unwrap();
        assert_eq!(answers(&mut here, 1).await[0]["id"], 2);
        sending.abort();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_events_pass_by_who_does_not_read() {
    let events = Arc::<Events>::default();
    let (mut asleep, _stop, _served, _) = connect_to(&events);
    subscribe_to(&mut asleep, json!({})).await;
    let publish = |subscribers: &str| {
        let begun = std::time::Instant::now();
        (0..1_000_000).for_each(|count| events.publish(changed(count)));
        println!("a million events to {subscribers}: {:?}", begun.elapsed());
        begun.elapsed()
    };
    let with = publish("one who does not read");
    let got = answers(&mut asleep, 60).await;
    // It may have been too slow at once, before the pipe was full.
    let missed = got.iter().filter(|line| line["method"] == "session.missed");
    let counts = missed.map(|line| line["params"]["count"].as_u64().unwrap());
    let missed: u64 = counts.sum();
    assert!(missed > 900_000, "{missed}");
    drop(asleep);
    let without = publish("nobody");
    // On a machine that has other things to do too.
    assert!(
        with < without * 5 + Duration::from_secs(1),
        "{with:?}, {without:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sends_only_garbage_is_told_and_closed() {
    let (here, _stop, served) = connect();
    let (mut reading, mut writing) = tokio::io::split(here);
    let sending =
        tokio::spawn(async move { while writing.write_all(b"nonsense\n").await.is_ok() {} });
    let mut all = String::new();
    reading.read_to_string(&mut all).await.unwrap();
    assert_eq!(all.lines().count(), MOST_GARBAGE as usize + 1);
    assert!(all.lines().last().unwrap().contains("tooMany"));
    tokio::time::timeout(Duration::from_secs(10), served)
        .await
        .unwrap()
        .unwrap();
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_for_one_request_at_a_time() {
    let (mut here, _stop, _served) = connect();
    let wait = rpc::request_line(1, "wait", &json!({}));
    here.write_all(&wait).await.unwrap();
    here.write_all(&wait).await.unwrap();
    let refused = answers(&mut here, 1).await.remove(0);
    assert_eq!(refused["error"]["data"]["reason"], "malformed");
    let cancel = rpc::request_line(2, "session.cancel", &json!({"request": 1}));
    here.write_all(&cancel).await.unwrap();
    let got = answers(&mut here, 2).await;
    assert!(got.iter().any(|line| line["id"] == 1), "{got:?}");
    // It is free again.
    here.write_all(&rpc::request_line(1, "echo", &json!({})))
        .await
        .unwrap();
    assert_eq!(answers(&mut here, 1).await[0]["result"], json!({}));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]

    /// Whatever comes, each line that is not empty gets one answer.
    #[test]
    fn any_bytes_are_answered(lines in proptest::collection::vec(hostile_line(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, _stop, _served) = connect();
            let (reading, mut writing) = tokio::io::split(here);
            let expected = lines.iter().filter(|line| !line.trim_ascii().is_empty()).count();
            let sending = tokio::spawn(async move {
                for line in lines {
                    writing.write_all(&line).await.unwrap();
                    writing.write_all(b"\n").await.unwrap();
                }
                writing.shutdown().await.unwrap();
            });
            let mut text = String::new();
            let mut reading = reading;
            let read = reading.read_to_string(&mut text);
            tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
            sending.await.unwrap();
            for line in text.lines() {
                let answer: Value = serde_json::from_str(line).unwrap();
                assert!(answer["error"]["code"].is_i64() || answer.get("result").is_some(), "{answer}");
            }
            assert_eq!(text.lines().count(), expected);
        });
    }
}

/// Lines like those of a client, and worse.
fn hostile_line() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let bytes = prop::collection::vec(any::<u8>(), 0..200)
        .prop_map(|bytes| bytes.into_iter().filter(|byte| *byte != b'\n').collect());
    let id = prop::sample::select(vec![
        "1",
        "-1",
        "1.5",
        "1e400",
        "null",
        "true",
        "{}",
        "[]",
        "\"a\"",
        "\"\\u0000\"",
        "18446744073709551614",
        "99999999999999999999",
        "\"\\ud800\"",
    ]);
    let method = prop::sample::select(vec![
        "\"echo\"",
        "\"session.cancel\"",
        "\"session.subscribe\"",
        "\"session.hello\"",
        "7",
        "null",
        "\"\"",
    ]);
    let params = prop::sample::select(vec![
        "{}",
        "[]",
        "null",
        "7",
        "{\"request\":{}}",
        "{\"topics\":[1]}",
        "{\"since\":-1}",
        "{\"protocols\":[]}",
        "{\"protocols\":7}",
        "{\"a\":[[[[[[[[1]]]]]]]]}",
        "{\"a\":1,\"a\":2}",
        "{\"a\"",
    ]);
    let request = (id, method, params).prop_map(|(id, method, params)| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method},\"params\":{params}}}")
            .into_bytes()
    });
    prop_oneof![bytes, request]
}
