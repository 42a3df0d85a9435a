//! A program as a unit of systemd names it, and back.
//!
//! A unit is lines of text. The words of `ExecStart=` and `Environment=` are quoted, with escapes as in C; beside those,
//! systemd replaces `%` and a letter in all of them, and `$NAME` in the words of a command. systemd.service(5) and
//! systemd.syntax(7) say so.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::{AutostartError, Start};

/// What begins a unit of ours.
const HEAD: &str =
    "# Written by `mediafs autostart enable`, taken away by `mediafs autostart disable`.\n";
const BEFORE_ENVIRONMENT: &str = "Environment=";
const BEFORE_COMMAND: &str = "ExecStart=";
/// In front of a command in which `$` is no more than a sign (systemd 244 and later).
const AS_IT_IS: &str = ":";

/// The text of the unit.
///
/// The program leaves what it has started running and ends when that is ready (`forking`), and what it has started ends
/// its own processes when it is told to end (`KillMode=process`).
pub(super) fn written(description: &str, start: &Start) -> Result<String, AutostartError> {
    let program = start.program.as_os_str().as_bytes();
    let unwritable = |what: &[u8], why| AutostartError::Unwritable {
        what: String::from_utf8_lossy(what).into_owned(),
        why,
    };
    // It refuses those even where they are escaped.
    if program
        .iter()
        .any(|byte| byte.is_ascii_control() || matches!(byte, b'"' | b'\'' | b'\\'))
    {
        return Err(unwritable(
            program,
            "systemd starts no program whose path has quotes, backslashes or control characters; put mediafs elsewhere",
        ));
    }
    let mut environment = String::new();
    for (name, value) in &start.environment {
        let value = value.as_bytes();
        if std::str::from_utf8(value).is_err() || value.iter().any(u8::is_ascii_control) {
            return Err(unwritable(
                value,
                "systemd passes on no variable that is not UTF-8 or has control characters",
            ));
        }
        let assignment = [name.as_bytes(), b"=", value].concat();
        environment += &format!("{BEFORE_ENVIRONMENT}{}\n", quoted(&assignment));
    }
    let words =
        || std::iter::once(program).chain(start.arguments.iter().map(|word| word.as_bytes()));
    if let Some(word) = words().find(|word| word.contains(&0)) {
        return Err(unwritable(word, "it has a zero byte"));
    }
    let literally = if words().any(|word| word.contains(&b'$')) {
        AS_IT_IS
    } else {
        ""
    };
    let command: Vec<String> = words().map(quoted).collect();
    Ok(format!(
        "{HEAD}[Unit]\nDescription={description}\n\n[Service]\nType=forking\n{environment}\
         {BEFORE_COMMAND}{literally}{}\nKillMode=process\n\n[Install]\nWantedBy=default.target\n",
        command.join(" ")
    ))
}

/// Is it from here, in whatever form?
pub(super) fn is_ours(text: &[u8]) -> bool {
    text.starts_with(HEAD.as_bytes())
}

/// What a unit starts, if it is one of [`written`].
pub(super) fn read(description: &str, text: &[u8]) -> Option<Start> {
    let text = std::str::from_utf8(text).ok()?;
    let mut environment = Vec::new();
    let mut command = None;
    for line in text.lines() {
        if let Some(assignment) = line.strip_prefix(BEFORE_ENVIRONMENT) {
            let [assignment] = <[Vec<u8>; 1]>::try_from(words(assignment)?).ok()?;
            let at = assignment.iter().position(|byte| *byte == b'=')?;
            let name = String::from_utf8(assignment[..at].to_vec()).ok()?;
            environment.push((name, OsString::from_vec(assignment[at + 1..].to_vec())));
        } else if let Some(line) = line.strip_prefix(BEFORE_COMMAND) {
            command = Some(words(line.strip_prefix(AS_IT_IS).unwrap_or(line))?);
        }
    }
    let mut command = command?.into_iter().map(OsString::from_vec);
    let start = Start {
        program: PathBuf::from(command.next()?),
        arguments: command.collect(),
        environment,
    };
    // Whatever else is in it, or written otherwise, is not ours to explain.
    let same = written(description, &start).is_ok_and(|ours| ours == text);
    same.then_some(start)
}

/// A word as systemd reads it back.
fn quoted(word: &[u8]) -> String {
    let mut text = String::from('"');
    for part in word.utf8_chunks() {
        for c in part.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '%' => text.push_str("%%"),
                c if c.is_ascii_control() => escape(&mut text, c as u8),
                c => text.push(c),
            }
        }
        part.invalid()
            .iter()
            .for_each(|byte| escape(&mut text, *byte));
    }
    text.push('"');
    text
}

fn escape(text: &mut String, byte: u8) {
    text.push_str(&format!("\\x{byte:02x}"));
}

/// The words of a line that [`quoted`] has made.
fn words(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.bytes();
    loop {
        if rest.next()? != b'"' {
            return None;
        }
        let mut word = Vec::new();
        loop {
            match rest.next()? {
                b'"' => break,
                b'%' if rest.next() == Some(b'%') => word.push(b'%'),
                b'%' => return None,
                b'\\' => match rest.next()? {
                    b'x' => {
                        let digit = |byte: u8| char::from(byte).to_digit(16);
                        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                        word.push(u8::try_from(high * 16 + low).ok()?);
                    }
                    byte => word.push(byte),
                },
                byte => word.push(byte),
            }
        }
        words.push(word);
        match rest.next() {
            None => return Some(words),
            Some(b' ') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
