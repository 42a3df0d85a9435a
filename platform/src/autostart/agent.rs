//! A program as an agent of launchd names it, and back: a property list, of which launchd.plist(5) says what its keys mean.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{AutostartError, Start};

/// What begins an agent of ours.
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
<!-- Written by `mediafs autostart enable`, taken away by `mediafs autostart disable`. -->\n\
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
<plist version=\"1.0\">\n<dict>\n";

/// What ends it. It is started as soon as it is known, which is at login; what it leaves running is let be when it ends; and
/// that is not slowed down as what works unseen is (`Interactive`).
const END: &str = "\t<key>RunAtLoad</key>\n\t<true/>\n\
\t<key>AbandonProcessGroup</key>\n\t<true/>\n\
\t<key>ProcessType</key>\n\t<string>Interactive</string>\n</dict>\n</plist>\n";

const BEFORE_KEY: &str = "\t\t<key>";
const BEFORE_WORD: &str = "\t\t<string>";

/// The text of the agent.
pub(super) fn written(label: &str, start: &Start) -> Result<String, AutostartError> {
    let mut text = format!("{HEAD}\t<key>Label</key>\n\t<string>{label}</string>\n");
    if !start.environment.is_empty() {
        text += "\t<key>EnvironmentVariables</key>\n\t<dict>\n";
        for (name, value) in &start.environment {
            text += &format!(
                "{BEFORE_KEY}{}</key>\n{BEFORE_WORD}{}</string>\n",
                escaped(name)?,
                escaped(utf8(value)?)?
            );
        }
        text += "\t</dict>\n";
    }
    text += "\t<key>ProgramArguments</key>\n\t<array>\n";
    let program = start.program.as_os_str();
    for word in std::iter::once(program).chain(start.arguments.iter().map(OsString::as_os_str)) {
        text += &format!("{BEFORE_WORD}{}</string>\n", escaped(utf8(word)?)?);
    }
    text += "\t</array>\n";
    text += END;
    Ok(text)
}

/// Is it from here, in whatever form?
pub(super) fn is_ours(text: &[u8]) -> bool {
    text.starts_with(HEAD.as_bytes())
}

/// What an agent starts, if it is one of [`written`].
pub(super) fn read(label: &str, text: &[u8]) -> Option<Start> {
    let text = std::str::from_utf8(text).ok()?;
    let (mut environment, mut words, mut name) = (Vec::new(), Vec::new(), None);
    for line in text.lines() {
        if let Some(key) = line.strip_prefix(BEFORE_KEY) {
            name = Some(plain(key.strip_suffix("</key>")?));
        } else if let Some(word) = line.strip_prefix(BEFORE_WORD) {
            let word = plain(word.strip_suffix("</string>")?);
            match name.take() {
                Some(name) => environment.push((name, word.into())),
                None => words.push(OsString::from(word)),
            }
        }
    }
    let mut words = words.into_iter();
    let start = Start {
        program: PathBuf::from(words.next()?),
        arguments: words.collect(),
        environment,
    };
    let same = written(label, &start).is_ok_and(|ours| ours == text);
    same.then_some(start)
}

/// Whether an agent is switched off, by what `launchctl print-disabled` says: a line `"LABEL" => disabled` for it, on older
/// systems `=> true`. One that was never switched has no line.
pub(super) fn is_switched_off(label: &str, said: &str) -> bool {
    let switch = said.lines().find_map(|line| {
        let (of, switch) = line.split_once("=>")?;
        let of = of.trim().strip_prefix('"')?.strip_suffix('"')?;
        (of == label).then(|| switch.trim())
    });
    matches!(switch, Some("disabled" | "true"))
}

fn utf8(word: &std::ffi::OsStr) -> Result<&str, AutostartError> {
    word.to_str().ok_or_else(|| AutostartError::Unwritable {
        what: word.display().to_string(),
        why: "launchd wants UTF-8",
    })
}

fn escaped(word: &str) -> Result<String, AutostartError> {
    if word.chars().any(char::is_control) {
        return Err(AutostartError::Unwritable {
            what: word.escape_debug().to_string(),
            why: "a property list has no control characters",
        });
    }
    Ok(word
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;"))
}

fn plain(word: &str) -> String {
    word.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn start(arguments: &[&str]) -> Start {
        Start {
            program: "/Applications/A & B.app/mediafs".into(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment: vec![("A".to_owned(), "<&amp;> \"x\"".into())],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let start = start(&["--home", "/x y/é <&> \"'", "", "&lt;"]);
        let text = written("label", &start).unwrap();
        assert!(is_ours(text.as_bytes()));
        assert!(text.contains("\t\t<string>/Applications/A &amp; B.app/mediafs</string>\n"));
        assert!(text.contains("\t\t<string>&amp;lt;</string>\n"));
        assert_eq!(read("label", text.as_bytes()), Some(start));
        assert_eq!(read("another", text.as_bytes()), None);
        let changed = text.replace("<true/>", "<false/>");
        assert_eq!(read("label", changed.as_bytes()), None);
        assert!(is_ours(changed.as_bytes()) && !is_ours(b"<plist/>"));
    }

    #[test]
    fn launchd_says_what_is_switched_off() {
        let said = |mine: &str| {
            format!(
                "\n\tdisabled services = {{\n\t\t\"com.apple.Siri.agent\" => disabled\n\
                \t\t\"loophole.mediafs-2\" => disabled\n{mine}\t}}\n\tlogin item associations = {{\n\t}}\n"
            )
        };
        let off = |mine: &str| is_switched_off("loophole.mediafs", &said(mine));
        assert!(off("\t\t\"loophole.mediafs\" => disabled\n"));
        assert!(off("\t\t\"loophole.mediafs\" => true\n"));
        assert!(!off("\t\t\"loophole.mediafs\" => enabled\n"));
        assert!(!off("\t\t\"loophole.mediafs\" => false\n"));
        assert!(!off(""));
        assert!(!is_switched_off("loophole.mediafs", ""));
    }

    #[test]
    fn what_a_property_list_cannot_hold_is_refused() {
        assert!(written("label", &start(&["a\nb"])).is_err());
        assert!(written("label", &start(&["a\u{0}b"])).is_err());
    }
}
