//! Copies of a manifest that a sync client has laid beside it because two machines have written it: found, and merged by
//! id. Nothing of either is lost.
//!
//! Items of both are there. Of one that both have, the newer name and the manifest's own place stand, the others are kept as
//! an old name and an alternative; words, values and usages of both are there, and what was taken off in either is off.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use super::apply::Applied;
use super::document::{Document, Item, Where, usage_key};
use super::names;
use crate::catalog::is_removed;
use crate::model::{Lifecycle, Storage, UsageRole};

/// Under this name, with a number, a merged copy is set aside.
pub(super) const MERGED: &str = "media.json.merged";

/// What was merged from one copy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Merged {
    /// The copy, as the sync client named it.
    pub file: String,
    /// Under which name it is now.
    pub set_aside: Option<String>,
    /// Items that are there by it, and were not.
    pub added: Vec<String>,
    /// Items that were there, and are not as they were.
    pub changed: Vec<String>,
}

impl Merged {
    /// Keeps of what the copy had beyond the manifest that which was not known here either.
    pub(super) fn only_what_came(&mut self, applied: &Applied) {
        let is_in = |ids: &HashSet<&str>, id: &String| ids.contains(id.as_str());
        let new: HashSet<&str> = applied.added.iter().map(String::as_str).collect();
        let changed: HashSet<&str> = applied.changed.iter().map(String::as_str).collect();
        let (added, known) = std::mem::take(&mut self.added)
            .into_iter()
            .partition::<Vec<_>, _>(|id| is_in(&new, id));
        self.added = added;
        self.changed.extend(known);
        self.changed
            .retain(|id| is_in(&changed, id) || is_in(&new, id));
    }
}

/// Whether a file may be a copy of the manifest, by its name. Dropbox writes `media (Ann's conflicted copy
/// 2026-01-31).json`, Nextcloud `media (conflicted copy 2026-01-31 120000).json`, older clients
/// `media_conflict-20260131-120000.json`, Syncthing `media.sync-conflict-20260131-120000-ABCDEFG.json`, OneDrive
/// `media-STUDIO.json`, others `media (1).json` or `media 2.json`. Some put it all behind the name.
pub(super) fn may_be_copy(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let own = [
        "media.json.previous",
        "media.json.merged",
        "media.json.damaged",
    ];
    if name == "media.json" || own.iter().any(|own| name.starts_with(own)) {
        return false;
    }
    let Some(rest) = name.strip_prefix("media") else {
        return false;
    };
    match rest.strip_prefix(".json") {
        Some(behind) => {
            let behind = behind.to_lowercase();
            behind.starts_with(" (") || behind.contains("conflict")
        }
        None => {
            let is_apart = rest.starts_with([' ', '-', '_', '(', '.']);
            is_apart && rest.ends_with(".json")
        }
    }
}

/// A name under which a merged copy is set aside.
pub(super) fn aside(number: usize) -> OsString {
    OsString::from(format!("{MERGED}.{number}"))
}

impl Document {
    /// Takes over what a copy has. Says what that was.
    pub(super) fn absorb(&mut self, copy: &Self) -> Merged {
        let mut merged = Merged::default();
        self.rest.absorb(&copy.rest);
        self.retired.absorb(&copy.retired, names::retired_key);
        self.folders.absorb(&copy.folders, names::folder_key);
        let known: HashMap<String, usize> = self
            .items
            .iter()
            .enumerate()
            .map(|(at, item)| (item.media_id.key(), at))
            .collect();
        for theirs in &copy.items {
            let at = known.get(&theirs.media_id.key());
            match at.and_then(|at| self.items.get_mut(*at)) {
                None => {
                    merged.added.push(theirs.media_id.to_string());
                    self.items.push(theirs.clone());
                }
                Some(ours) => {
                    let before = serde_json::to_string(ours).ok();
                    ours.absorb(theirs);
                    if serde_json::to_string(ours).ok() != before {
                        merged.changed.push(theirs.media_id.to_string());
                    }
                }
            }
        }
        self.items.sort_by_cached_key(|item| item.media_id.key());
        let held: HashSet<String> = self
            .held
            .iter()
            .map(|held| held.entry.get().to_owned())
            .collect();
        let new = copy
            .held
            .iter()
            .filter(|theirs| !held.contains(theirs.entry.get()));
        self.held.extend(new.cloned());
        merged
    }
}

/// What an item is called, and was before.
pub(super) struct Named<'n>(pub(super) &'n String, pub(super) &'n [String]);

impl Named<'_> {
    /// The other one had this name before, and not the other way round. Of names that nobody has changed back, that tells
    /// which is the later one.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        other.1.contains(self.0) && !self.1.contains(other.0)
    }
}

impl Item {
    pub(super) fn named(&self) -> Named<'_> {
        Named(&self.name, &self.former_names)
    }

    fn absorb(&mut self, theirs: &Self) {
        self.absorb_names(theirs);
        if self.named().is_older_than(&theirs.named()) {
            self.former_names.insert(0, self.name.clone());
            self.former_names.retain(|name| *name != theirs.name);
            self.name.clone_from(&theirs.name);
        }
        for name in std::iter::once(&theirs.name).chain(&theirs.former_names) {
            if *name != self.name && !self.former_names.contains(name) {
                self.former_names.push(name.clone());
            }
        }
        if theirs.lifecycle == Lifecycle::Final {
            self.lifecycle = Lifecycle::Final;
        }
        if let (Where::Known(ours), Where::Known(other)) = (&self.storage, &theirs.storage)
            && ours.value != other.value
        {
            let there = other.value.clone();
            let is_there = |kept: &super::fields::Kept<Storage>| kept.value == there;
            if !self.alternatives.known.iter().any(is_there) {
                self.alternatives.known.push(other.clone());
            }
        }
        if self.size == theirs.size {
            self.blake3 = self.blake3.or(theirs.blake3);
            self.fingerprint = self.fingerprint.or(theirs.fingerprint);
            if self.format.is_none() && self.rest.get("format").is_none() {
                self.format.clone_from(&theirs.format);
            }
        }
        self.alternatives.absorb(&theirs.alternatives, Clone::clone);
        self.absorb_usages(theirs);
        self.analysis.absorb(&theirs.analysis, |analysed| {
            (
                analysed.kind.clone(),
                analysed.parameters.clone(),
                analysed.producer.clone(),
            )
        });
        let off: HashSet<String> = theirs
            .tags
            .known
            .iter()
            .filter(|kept| kept.value.removed)
            .map(|kept| kept.value.name.to_lowercase())
            .collect();
        for kept in &mut self.tags.known {
            kept.value.removed |= off.contains(&kept.value.name.to_lowercase());
        }
        self.tags
            .absorb(&theirs.tags, |word| word.name.to_lowercase());
        let off: HashSet<String> = theirs
            .attributes
            .known
            .iter()
            .filter(|kept| kept.value.removed)
            .map(|kept| kept.value.name.to_lowercase())
            .collect();
        for kept in &mut self.attributes.known {
            kept.value.removed |= off.contains(&kept.value.name.to_lowercase());
        }
        self.attributes
            .absorb(&theirs.attributes, |value| value.name.to_lowercase());
        self.rest.absorb(&theirs.rest);
    }

    /// Usages of both are there; one that either has removed since is not.
    fn absorb_usages(&mut self, theirs: &Self) {
        let removed: HashMap<_, Option<u64>> = theirs
            .removed_usages
            .known
            .iter()
            .map(|kept| (usage_key(&kept.value), kept.value.at))
            .collect();
        for kept in &mut self.removed_usages.known {
            let used = &mut kept.value;
            used.at = used
                .at
                .max(removed.get(&usage_key(used)).copied().flatten());
        }
        self.removed_usages
            .absorb(&theirs.removed_usages, usage_key);
        let times: HashMap<_, Option<u64>> = theirs
            .usages
            .known
            .iter()
            .map(|kept| (usage_key(&kept.value), kept.value.at))
            .collect();
        for kept in &mut self.usages.known {
            let used = &mut kept.value;
            let theirs = times.get(&usage_key(used)).copied().flatten();
            used.at = match (used.at, theirs) {
                (Some(one), Some(other)) if used.role == UsageRole::Observed => {
                    Some(one.max(other))
                }
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        self.usages.absorb(&theirs.usages, usage_key);
        let (usages, removed) = (&mut self.usages.known, &mut self.removed_usages.known);
        let since: HashMap<_, u64> = usages
            .iter()
            .map(|kept| (usage_key(&kept.value), kept.value.at.unwrap_or(0)))
            .collect();
        // Told again, it is there.
        removed.retain(|kept| {
            let since = since.get(&usage_key(&kept.value));
            since.is_none_or(|since| is_removed(kept.value.at.unwrap_or(0), *since))
        });
        let removed: HashSet<_> = removed.iter().map(|kept| usage_key(&kept.value)).collect();
        usages.retain(|kept| !removed.contains(&usage_key(&kept.value)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_names_that_sync_clients_give_are_known() {
        for name in [
            "media (Ann's conflicted copy 2026-01-31).json",
            "media (conflicted copy 2026-01-31 120000).json",
            "media_conflict-20260131-120000.json",
            "media.sync-conflict-20260131-120000-ABCDEFG.json",
            "media-STUDIO.json",
            "media (1).json",
            "media 2.json",
            "media.json (Ann's conflicted copy 2026-01-31)",
        ] {
            assert!(may_be_copy(name.as_ref()), "{name}");
        }
        for name in [
            "media.json",
            "media.json.previous",
            "media.json.merged.1",
            "media.json.damaged",
            "mediafile.json",
            "media",
            "media.json.bak",
            "Song.json",
            "media (1).wav",
        ] {
            assert!(!may_be_copy(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn nothing_of_either_is_lost() {
        let item = |name: &str, path: &str, more: &str| {
            format!(
                r#"{{"mediaId":"a","kind":"audio","name":"{name}","storage":{{"backend":"project","path":"{path}"}},{more}}}"#
            )
        };
        let document = |items: &str| {
            let text = format!(
                r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"S","items":[{items}]}}"#
            );
            Document::parse(text.as_bytes()).unwrap()
        };
        let tag = |name: &str, removed: bool| {
            format!(r#"{{"name":"{name}","source":"user","confidence":1,"removed":{removed}}}"#)
        };
        let ours = item(
            "One.wav",
            "Media/a.wav",
            &format!(
                r#""tags":[{},{}],"x":1"#,
                tag("Drum", false),
                tag("Old", false)
            ),
        );
        let theirs = item(
            "Two.wav",
            "Media/b.wav",
            &format!(
                r#""tags":[{},{}],"x":2,"y":3,"usages":[{{"role":"clip","target":"c"}}]"#,
                tag("OLD", true),
                tag("Loud", false)
            ),
        );
        let other = r#"{"mediaId":"b","kind":"audio","name":"b.wav","storage":{"backend":"project","path":"Media/c.wav"}}"#;
        let mut merged = document(&ours);
        let told = merged.absorb(&document(&format!("{theirs},{other},7")));
        assert_eq!(
            (told.added, told.changed),
            (vec!["b".to_owned()], vec!["a".to_owned()])
        );
        assert_eq!(merged.items.len(), 2);
        assert_eq!(merged.held.len(), 1);
        let item = &merged.items[0];
        assert_eq!(item.name, "One.wav");
        assert_eq!(item.former_names, ["Two.wav"]);
        assert_eq!(item.alternatives.known.len(), 1);
        assert_eq!(item.usages.known.len(), 1);
        let tags: Vec<_> = item
            .tags
            .known
            .iter()
            .map(|tag| (tag.value.name.as_str(), tag.value.removed))
            .collect();
        assert_eq!(tags, [("Drum", false), ("Old", true), ("Loud", false)]);
        assert_eq!(
            (item.rest.get("x"), item.rest.get("y")),
            (Some("1"), Some("3"))
        );
        // Again, it is as it was.
        let text = merged.text().unwrap();
        let told = merged.absorb(&document(&format!("{theirs},{other},7")));
        assert!(told.added.is_empty() && told.changed.is_empty());
        assert_eq!(merged.text().unwrap(), text);
    }
}
