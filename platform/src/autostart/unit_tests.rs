//! Tests of how a unit is written and read. What systemd itself makes of one is tried by hand: `systemd-analyze --user verify`,
//! and `systemctl --user start`.
#![allow(clippy::unwrap_used)]

use super::*;

const WHAT: &str = "A drive";

fn start(program: &str, arguments: &[&[u8]]) -> Start {
    Start {
        program: program.into(),
        arguments: arguments
            .iter()
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect(),
        environment: Vec::new(),
    }
}

fn line<'a>(text: &'a str, begins: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(begins)).unwrap()
}

#[test]
fn words_are_quoted_as_systemd_reads_them() {
    for (word, quoted) in [
        (b"plain".as_slice(), r#""plain""#),
        (b"two words", r#""two words""#),
        (b"100%n", r#""100%%n""#),
        (br#"a"b'c\d"#, r#""a\"b'c\\d""#),
        (b"new\nline\ttab\x7f", r#""new\x0aline\x09tab\x7f""#),
        (b"caf\xc3\xa9 caf\xe9", "\"café caf\\xe9\""),
        (b";", r#"";""#),
        (b"", r#""""#),
    ] {
        let text = written(WHAT, &start("/bin/x", &[word])).unwrap();
        assert_eq!(
            line(&text, "ExecStart="),
            format!(r#"ExecStart="/bin/x" {quoted}"#)
        );
    }
}

#[test]
fn a_dollar_is_a_sign_like_any_other() {
    let text = written(WHAT, &start("/home/a $HOME/x", &[b"$$", b"${A}"])).unwrap();
    assert_eq!(
        line(&text, "ExecStart="),
        r#"ExecStart=:"/home/a $HOME/x" "$$" "${A}""#
    );
}

#[test]
fn what_was_written_is_read() {
    let odd = Start {
        environment: vec![
            ("XDG_DATA_HOME".to_owned(), "/a b/100%/\"$x\\".into()),
            ("EMPTY".to_owned(), "".into()),
        ],
        ..start(
            "/opt/a b/100%/$media/fs",
            &[b"--home", b"/x y/\n\"'\\%%n\xff;", b"", b";"],
        )
    };
    for start in [odd, start("/bin/x", &[])] {
        let text = written(WHAT, &start).unwrap();
        assert!(is_ours(text.as_bytes()));
        assert_eq!(read(WHAT, text.as_bytes()), Some(start));
    }
}

#[test]
fn what_is_not_as_written_is_not_read() {
    let text = written(WHAT, &start("/bin/x", &[b"a"])).unwrap();
    for changed in [
        text.replace("forking", "simple"),
        text.replace(r#""a""#, "a"),
        text.replace(r#""a""#, r#""a"#),
        text.replace(r#""a""#, r#""%h""#),
        text.replace(r#""a""#, r#""\q""#),
        text.replace(r#""/bin/x" "a""#, ""),
        format!("{text}# mine\n"),
        String::new(),
    ] {
        assert_ne!(changed, text);
        assert_eq!(read(WHAT, changed.as_bytes()), None, "{changed}");
    }
    assert_eq!(read("Another", text.as_bytes()), None);
    assert_eq!(read(WHAT, b"\xff"), None);
    assert!(!is_ours(b"[Unit]\n"));
}

#[test]
fn what_systemd_would_refuse_is_refused() {
    for program in ["/a\"b", "/a'b", "/a\\b", "/a\nb"] {
        assert!(
            matches!(
                written(WHAT, &start(program, &[])),
                Err(AutostartError::Unwritable { .. })
            ),
            "{program}"
        );
    }
    assert!(written(WHAT, &start("/x", &[b"a\0b"])).is_err());
    for value in [b"a\nb".as_slice(), b"\xff"] {
        let start = Start {
            environment: vec![("A".to_owned(), OsString::from_vec(value.to_vec()))],
            ..start("/x", &[])
        };
        assert!(written(WHAT, &start).is_err(), "{value:?}");
    }
}
