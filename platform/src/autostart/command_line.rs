//! A program as one line of text, as Windows starts it, and back: by the rules of `CommandLineToArgvW` and of the C library,
//! which programs read their line by.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{AutostartError, Start};

/// The Run key takes lines of so many characters.
const LONGEST: usize = 260;

/// The line.
pub(super) fn written(start: &Start) -> Result<String, AutostartError> {
    let unwritable = |what: &str, why| AutostartError::Unwritable {
        what: what.to_owned(),
        why,
    };
    let program = start.program.as_os_str();
    let mut line = String::new();
    for word in std::iter::once(program).chain(start.arguments.iter().map(OsString::as_os_str)) {
        let Some(text) = word.to_str() else {
            let text = word.display().to_string();
            return Err(unwritable(&text, "it is not Unicode"));
        };
        if text.contains('\0') {
            return Err(unwritable(text, "it has a zero in it"));
        }
        if line.is_empty() {
            // Its name is read by other rules: up to the next quote.
            if text.contains('"') {
                return Err(unwritable(text, "no path has quotes"));
            }
            line = format!("\"{text}\"");
        } else {
            line.push(' ');
            line.push_str(&quoted(text));
        }
    }
    if !start.environment.is_empty() {
        return Err(unwritable(&line, "Windows keeps no variables with it"));
    }
    if line.encode_utf16().count() > LONGEST {
        return Err(unwritable(
            &line,
            "Windows starts no line of more than 260 characters; use shorter paths",
        ));
    }
    Ok(line)
}

/// What a line starts, if it is one of [`written`].
pub(super) fn read(line: &str) -> Option<Start> {
    let (program, rest) = line.strip_prefix('"')?.split_once('"')?;
    let start = Start {
        program: PathBuf::from(program),
        arguments: words(rest)?.into_iter().map(OsString::from).collect(),
        environment: Vec::new(),
    };
    let same = written(&start).is_ok_and(|ours| ours == line);
    same.then_some(start)
}

/// A word in quotes. Backslashes are doubled before a quote only.
fn quoted(word: &str) -> String {
    let mut text = String::from('"');
    let mut slashes = 0;
    for c in word.chars() {
        match c {
            '\\' => slashes += 1,
            '"' => {
                text.extend(std::iter::repeat_n('\\', slashes + 1));
                slashes = 0;
            }
            _ => slashes = 0,
        }
        text.push(c);
    }
    text.extend(std::iter::repeat_n('\\', slashes));
    text.push('"');
    text
}

/// The words that [`quoted`] has made, each after a space.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c != ' ' || rest.next()? != '"' {
            return None;
        }
        let mut word = String::new();
        loop {
            let mut slashes = 0;
            while rest.next_if_eq(&'\\').is_some() {
                slashes += 1;
            }
            let next = rest.next()?;
            let halved = if next == '"' { slashes / 2 } else { slashes };
            word.extend(std::iter::repeat_n('\\', halved));
            match next {
                '"' if slashes % 2 == 0 => break,
                c => word.push(c),
            }
        }
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn start(arguments: &[&str]) -> Start {
        Start {
            program: r"C:\Program Files\mediafs\mediafs.exe".into(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn words_are_quoted_as_programs_read_them() {
        let line = written(&start(&[r"C:\My Home\", r#"a"b"#, r#"\\"#, r#"c\"d"#, ""])).unwrap();
        assert_eq!(
            line,
            r#""C:\Program Files\mediafs\mediafs.exe" "C:\My Home\\" "a\"b" "\\\\" "c\\\"d" """#
        );
    }

    #[test]
    fn what_was_written_is_read() {
        for arguments in [
            &[][..],
            &["--home", r"D:\a b\", "", r#"\" " \\"\"#, "é%PATH%"][..],
        ] {
            let start = start(arguments);
            let line = written(&start).unwrap();
            assert_eq!(read(&line), Some(start), "{line}");
        }
        for other in [
            "",
            "notepad.exe",
            r#""a" b"#,
            r#""a" "b"#,
            r#""a"  "b""#,
            r#""a" "b"c"#,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_windows_would_not_start_is_refused() {
        assert!(written(&start(&["a\0"])).is_err());
        assert!(written(&start(&[&"x".repeat(300)])).is_err());
        let fits = 260 - written(&start(&[])).unwrap().len() - r#" """#.len();
        assert!(written(&start(&[&"x".repeat(fits)])).is_ok());
        assert!(written(&start(&[&"x".repeat(fits + 1)])).is_err());
        let with_variable = Start {
            environment: vec![("A".to_owned(), "b".into())],
            ..start(&[])
        };
        assert!(written(&with_variable).is_err());
    }
}
