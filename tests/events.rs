//! What a daemon tells without being asked: events over the control socket, `mediafs watch`, warnings, tasks.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::sounds::wav;
use support::{Home, MEDIAFS, show, wait_until};

/// How long an event may take to come, with slack for a loaded machine.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// A connection of a client.
struct Socket {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Socket {
    fn connect(home: &Home) -> Self {
        let writer = UnixStream::connect(home.home().join("socket")).unwrap();
        writer.set_read_timeout(Some(TOLD_WITHIN)).unwrap();
        Self {
            reader: BufReader::new(writer.try_clone().unwrap()),
            writer,
        }
    }

    fn subscribed(home: &Home, params: Value) -> Self {
        let mut socket = Self::connect(home);
        let answer = socket.call("session.subscribe", params);
        assert!(answer["result"]["seq"].is_u64(), "{answer}");
        socket
    }

    fn send(&mut self, method: &str, params: Value) {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        writeln!(self.writer, "{request}").unwrap();
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params);
        loop {
            let line = self.line();
            if line.get("id").is_some() {
                return line;
            }
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next event of that name for which it holds.
    fn event(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.line();
            if line["method"] == name && holds(&line["params"]) {
                return line["params"].clone();
            }
        }
    }
}

/// A running `mediafs watch`, ended with the test.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Returns when it is told of events, scans among them.
    fn begin(home: &Home, arguments: &[&str]) -> Self {
        let mut child = home
            .command(["watch"].iter().chain(arguments))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, received) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let watch = Self {
            child,
            lines: received,
        };
        wait_until(TOLD_WITHIN, "the watch to begin", || {
            home.run(["scan"]);
            watch.lines.try_recv().is_ok()
        });
        watch
    }

    fn line(&self, holds: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + TOLD_WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).expect("no such line");
            if holds(&line) {
                return line;
            }
        }
    }

    /// How it ended, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until(TOLD_WITHIN, "the watch to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let errors = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (status.unwrap().code(), errors)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sound(home: &Home, name: &str, seed: u32) -> String {
    let path = home.path(name);
    std::fs::write(&path, wav(1000, seed)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn changes_are_told_with_numbers_that_go_on() {
    let home = Home::new();
    let _drive = home.mount();
    let mut all = Socket::subscribed(&home, json!({}));
    let mut media = Socket::subscribed(&home, json!({"topics": ["media"]}));
    let file = sound(&home, "kick.wav", 1);
    home.run(["import", "--id", "kick", &file]);
    let told = media.event("media.changed", |params| params["mediaId"] == "kick");
    assert_eq!(told["what"], "content");
    assert_eq!(told["scope"], "library");
    home.run(["tag", "kick", "drum"]);
    let told = media.event("media.changed", |params| params["what"] == "details");
    assert_eq!(told["mediaId"], "kick");
    home.run(["remove", "kick"]);
    media.event("media.changed", |params| params["what"] == "removed");

    // Everything, in order. Only progress may be overtaken.
    let mut seen: Vec<(u64, String)> = Vec::new();
    while !seen.iter().any(|(_, what)| what == "removed") {
        let line = all.line();
        seen.push((
            line["params"]["seq"].as_u64().unwrap(),
            line["params"]["what"].as_str().unwrap_or("").to_owned(),
        ));
        assert!(line["params"]["at"].as_u64().unwrap() > 1_600_000_000_000);
    }
    assert!(seen.is_sorted_by(|(a, _), (b, _)| a < b), "{seen:?}");
    // A second client that knows the first of them gets the others.
    let first = seen[0].0;
    let mut late = Socket::subscribed(&home, json!({"since": first}));
    let told = late.event("media.changed", |params| params["what"] == "removed");
    assert_eq!(told["seq"].as_u64(), seen.last().map(|(seq, _)| *seq));
    // One that knows an earlier daemon is told so.
    let mut lost = Socket::subscribed(&home, json!({"since": 5}));
    let missed = lost.line();
    assert_eq!(missed["method"], "session.missed");
    assert_eq!(missed["params"]["count"], Value::Null);

    let refused = all.call("session.subscribe", json!({"topics": ["weather"]}));
    assert_eq!(refused["error"]["data"]["reason"], "invalidParameter");
    assert_eq!(
        all.call("session.unsubscribe", json!({}))["result"],
        json!({})
    );
}

#[test]
fn a_scan_of_many_files_is_told_in_few_events() {
    const FILES: u32 = 600;
    let home = Home::new();
    let _drive = home.mount();
    let mut socket = Socket::subscribed(&home, json!({"topics": ["media", "library"]}));
    let folder = home.library().join("many");
    std::fs::create_dir(&folder).unwrap();
    for number in 1..=FILES {
        let file = folder.join(format!("{number}.wav"));
        std::fs::write(file, wav(20, number)).unwrap();
    }
    home.run(["scan"]);
    home.wait_for_items(FILES as usize);
    let (mut one_by_one, mut many, mut told) = (0, 0, 0);
    while told < u64::from(FILES) {
        let line = socket.line();
        match line["method"].as_str().unwrap() {
            "media.changed" => {
                one_by_one += 1;
                told += 1;
            }
            "library.changed" if line["params"]["count"] != 0 => {
                many += 1;
                told += line["params"]["count"].as_u64().unwrap();
                if many == 1 {
                    assert_eq!(line["params"]["bases"], json!(["library"]), "{line}");
                }
            }
            _ => {}
        }
    }
    assert!(many >= 1, "{one_by_one} events");
    assert!(
        one_by_one < FILES / 2,
        "{one_by_one} of {FILES} were told one by one"
    );
}

#[test]
fn hundreds_who_do_not_read_or_break_off_harm_nobody() {
    const SCANS: u64 = 600;
    let home = Home::new();
    let drive = home.mount();
    home.wait_for_items(0);
    let count_sockets = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", drive.pid())).unwrap();
        files
            .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
            .filter(|to| to.to_str().is_some_and(|to| to.starts_with("socket:")))
            .count()
    };
    let before = count_sockets();
    let begun = Instant::now();
    home.run(["status"]);
    let usual = begun.elapsed();

    let mut silent: Vec<Socket> = (0..500)
        .map(|_| Socket::subscribed(&home, json!({})))
        .collect();
    let mut reads = Socket::subscribed(&home, json!({"topics": ["library.scanned"]}));
    let mut asks = Socket::connect(&home);
    for number in 0..SCANS {
        asks.call("media.scan", json!({}));
        reads.event("library.scanned", |_| true);
        if number % 50 == 0 {
            let broken = &mut silent[usize::try_from(number / 50).unwrap()];
            broken.writer.write_all(b"\xff\n[]\n{\"jsonrpc\":").unwrap();
        }
    }
    // None of these may take a subscriber's connection away.
    let idle: Vec<Socket> = (0..200).map(|_| Socket::connect(&home)).collect();
    let begun = Instant::now();
    home.run(["status"]);
    let now = begun.elapsed();
    assert!(
        now < usual + Duration::from_secs(2),
        "status took {now:?}, and {usual:?} before"
    );
    // More was told than a socket holds, and all of it comes to who reads at last.
    let (mut scans, mut bytes) = (0, 0);
    let late = silent.last_mut().unwrap();
    while scans < SCANS {
        let line = late.line();
        bytes += line.to_string().len();
        scans += u64::from(line["method"] == "library.scanned");
    }
    assert!(bytes > 250_000, "{bytes} bytes are no more than fits");
    drop((silent, reads, asks, idle));
    wait_until(TOLD_WITHIN, "the connections to be closed", || {
        count_sockets() <= before
    });
}

#[test]
fn an_import_can_be_watched() {
    let home = Home::new();
    let drive = home.mount();
    let people = Watch::begin(&home, &[]);
    let program = Watch::begin(&home, &["--json", "--topics", "media.changed,task"]);
    let file = sound(&home, "snare.wav", 2);
    home.run(["import", "--id", "snare", &file]);
    let line = people.line(|line| line.contains("snare "));
    assert!(line.contains("Z  snare is new"), "{line}");
    let line = program.line(|line| line.contains("media.changed"));
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["params"]["mediaId"], "snare");
    assert!(event["params"]["seq"].is_u64());
    // Ctrl-C ends the one, the daemon's end the other.
    let pid = rustix::process::Pid::from_child(&people.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(people.end(), (Some(130), String::new()));
    drive.stop();
    let (status, errors) = program.end();
    assert_eq!(status, Some(1));
    assert!(errors.contains("the daemon has ended"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    // Without a daemon there is nothing to watch.
    let output = home.command(["watch"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
}

#[test]
fn a_watch_ends_in_time_and_with_its_reader() {
    let home = Home::new();
    let _drive = home.mount();
    let begun = Instant::now();
    home.run(["watch", "--for", "1"]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let output = home.command(["watch", "--topics", "weather"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("no topic \"weather\""),
        "{}",
        show(&output)
    );

    // Its reader leaves after a line, and nothing happens any more.
    let mut reader = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" --home \"$1\" watch | head -n 1", MEDIAFS])
        .arg(home.home())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (done, line) = channel();
    let mut stdout = BufReader::new(reader.stdout.take().unwrap());
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = stdout.read_line(&mut line);
        let _ = done.send(line);
    });
    wait_until(TOLD_WITHIN, "a line", || {
        home.run(["scan"]);
        line.try_recv().is_ok()
    });
    let mut status = None;
    wait_until(TOLD_WITHIN, "the watch to end without a reader", || {
        status = reader.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
    let errors = std::io::read_to_string(reader.stderr.take().unwrap()).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn warnings_are_listed_with_an_id_that_stays() {
    let home = Home::new();
    assert_eq!(home.run(["warnings"]), "all is well\n");
    assert_eq!(home.json(["warnings"]), json!([]));
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    let drive = home.mount();
    home.wait_for_items(1);
    assert_eq!(home.json(["warnings"]), json!([]));
    drive.stop();

    // A library inside another one is refused.
    let inner = home.library().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let mount = || {
        home.mount_with(&[
            "--library".as_ref(),
            home.library().as_os_str(),
            "--library".as_ref(),
            inner.as_os_str(),
        ])
    };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let drive = mount();
        let warnings = home.json(["warnings"]);
        let warning = &warnings[0];
        let text = warning["text"].as_str().unwrap();
        assert!(text.contains("inner was not added"), "{warnings}");
        assert_eq!(warning["severity"], "warning");
        assert!(warning["since"].as_u64().unwrap() > 0);
        ids.push(warning["id"].clone());
        assert!(home.run(["warnings"]).starts_with("warning: the library"));
        let status = home.json(["status"]);
        assert!(
            status["warnings"][0].as_str().unwrap().starts_with(text),
            "{status}"
        );
        drive.stop();
    }
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn an_import_is_a_task_that_can_be_cancelled() {
    let home = Home::new();
    let _drive = home.mount();
    assert_eq!(home.run(["tasks"]), "nothing is going on\n");
    let output = home.command(["cancel", "work-99"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let folder = home.path("many");
    std::fs::create_dir(&folder).unwrap();
    for number in 1..=3000 {
        std::fs::write(folder.join(format!("{number}.wav")), wav(500, number)).unwrap();
    }
    let mut told = Socket::subscribed(&home, json!({"topics": ["task"]}));
    let mut canceller = Socket::connect(&home);
    let import = home
        .command(["import", folder.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let task = told.event("task.progress", |task| task["kind"] == "import");
    let listed = canceller.call("session.tasks", json!({}));
    assert_eq!(listed["result"]["tasks"][0]["id"], task["id"], "{listed}");
    assert_eq!(
        canceller.call("session.cancel", json!({"task": task["id"]}))["result"],
        json!({})
    );
    let ended = told.event("task.ended", |ended| ended["id"] == task["id"]);
    assert_eq!(ended["state"], "cancelled");
    let output = import.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", show(&output));
    assert_eq!(home.json(["tasks"]), json!([]));
}

#[test]
fn commands_without_a_daemon_say_what_they_can() {
    let home = Home::new();
    assert_eq!(home.json(["tasks"]), json!([]));
    let output = home.command(["cancel", "work-1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
}
