//! The names by which the drive shows a project's items, as a manifest carries them: a path that somebody has stored
//! leads to the same sound on every machine, or to none.
//!
//! What follows from the rest of a manifest is not written: an item without former names that is shown by its own name,
//! everywhere. So a manifest says nothing of most items, and of the others everything.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::document::{Document, Item};
use super::fields::{Fields, Known, List};
use crate::catalog::{
    BaseRow, CatalogError, Durability, GivenFolder, GivenName, ItemNo, NameIn, Reader, Section,
    Writer, section_of,
};
use crate::library::Library;
use crate::model::{MediaId, UsageRole, safe_name, shown_name, unsafe_name};

/// The folder of those who use items, by role.
const USED: [(&str, UsageRole); 2] = [
    ("by-track", UsageRole::Track),
    ("by-plugin", UsageRole::Observed),
];
/// Most names of one item, and of all that are gone, the latest of them.
const MOST_OF_ITEM: usize = 60_000;
const MOST_RETIRED: usize = 250_000;
/// Most entries of such a list that are read.
pub(super) const MOST_READ: usize = 500_000;
/// Names that are claimed in one transaction, so that others get their turn.
const TOGETHER: usize = 1000;
/// Longest target, in bytes.
const LONGEST_TARGET: usize = crate::catalog::LONGEST_USAGE;

/// A name of an item in a folder of its project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Shown {
    /// Which folder.
    pub shown_in: NameIn,
    /// The name.
    pub name: String,
    /// It is listed no more, and goes on leading there.
    pub former: bool,
}

/// A name of an item that is not there any more: nobody gets it, unless the item comes back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// Whose.
    pub media_id: MediaId,
    /// In which folder.
    #[serde(flatten)]
    pub shown: Shown,
}

/// The name of a folder of those who use items.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Folder {
    /// Of whom.
    pub role: UsageRole,
    /// In the host's words.
    pub target: String,
    /// How it is shown.
    pub name: String,
}

impl Known for Shown {
    const FIELDS: &'static [&'static str] = &["in", "target", "name", "former"];
}
impl Known for Retired {
    const FIELDS: &'static [&'static str] = &["mediaId", "in", "target", "name", "former"];
}
impl Known for Folder {
    const FIELDS: &'static [&'static str] = &["in", "target", "name"];
}

/// All of these as they are written.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    #[serde(rename = "in")]
    folder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    former: bool,
}

impl TryFrom<Written> for Shown {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let is_safe = safe_name(&unsafe_name(&written.name)) == written.name;
        if written.name.is_empty() || !is_safe {
            return Err("not a name that the drive shows".to_owned());
        }
        let shown_in = match (Section::shown_as(&written.folder), written.target) {
            (Some(section), None) => NameIn::Section(section),
            (None, Some(target)) => NameIn::Used(role_of(&written.folder, &target)?, target),
            _ => return Err("not a folder that shows items".to_owned()),
        };
        Ok(Self {
            shown_in,
            name: written.name,
            former: written.former,
        })
    }
}

impl From<Shown> for Written {
    fn from(shown: Shown) -> Self {
        let (folder, target) = match shown.shown_in {
            NameIn::Section(section) => {
                let mut all = Section::SHOWN.iter();
                let found = all.find(|(_, one)| *one == section);
                (found.map_or("", |(name, _)| *name), None)
            }
            NameIn::Used(role, target) => (folder_of(&role), Some(target)),
        };
        Self {
            folder: folder.to_owned(),
            target,
            name: shown.name,
            former: shown.former,
        }
    }
}

impl TryFrom<Written> for Folder {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match Shown::try_from(written)? {
            Shown {
                shown_in: NameIn::Used(role, target),
                name,
                ..
            } => Ok(Self { role, target, name }),
            _ => Err("not a folder of those who use items".to_owned()),
        }
    }
}

impl From<Folder> for Written {
    fn from(folder: Folder) -> Self {
        Self {
            folder: folder_of(&folder.role).to_owned(),
            target: Some(folder.target),
            name: folder.name,
            former: false,
        }
    }
}

fn role_of(folder: &str, target: &str) -> Result<UsageRole, String> {
    if !(1..=LONGEST_TARGET).contains(&target.len()) {
        return Err("not 1 to 1,024 bytes long".to_owned());
    }
    let mut all = USED.iter();
    let found = all.find(|(name, _)| *name == folder);
    found
        .map(|(_, role)| role.clone())
        .ok_or_else(|| "not a folder that shows items".to_owned())
}

fn folder_of(role: &UsageRole) -> &'static str {
    let mut all = USED.iter();
    all.find(|(_, one)| one == role)
        .map_or("", |(name, _)| *name)
}

fn is_shown(role: &UsageRole) -> bool {
    USED.iter().any(|(_, one)| one == role)
}

/// By what a name in a list is known again.
pub(super) fn key(shown: &Shown) -> (NameIn, String) {
    (shown.shown_in.clone(), shown.name.to_lowercase())
}

/// As [`key`], of a name of nobody.
pub(super) fn retired_key(retired: &Retired) -> (String, NameIn, String) {
    let (shown_in, name) = key(&retired.shown);
    (retired.media_id.key(), shown_in, name)
}

/// As [`key`], of a folder.
pub(super) fn folder_key(folder: &Folder) -> (UsageRole, String) {
    (folder.role.clone(), folder.target.clone())
}

/// In an order that is the same on every machine.
fn order(shown: &Shown) -> (Option<usize>, &str, &str, bool, &str) {
    let (section, role, target) = match &shown.shown_in {
        NameIn::Section(section) => {
            let mut all = Section::SHOWN.iter();
            let at = all.position(|(_, one)| one == section);
            (at.or(Some(usize::MAX)), "", "")
        }
        NameIn::Used(role, target) => (None, role.as_str(), target.as_str()),
    };
    // Sections first.
    let first = section.map(|at| usize::MAX - at);
    (first, role, target, shown.former, &shown.name)
}

fn sort(names: &mut [Shown]) {
    names.sort_by(|one, other| {
        let (one, other) = (order(one), order(other));
        other
            .0
            .cmp(&one.0)
            .then_with(|| (one.1, one.2, one.3, one.4).cmp(&(other.1, other.2, other.3, other.4)))
    });
}

impl Item {
    /// How it is shown if nothing is said of that: in the section of its kind, and with whoever uses it, by its name.
    fn plain_names(&self) -> Vec<Shown> {
        let used = self.usages.known.iter().map(|kept| &kept.value);
        let used = used
            .filter(|used| is_shown(&used.role))
            .map(|used| NameIn::Used(used.role.clone(), used.target.clone()));
        let name = shown_name(&self.name);
        std::iter::once(NameIn::Section(section_of(&self.kind)))
            .chain(used)
            .map(|shown_in| Shown {
                shown_in,
                name: name.clone(),
                former: false,
            })
            .collect()
    }

    /// Nothing need be said of these names.
    fn are_plain(&self, names: &[Shown]) -> bool {
        if !self.former_names.is_empty() || names.iter().any(|shown| shown.former) {
            return false;
        }
        let plain = self.plain_names();
        let is_plain = names.iter().all(|shown| plain.contains(shown));
        // What is the library's is in no section where it was made.
        let whole = names.len() == plain.len()
            || (self.of_library
                && names.len() + 1 == plain.len()
                && !names
                    .iter()
                    .any(|shown| matches!(shown.shown_in, NameIn::Section(_))));
        is_plain && whole
    }

    /// What is said of its names, or would follow.
    fn all_names(&self) -> Vec<Shown> {
        match self.shown.known.is_empty() {
            true => self.plain_names(),
            false => self
                .shown
                .known
                .iter()
                .map(|kept| kept.value.clone())
                .collect(),
        }
    }

    /// Takes over the names that a copy of the manifest has. To be called before anything else of it is.
    pub(super) fn absorb_names(&mut self, theirs: &Self) {
        let nothing = |item: &Self| item.shown.is_empty() && item.former_names.is_empty();
        if nothing(self) && nothing(theirs) && self.name == theirs.name {
            return;
        }
        if self.shown.known.is_empty() {
            let ours = self.plain_names();
            self.shown = self.shown.with(ours, key);
        }
        let listed: HashSet<NameIn> = self
            .shown
            .known
            .iter()
            .filter(|kept| !kept.value.former)
            .map(|kept| kept.value.shown_in.clone())
            .collect();
        let mut other = theirs.shown.with(theirs.all_names(), key);
        for kept in &mut other.known {
            kept.value.former |= listed.contains(&kept.value.shown_in);
        }
        self.shown.absorb(&other, key);
    }
}

impl Document {
    /// Without what the drive has seen by itself, which is saved with what the user does.
    pub(super) fn without_observed(mut self) -> Self {
        let observed = |shown_in: &NameIn| matches!(shown_in, NameIn::Used(role, _) if *role == UsageRole::Observed);
        for item in &mut self.items {
            item.usages
                .known
                .retain(|kept| kept.value.role != UsageRole::Observed);
            item.shown
                .known
                .retain(|kept| !observed(&kept.value.shown_in));
            let names: Vec<Shown> = item.all_names();
            if item.are_plain(&names) {
                item.shown.known.clear();
            }
        }
        self.retired
            .known
            .retain(|kept| !observed(&kept.value.shown.shown_in));
        self.folders
            .known
            .retain(|kept| kept.value.role != UsageRole::Observed);
        self
    }
}

/// The names that a project gave, as its manifest is to carry them.
pub(super) struct Names {
    by_id: HashMap<String, Vec<GivenName>>,
    folders: Vec<GivenFolder>,
}

impl Names {
    pub(super) fn read(reader: &Reader, base: &BaseRow) -> Result<Self, CatalogError> {
        let project = base.project.clone().unwrap_or_default();
        let mut by_id: HashMap<String, Vec<GivenName>> = HashMap::new();
        for given in reader.given_names(base.row, &project)? {
            by_id.entry(given.media_id.key()).or_default().push(given);
        }
        Ok(Self {
            by_id,
            folders: reader.given_folders(&project)?,
        })
    }

    /// What is to be said of an item that is complete otherwise. Those are taken.
    pub(super) fn take(&mut self, item: &mut Item) {
        let mut given = self.by_id.remove(&item.media_id.key()).unwrap_or_default();
        if item.of_library {
            // Another machine, whose library has it not, shows it among its own; here the name is only kept for it.
            given.retain(|given| given.has_item || matches!(given.shown_in, NameIn::Used(..)));
        }
        let mut names: Vec<Shown> = given
            .into_iter()
            .rev()
            .map(shown)
            .take(MOST_OF_ITEM)
            .collect();
        sort(&mut names);
        if item.are_plain(&names) {
            names.clear();
        }
        item.shown = item.shown.with(names, key);
    }

    /// What is left when all items are taken: names of items that are gone, and the names of folders.
    pub(super) fn finish(self, document: &mut Document, held: &HashSet<String>) {
        let mut left: Vec<(String, Vec<GivenName>)> = self.by_id.into_iter().collect();
        left.sort_by(|one, other| one.0.cmp(&other.0));
        let mut retired = Vec::new();
        for (id, given) in left {
            if held.contains(&id) {
                continue;
            }
            let media_id = given.first().map(|given| given.media_id.clone());
            let gone = given.into_iter().filter(|given| !given.has_item);
            let mut names: Vec<Shown> = gone.map(shown).collect();
            sort(&mut names);
            for mut shown in names {
                shown.former = false;
                let Some(media_id) = media_id.clone() else {
                    continue;
                };
                retired.push(Retired { media_id, shown });
            }
        }
        // Ids are in the order of their making, mostly.
        let too_many = retired.len().saturating_sub(MOST_RETIRED);
        retired.drain(..too_many);
        document.retired = document.retired.with(retired, retired_key);
        let in_use: HashSet<(&UsageRole, &str)> = document
            .items
            .iter()
            .flat_map(|item| &item.usages.known)
            .map(|kept| (&kept.value.role, kept.value.target.as_str()))
            .collect();
        let mut folders: Vec<Folder> = self
            .folders
            .into_iter()
            .filter(|folder| is_shown(&folder.role))
            .filter(|folder| {
                folder.name != shown_name(&folder.target)
                    || !in_use.contains(&(&folder.role, folder.target.as_str()))
            })
            .map(|folder| Folder {
                role: folder.role,
                target: folder.target,
                name: folder.name,
            })
            .collect();
        folders.sort_by(|one, other| {
            (one.role.as_str(), &one.target).cmp(&(other.role.as_str(), &other.target))
        });
        document.folders = document.folders.with(folders, folder_key);
    }
}

fn shown(given: GivenName) -> Shown {
    Shown {
        shown_in: given.shown_in,
        name: given.name,
        former: !given.present,
    }
}

/// Keeps for each item of a manifest the names that it has there, before any of them is made, so that none is shown by a
/// name of another one. First what is said; then, of items of which nothing is said, the names that they had before, then
/// the present ones; sounds of the library, which are in no section where the manifest was made, come last.
pub(super) fn claim(
    library: &Library,
    base: &BaseRow,
    document: &Document,
) -> Result<(), CatalogError> {
    let project = &document.project_id;
    let catalog = library.catalog();
    let said = document
        .folders
        .known
        .iter()
        .map(|kept| kept.value.clone())
        .chain(used_folders(document));
    let folders: Vec<Folder> = said.collect();
    for some in folders.chunks(TOGETHER) {
        catalog.write(Durability::Full, |writer| {
            for folder in some {
                writer.claim_folder(
                    project,
                    &GivenFolder {
                        role: folder.role.clone(),
                        target: folder.target.clone(),
                        name: folder.name.clone(),
                    },
                )?;
            }
            Ok::<_, CatalogError>(())
        })?;
    }
    for some in claims(document).chunks(TOGETHER) {
        catalog.write(Durability::Full, |writer| {
            for (id, shown) in some {
                writer.claim_name(base.row, project, id, &shown.shown_in, &shown.name)?;
            }
            Ok::<_, CatalogError>(())
        })?;
    }
    Ok(())
}

/// The folders that follow from the usages, by their plain names.
fn used_folders(document: &Document) -> Vec<Folder> {
    let mut seen = HashSet::new();
    let mut folders = Vec::new();
    for used in document.items.iter().flat_map(|item| &item.usages.known) {
        let (role, target) = (&used.value.role, &used.value.target);
        if is_shown(role) && seen.insert((role, target)) {
            folders.push(Folder {
                role: role.clone(),
                target: target.clone(),
                name: shown_name(target),
            });
        }
    }
    folders
}

fn claims(document: &Document) -> Vec<(&MediaId, Shown)> {
    let mut claims = Vec::new();
    for item in &document.items {
        let said = item.shown.known.iter();
        claims.extend(said.map(|kept| (&item.media_id, kept.value.clone())));
    }
    let gone = document.retired.known.iter().map(|kept| &kept.value);
    claims.extend(gone.map(|retired| (&retired.media_id, retired.shown.clone())));
    let quiet = || {
        let items = document.items.iter();
        items.filter(|item| item.shown.known.is_empty())
    };
    let own = |item: &Item| !item.of_library;
    let in_section = |item: &Item, name: &str| Shown {
        shown_in: NameIn::Section(section_of(&item.kind)),
        name: shown_name(name),
        former: true,
    };
    for item in quiet().filter(|item| own(item)) {
        let former = item.former_names.iter();
        claims.extend(former.map(|name| (&item.media_id, in_section(item, name))));
    }
    for item in quiet() {
        let plain = item.plain_names().into_iter();
        let plain =
            plain.filter(|shown| own(item) || !matches!(shown.shown_in, NameIn::Section(_)));
        claims.extend(plain.map(|shown| (&item.media_id, shown)));
    }
    for item in quiet().filter(|item| !own(item)) {
        let names = std::iter::once(&item.name).chain(&item.former_names);
        claims.extend(names.map(|name| (&item.media_id, in_section(item, name))));
    }
    claims
}

/// Shows an item that is there now by the names that its manifest has for it.
pub(super) fn show(
    writer: &mut Writer,
    base: &BaseRow,
    document: &Document,
    item: &Item,
    row: ItemNo,
) -> Result<(), CatalogError> {
    for shown in item.all_names().iter().filter(|shown| !shown.former) {
        writer.show_by(
            base.row,
            &document.project_id,
            row,
            &shown.shown_in,
            &shown.name,
        )?;
    }
    Ok(())
}

/// A list of names, where it is one; else it stays among the fields.
pub(super) fn take<T: Known>(fields: &mut Fields, name: &str) -> List<T> {
    List::take_up_to::<MOST_READ>(fields, name).unwrap_or_default()
}
