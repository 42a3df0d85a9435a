//! Clients that mean harm, or are broken: each is told so, and nobody else notices.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{PATIENCE, Socket};
use crate::support::{Home, wait_until};

fn memory_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn hostile_clients_harm_nobody() {
    let home = Home::new();
    let drive = home.mount();
    let mut good = Socket::connect(&home);
    good.call("drive.status", &json!({}));
    let before = memory_of(drive.pid());

    // A thousand requests before the first answer is read.
    let mut many = Socket::connect(&home);
    let mut text = String::new();
    for id in 0..1000 {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "session.task", "params": {"task": id.to_string()}});
        text.push_str(&format!("{request}\n"));
    }
    let mut writer = many.writer.try_clone().unwrap();
    let sending = std::thread::spawn(move || writer.write_all(text.as_bytes()).unwrap());
    let answered: BTreeSet<u64> = (0..1000)
        .map(|_| {
            let answer = many.line();
            assert_eq!(answer["result"], json!({"task": null}));
            answer["id"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(answered.len(), 1000);
    sending.join().unwrap();

    // Every kind of garbage is an error, and the connection goes on.
    let garbage: &[&[u8]] = &[
        b"\0\0\0",
        b"\xff\xfe\xfd",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\0b\"}",
        b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.tasks\"}]",
        b"{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"session.tasks\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"session.tasks\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":99999999999999999999999999,\"method\":\"session.tasks\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"media.search\",\"params\":{\"limit\":-1}}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"media.search\",\"params\":{\"limit\":1e300}}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"media.get\",\"params\":{\"path\":\"/\\u0000\"}}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"media.import\",\"params\":{\"paths\":[\"\\u0000\"]}}",
        b"null",
        b"\"text\"",
    ];
    let mut hostile = Socket::connect(&home);
    for line in garbage {
        hostile.writer.write_all(line).unwrap();
        hostile.writer.write_all(b"\n").unwrap();
        let answer = hostile.line();
        assert!(answer["error"]["message"].is_string(), "{answer}");
        assert_ne!(answer["error"]["data"]["reason"], "internal", "{answer}");
    }
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.task\",\"params\":{{\"task\":{}1{}}}}}\n",
        "[".repeat(500_000),
        "]".repeat(500_000)
    );
    hostile.writer.write_all(deep.as_bytes()).unwrap();
    assert_eq!(hostile.line()["error"]["code"], -32700);
    assert!(hostile.call("session.tasks", &json!({}))["result"].is_object());

    // Nothing but garbage: told, and closed.
    let mut babbler = Socket::connect(&home);
    let mut writer = babbler.writer.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        // It is closed under our hands.
        while writer.write_all(b"GET / HTTP/1.1\n").is_ok() {}
    });
    let mut last = String::new();
    let mut lines = 0;
    loop {
        let mut line = String::new();
        match babbler.reader.read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => (last, lines) = (line, lines + 1),
        }
    }
    sending.join().unwrap();
    assert!(last.contains("\"tooMany\""), "{lines} lines, then {last:?}");
    assert_eq!(lines, 1001);

    // Half lines, long lines and connections by the hundred, none of which reads.
    let half: Vec<UnixStream> = (0..300)
        .filter_map(|_| {
            let mut stream = UnixStream::connect(home.home().join("socket")).ok()?;
            let _ = stream.set_write_timeout(Some(Duration::from_millis(50)));
            let _ = stream.write_all(&vec![b'x'; 100_000]);
            Some(stream)
        })
        .collect();
    assert!(half.len() > 100);
    let begun = Instant::now();
    let mut late = Socket::connect(&home);
    assert!(late.call("drive.status", &json!({}))["result"].is_object());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    drop(half);
    // Those that are told of events are more, and not closed: what they hold is bounded together.
    let subscribed: Vec<Socket> = (0..400)
        .map(|_| {
            let mut socket = Socket::connect(&home);
            socket.call("session.subscribe", &json!({}));
            let half = format!("\"{}", "x".repeat(1_000_000));
            socket.writer.write_all(half.as_bytes()).unwrap();
            socket
        })
        .collect();
    let mut late = Socket::connect(&home);
    assert!(late.call("drive.status", &json!({}))["result"].is_object());
    let long = json!({"task": "x".repeat(100_000)});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "session.task", "params": long});
    writeln!(late.writer, "{request}").unwrap();
    assert_eq!(late.line()["error"]["data"]["reason"], "tooMany");
    let held = memory_of(drive.pid());
    println!("memory with 400 MB of half lines: {held} kB");
    assert!(held < before + 200_000, "{before} kB became {held} kB");
    drop(subscribed);
    wait_until(PATIENCE, "long requests to be taken again", || {
        late.call("session.task", &long)["result"].is_object()
    });
    let after = memory_of(drive.pid());
    println!("memory before and after: {before} kB, {after} kB");
    assert!(after < before + 150_000, "{before} kB became {after} kB");
    drive.stop();
}

#[test]
fn a_flood_is_slowed_and_answered() {
    let home = Home::new();
    let _drive = home.mount();
    let mut socket = Socket::connect(&home);
    let mut writer = socket.writer.try_clone().unwrap();
    let count = 12_000_u32;
    let begun = Instant::now();
    let sending = std::thread::spawn(move || {
        for id in 0..count {
            let request = json!({"jsonrpc": "2.0", "id": id, "method": "session.unsubscribe"});
            writeln!(writer, "{request}").unwrap();
        }
    });
    for _ in 0..count {
        assert_eq!(socket.line()["result"], json!({}));
    }
    sending.join().unwrap();
    let took = begun.elapsed();
    println!("{count} requests took {took:?}");
    assert!(
        took > Duration::from_secs(1),
        "5,000 a second after the first 5,000: {took:?}"
    );
    // Two with one id at a time.
    let import = json!({"jsonrpc": "2.0", "id": "a", "method": "media.scan", "params": {}});
    let twice = format!("{import}\n{import}\n");
    socket.writer.write_all(twice.as_bytes()).unwrap();
    let answers = [socket.line(), socket.line()];
    assert!(
        answers.iter().all(|answer| answer["id"] == "a"),
        "{answers:?}"
    );
}
