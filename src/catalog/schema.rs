//! The tables of `catalog.db`, its versions, and the first look at a file that claims to be one.
//!
//! `user_version` counts the migrations that were applied, `application_id` tells a catalog from other databases.
//! Numbers of rows are never reused. Names on disk are bytes; `key` beside them is the form in which they are
//! compared. Times are nanoseconds since 1970. Device and inode numbers are stored bit by bit in signed integers.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::error::{CatalogError, Result, failed};

/// `mdfs`.
const APPLICATION_ID: i32 = 0x6d64_6673;

/// One entry for each version, oldest first. Entries are never changed, only added.
const VERSIONS: &[M<'static>] = &[
    M::up(FIRST),
    M::up(SECOND),
    M::up(THIRD),
    M::up(FOURTH),
    M::up(TAKES),
    M::up(PROJECTS),
    M::up(HISTORY),
    M::up(WITH_PROJECTS),
    M::up(TOLD_NAMES),
    M::up(REMOVED_USAGES),
    M::up(MISSING),
];

const FIRST: &str = "
-- Library roots, projects' folders, the computer.
CREATE TABLE base (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    path BLOB NOT NULL,
    top INTEGER NOT NULL,
    project_id TEXT,
    active INTEGER NOT NULL,
    focused INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX base_project ON base (project_id) WHERE project_id IS NOT NULL;

-- Every name that a base was ever shown by, folded; so it is never given to another one.
CREATE TABLE base_name (
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    base INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE folder (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    base INTEGER NOT NULL,
    parent INTEGER,
    name BLOB NOT NULL,
    key BLOB NOT NULL,
    modified INTEGER NOT NULL,
    present INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX folder_name ON folder (parent, key, name);
CREATE INDEX folder_list ON folder (parent) WHERE present = 1;

-- Files. `folder` is NULL when another file has taken the name. `probed` is the generation that was probed last,
-- 0 before the first time. `forgotten`: the user removed its item, so no scan makes another one.
CREATE TABLE place (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    base INTEGER NOT NULL,
    folder INTEGER,
    name BLOB NOT NULL,
    key BLOB NOT NULL,
    link BLOB,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    born INTEGER,
    permissions INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    present INTEGER NOT NULL,
    problem TEXT,
    probed INTEGER NOT NULL DEFAULT 0,
    forgotten INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX place_name ON place (folder, key, name);
CREATE INDEX place_list ON place (folder) WHERE present = 1;
CREATE INDEX place_gone ON place (size) WHERE present = 0;
CREATE INDEX place_unprobed ON place (base) WHERE probed <> generation;
CREATE INDEX place_problem ON place (number) WHERE problem IS NOT NULL;

-- What is known of the bytes at a place, from the last probe (of place generation `generation`) and hash.
-- `capsule`: one was made of them, so it is to be in the other file.
CREATE TABLE content (
    place INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    kind TEXT,
    container TEXT,
    codec TEXT,
    sample_rate INTEGER,
    channels INTEGER,
    bit_depth INTEGER,
    float INTEGER,
    frames INTEGER,
    duration REAL,
    attributes TEXT,
    notes TEXT,
    fingerprint BLOB,
    blake3 BLOB,
    capsule INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX content_hash ON content (blake3) WHERE blake3 IS NOT NULL;

-- Media items. `scope` is 0 for the library, else the project's base. `recorded` is the storage of record where it
-- does not follow from the place any more.
CREATE TABLE item (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    media_id TEXT NOT NULL COLLATE NOCASE,
    scope INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    lifecycle INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    born INTEGER,
    permissions INTEGER NOT NULL,
    availability INTEGER NOT NULL,
    playable INTEGER NOT NULL,
    place INTEGER,
    hashed INTEGER NOT NULL,
    recorded TEXT
) STRICT;
CREATE UNIQUE INDEX item_id ON item (media_id, scope);
CREATE INDEX item_place ON item (place, scope) WHERE place IS NOT NULL;
CREATE INDEX item_scope ON item (scope) WHERE scope <> 0;
CREATE INDEX item_unhashed ON item (number) WHERE hashed = 0;

-- Names that items had before.
CREATE TABLE former_name (
    item INTEGER NOT NULL,
    name TEXT NOT NULL,
    turn INTEGER NOT NULL,
    PRIMARY KEY (item, name)
) STRICT, WITHOUT ROWID;

-- Every name ever shown in a project's sections, and the id that it belongs to for good.
CREATE TABLE shown (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL,
    section INTEGER NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    media_id TEXT NOT NULL COLLATE NOCASE,
    item INTEGER,
    present INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX shown_key ON shown (project, section, key);
CREATE INDEX shown_owner ON shown (project, media_id);
CREATE INDEX shown_list ON shown (project, section) WHERE present = 1;

-- `removed`: the user took it away, and no other source brings it back.
CREATE TABLE tag (
    item INTEGER NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    source INTEGER NOT NULL,
    confidence REAL NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (item, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_key ON tag (key);

CREATE TABLE attribute (
    item INTEGER NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source INTEGER NOT NULL,
    confidence REAL NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (item, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE alternative (
    item INTEGER NOT NULL,
    storage TEXT NOT NULL,
    PRIMARY KEY (item, storage)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    item INTEGER NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (item, project, role, target)
) STRICT, WITHOUT ROWID;

-- What analyses made of bytes: of the object, not of the item, so that a changed file has none.
CREATE TABLE analysis (
    object BLOB NOT NULL,
    type TEXT NOT NULL,
    parameters TEXT NOT NULL,
    producer TEXT NOT NULL,
    artefact BLOB NOT NULL,
    PRIMARY KEY (object, type, parameters, producer)
) STRICT, WITHOUT ROWID;

-- Counts transactions that gave ids; writing it makes them durable.
CREATE TABLE durable (turn INTEGER NOT NULL) STRICT;
INSERT INTO durable VALUES (0);
";

/// A file that appears is looked for among all that were ever seen: by its inode a moved one is known again.
const SECOND: &str = "CREATE INDEX place_inode ON place (inode);";

/// `item.home`: the place of record of an item whose bytes are in another file now (`place`), as its own is not there.
/// `place.away`: the storage of a file is not there, so that nobody can say whether the file is; it goes on being shown.
const THIRD: &str = "
ALTER TABLE item ADD COLUMN home INTEGER;
CREATE INDEX item_home ON item (home) WHERE home IS NOT NULL;
ALTER TABLE place ADD COLUMN away INTEGER NOT NULL DEFAULT 0;
";

/// Storage that is not trusted: its sources, which bases lie on one (`inside`: where, below its root), and which files
/// are online only; and what is to stay in the cache. Of items on a source `availability` and `playable` are what holds while it is there and nothing of
/// it is in the cache; what holds now is worked out when they are read.
const FOURTH: &str = "
CREATE TABLE source (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    identity TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    provider TEXT,
    path BLOB NOT NULL,
    seen INTEGER NOT NULL
) STRICT;
ALTER TABLE base ADD COLUMN source INTEGER;
ALTER TABLE base ADD COLUMN inside BLOB;
CREATE INDEX base_source ON base (source) WHERE source IS NOT NULL;
ALTER TABLE place ADD COLUMN online_only INTEGER NOT NULL DEFAULT 0;
-- Whose bytes are to stay in the cache, and for whom.
CREATE TABLE pin (
    item INTEGER NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (item, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX pin_owner ON pin (owner);
-- Hashes of the silence that was given in the place of sounds, so that copies of it are known for what they are.
CREATE TABLE stand_in (
    hash BLOB NOT NULL,
    item INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (hash, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_size ON item (size);
";

/// Takes: items from when they are reserved until their project is closed after they are final. `name` is the one in
/// `record/`, `key` the form in which it is compared. The bytes are in `file`, in the folder for takes of the base, or of
/// the home where there is none, until they are final; `target` and `target_inode` are where they are about to be moved.
/// `rate`: bytes a second; `expected`: seconds. `recovered`: an earlier daemon had not seen the end of it.
const TAKES: &str = "
CREATE TABLE take (
    item INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    base INTEGER,
    file TEXT NOT NULL,
    target BLOB,
    target_inode INTEGER,
    rate INTEGER NOT NULL,
    expected INTEGER,
    reserved INTEGER NOT NULL,
    given_up INTEGER,
    recovered INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX take_key ON take (key);
CREATE INDEX item_unfinished ON item (number) WHERE lifecycle <> 1;
";

/// Projects: a folder may be a copy of another one, with its id. What was saved last, entries of manifests that are held
/// back and what the user allows of them, and drafts.
const PROJECTS: &str = "
DROP INDEX base_project;
CREATE INDEX base_project ON base (project_id) WHERE project_id IS NOT NULL;
-- `manifest`: the hash of the text that was read or written last; `previous`: that of the one before it.
CREATE TABLE project (
    base INTEGER PRIMARY KEY,
    revision TEXT,
    document TEXT,
    manifest BLOB,
    previous BLOB
) STRICT;
CREATE TABLE held (
    base INTEGER NOT NULL,
    key TEXT NOT NULL,
    media_id TEXT,
    entry TEXT NOT NULL,
    reason TEXT NOT NULL,
    allowable INTEGER NOT NULL,
    PRIMARY KEY (base, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE allowed (
    base INTEGER NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (base, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft (
    base INTEGER NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    revision TEXT,
    state TEXT NOT NULL,
    items TEXT NOT NULL,
    PRIMARY KEY (base, name)
) STRICT, WITHOUT ROWID;
";

/// What the user's calls changed, and how to revert it; since when usages are known, and the folders that show them.
const HISTORY: &str = "
-- `root`: of a revert, the operation that it is about. `applied`: the operation that put this one into effect last.
-- `reverted`: the revert, while it is reverted. `at` in milliseconds since 1970. `project`: a base, or 0.
CREATE TABLE operation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    summary TEXT NOT NULL,
    grouped TEXT,
    at INTEGER NOT NULL,
    who TEXT,
    project INTEGER NOT NULL,
    root INTEGER,
    applied INTEGER NOT NULL,
    reverted INTEGER
) STRICT;
CREATE INDEX operation_group ON operation (grouped) WHERE grouped IS NOT NULL;
CREATE INDEX operation_root ON operation (root) WHERE root IS NOT NULL;
-- One cell that an operation changed; `item` is 0 for what belongs to none.
CREATE TABLE operation_step (
    operation INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    item INTEGER NOT NULL,
    cell TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (operation, turn)
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_step_item ON operation_step (item);
-- Files that a revert may want back.
CREATE TABLE held_place (
    place INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    PRIMARY KEY (place, operation)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_place_operation ON held_place (operation);
-- When it was told of, or seen last; in milliseconds since 1970.
ALTER TABLE usage ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX usage_project ON usage (project, role);
-- Folders that show who uses what, and the names in them; each belongs to what it was given to for good.
CREATE TABLE usage_folder (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    target TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX usage_folder_key ON usage_folder (project, role, key);
CREATE UNIQUE INDEX usage_folder_target ON usage_folder (project, role, target);
CREATE TABLE usage_name (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    folder INTEGER NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    item INTEGER NOT NULL,
    present INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX usage_name_key ON usage_name (folder, key);
CREATE INDEX usage_name_item ON usage_name (item);
CREATE INDEX usage_name_list ON usage_name (folder) WHERE present = 1;
";

/// What goes with a project to other machines and through history: what only its manifest knew of items, and whose the
/// names in folders of usages are, by ids; and operations that history only tells of.
const WITH_PROJECTS: &str = "
-- `base`: of which project's manifest, or 0: brought along into the library.
CREATE TABLE entry (
    item INTEGER NOT NULL,
    base INTEGER NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (item, base)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_base ON entry (base);
-- Empty where the item was removed before ids were kept: nobody gets such a name.
ALTER TABLE usage_name ADD COLUMN media_id TEXT NOT NULL DEFAULT '' COLLATE NOCASE;
UPDATE usage_name SET media_id = coalesce((SELECT i.media_id FROM item i WHERE i.number = usage_name.item), '');
CREATE INDEX usage_name_owner ON usage_name (media_id);
-- Else each item that a track gets goes through all that it has.
CREATE INDEX usage_name_of ON usage_name (folder, item);
-- 0: history only tells of it, and holds no steps.
ALTER TABLE operation ADD COLUMN revertible INTEGER NOT NULL DEFAULT 1;
CREATE INDEX operation_told ON operation (number) WHERE revertible = 0;
";

/// By what name the manifest that was read or written last tells of an item: who has another one has renamed it since.
const TOLD_NAMES: &str = "ALTER TABLE item ADD COLUMN told TEXT;";

/// Usages that were removed, and when, in milliseconds since 1970 (0: nobody knows): what another copy of the project still
/// has of them does not bring them back.
const REMOVED_USAGES: &str = "
CREATE TABLE removed_usage (
    item INTEGER NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    target TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (item, project, role, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_usage_project ON removed_usage (project);
";

/// Missing items, by the project that they are of: a warning names them, which is looked for every few seconds.
const MISSING: &str = "
CREATE INDEX item_missing ON item (scope, number) WHERE availability = 5;
";

/// The newest version that is known here.
pub(super) fn known_version() -> u32 {
    u32::try_from(VERSIONS.len()).unwrap_or(u32::MAX)
}

/// Looks at a file without writing to it: is it a catalog of a version that is known, or empty?
pub(super) fn examine(connection: &Connection, path: &Path) -> Result<()> {
    let number = |pragma: &str| -> rusqlite::Result<i64> {
        connection.query_row(pragma, [], |row| row.get(0))
    };
    let look = |e| failed(path, "looking at its version", e);
    let version = number("PRAGMA user_version").map_err(look)?;
    let application = number("PRAGMA application_id").map_err(look)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(look)?;
    if application != i64::from(APPLICATION_ID) && (tables > 0 || version != 0) {
        return Err(CatalogError::NotACatalog {
            path: path.to_path_buf(),
        });
    }
    let known = known_version();
    let found = u32::try_from(version).unwrap_or(u32::MAX);
    if found > known {
        return Err(CatalogError::NewerVersion {
            path: path.to_path_buf(),
            found,
            known,
        });
    }
    Ok(())
}

/// Brings an examined file to the present version.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let version = known_version();
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|e| failed(path, "looking at its version", e))?;
    if found == version {
        return Ok(());
    }
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(|e| failed(path, "marking it as a catalog", e))?;
    Migrations::from_slice(VERSIONS)
        .to_latest(connection)
        .map_err(|source| CatalogError::Migration {
            path: path.to_path_buf(),
            version,
            source: Box::new(source),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn migrations_are_well_formed() {
        super::Migrations::from_slice(super::VERSIONS)
            .validate()
            .unwrap();
    }
}
