//! The methods of the control protocol: name, parameters and answer of each, as types.
//!
//! The [service](super::Service) answers them, the [client](super::Client) calls them; both know a method by its
//! type, so that neither can misspell it. Field names on the wire are camelCase. A newer daemon's unknown fields are
//! ignored; parameters that are not known are [refused](super::params).

mod analysis;
mod away;
mod history;
mod media;
mod project;
mod relink;
mod resolve;
mod session;
mod takes;
mod usages;

use mediafs_platform::process::{ProcessId, StartTime};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::wire_path::WirePath;
use crate::model::{MediaId, MediaItem};
use crate::tree::class::Class;

pub use analysis::*;
pub use away::*;
pub use history::*;
pub use media::*;
pub use project::*;
pub use relink::*;
pub use resolve::*;
pub use session::*;
pub use takes::*;
pub use usages::*;

/// The newest version of the protocol that is spoken here; raised when something a client relies on changes.
pub const PROTOCOL: u32 = 1;

/// The oldest that is spoken still.
pub const OLDEST_PROTOCOL: u32 = 1;

/// A method: its name ties its parameters to its answer.
pub trait Method {
    /// `area.verb`.
    const NAME: &'static str;
    /// What it takes.
    type Params: Serialize + DeserializeOwned + JsonSchema;
    /// What it gives.
    type Answer: Serialize + DeserializeOwned + JsonSchema;
}

/// A method, as the [schema](super::schema) tells of it.
pub(super) struct MethodDescription {
    /// `area.verb`.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) doc: &'static str,
    /// Of what it takes.
    pub(super) params: fn(&mut SchemaGenerator) -> Schema,
    /// Of what it gives.
    pub(super) answer: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $method:ident = $name:literal: $params:ty => $answer:ty;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $method {}
            impl Method for $method {
                const NAME: &'static str = $name;
                type Params = $params;
                type Answer = $answer;
            }
        )+
        /// The names of all methods.
        pub const METHODS: &[&str] = &[$($name),+];

        /// What the schema says of each.
        pub(super) const DESCRIBED: &[MethodDescription] = &[$(MethodDescription {
            name: $name,
            doc: concat!($($doc),+),
            params: SchemaGenerator::subschema_for::<$params>,
            answer: SchemaGenerator::subschema_for::<$answer>,
        }),+];
    };
}

methods! {
    /// Who is there, and which version of the protocol the two speak. Say it first; all else is answered without it, in the
    /// newest version. After a hello that was refused, only another one and `session.shutdown` are answered.
    SessionHello = "session.hello": HelloParams => Hello;
    /// Stops a request of this connection (it is answered soon, with what it did), or a task.
    SessionCancel = "session.cancel": CancelParams => Nothing;
    /// From now on events are told on this connection, instead of those that were told before. With `since`, those after
    /// that number come first, or `session.missed` where they are not kept any more.
    SessionSubscribe = "session.subscribe": SubscribeParams => Subscribed;
    /// No more events on this connection.
    SessionUnsubscribe = "session.unsubscribe": Nothing => Nothing;
    /// What is not as it should be.
    SessionWarnings = "session.warnings": Nothing => WarningList;
    /// What is going on, and what has ended lately.
    SessionTasks = "session.tasks": Nothing => TaskList;
    /// One task, also one that has ended not long ago.
    SessionTask = "session.task": TaskParams => TaskAnswer;
    /// Unmounts and ends the daemon. Answered before it ends. The same in every version of the protocol.
    SessionShutdown = "session.shutdown": Nothing => Nothing;
    /// What is mounted, what it holds, how it is.
    DriveStatus = "drive.status": Nothing => Status;
    /// Checks the catalog and the watching.
    DriveCheck = "drive.check": Nothing => Check;
    /// Lists what could not be taken in, a page at a time.
    DriveProblems = "drive.problems": ProblemsParams => ProblemsPage;
    /// One item.
    MediaGet = "media.get": Which => MediaItem;
    /// Items whose name, tags, path or id hold every word of the query, a page at a time.
    MediaSearch = "media.search": SearchParams => SearchPage;
    /// Makes items of files and folders.
    MediaImport = "media.import": ImportParams => ImportAnswer;
    /// Looks at library roots again.
    MediaScan = "media.scan": ScanParams => ScanAnswer;
    /// Takes a library root off; its items stay.
    MediaForgetLibrary = "media.forgetLibrary": ForgetLibraryParams => ForgottenLibrary;
    /// Where the bytes of items can be read on this machine without the drive, or why they cannot.
    MediaResolve = "media.resolve": ResolveParams => ResolveAnswer;
    /// Points an item to other bytes.
    MediaRelink = "media.relink": RelinkParams => Changed;
    /// Gives an item another name.
    MediaRename = "media.rename": RenameParams => Changed;
    /// Removes an item; its file stays where it is. Refused where something uses it, unless forced.
    MediaRemove = "media.remove": RemoveParams => Removed;
    /// Removes items of the library whose file is gone for good, that nothing uses, and of which nobody has told anything.
    MediaForgetUnused = "media.forgetUnused": ForgetUnusedParams => ForgottenUnused;
    /// Adds tags.
    MediaTag = "media.tag": TagParams => Changed;
    /// Takes tags off, for good.
    MediaUntag = "media.untag": TagParams => Changed;
    /// Reserves a take: an id, and a path to write it to.
    MediaReserve = "media.reserve": ReserveParams => Reserved;
    /// Makes a take final: its header is put right, it is read, and moved to where it stays. Close it first: one that a
    /// program writes still is waited for, two seconds at most, and then refused.
    MediaFinalise = "media.finalise": FinaliseParams => Finalised;
    /// Gives a take up. Its file stays for 30 days.
    MediaAbandon = "media.abandon": AbandonParams => Abandoned;
    /// Takes that are not final.
    MediaTakes = "media.takes": TakesParams => TakeList;
    /// Moves takes to the trash that were given up more than 30 days ago, and that nothing names.
    MediaCleanup = "media.cleanup": CleanupParams => CleanupAnswer;
    /// Gives an item a value by hand, or takes one away.
    MediaSetAttribute = "media.setAttribute": SetAttributeParams => Changed;
    /// Looks in folders for the files of missing items, and relinks to those that are certain.
    MediaRelinkSearch = "media.relinkSearch": RelinkSearchParams => RelinkSearchAnswer;
    /// Files that may stand in for an item.
    MediaCandidates = "media.candidates": CandidatesParams => CandidateList;
    /// Gives an item other bytes, with consent; without, tells what would differ and who would hear it.
    MediaReplace = "media.replace": ReplaceParams => ReplaceAnswer;
    /// Who uses what, a page at a time.
    UsagesList = "usages.list": UsagesListParams => UsagesPage;
    /// Something uses an item.
    UsagesAdd = "usages.add": UsagesParams => UsagesAnswer;
    /// It does no more.
    UsagesRemove = "usages.remove": UsagesParams => UsagesAnswer;
    /// These and no others of a project use items, as the host sees it.
    UsagesSet = "usages.set": UsagesSetParams => UsagesAnswer;
    /// Items of which analyses are not made yet, a page at a time.
    AnalysisWanted = "analysis.wanted": AnalysisWantedParams => AnalysisWantedPage;
    /// Keeps what an analysis made of an item's bytes. Refused where the item has other bytes by now.
    AnalysisPut = "analysis.put": AnalysisPutParams => AnalysisStored;
    /// What an analysis made of an item's bytes.
    AnalysisGet = "analysis.get": AnalysisGetParams => AnalysisArtefact;
    /// What was done, the newest first, a page at a time.
    HistoryList = "history.list": HistoryListParams => HistoryPage;
    /// Reverts an operation, a revert or a group; or tells what stands in the way, and changes nothing.
    HistoryRevert = "history.revert": HistoryRevertParams => RevertAnswer;
    /// Reverts what was done last, where no host has its project open: a host that has calls `history.revert`, in its own order.
    HistoryUndo = "history.undo": HistoryUndoParams => RevertAnswer;
    /// Does again what was reverted last.
    HistoryRedo = "history.redo": HistoryUndoParams => RevertAnswer;
    /// Brings items into the cache; answered at once, with the tasks that do so.
    MediaHydrate = "media.hydrate": ItemsParams => HydrateAnswer;
    /// Keeps the bytes of items in the cache, once they are there; brings them.
    MediaPin = "media.pin": ItemsParams => HydrateAnswer;
    /// Lets the bytes of items go, should there be no room.
    MediaUnpin = "media.unpin": ItemsParams => HydrateAnswer;
    /// Where an item's bytes are, or were seen last.
    MediaWhereIs = "media.whereIs": Which => WhereIs;
    /// Which items whom was given silence of, and is given still.
    MediaSilences = "media.silences": Nothing => SilenceList;
    /// Whether a file is silence that was given in the place of an item.
    MediaStandIn = "media.standIn": StandInParams => StandInAnswer;
    /// A part of the silence of an item.
    MediaSilence = "media.silence": SilenceParams => SilenceBytes;
    /// Copies an item of a project into the library, under the same id.
    MediaPromote = "media.promote": ProjectUseParams => MadeItem;
    /// Makes a project in a folder, and opens it.
    ProjectNew = "project.new": ProjectNewParams => ProjectOpened;
    /// Opens a project: its items are on the drive.
    ProjectOpen = "project.open": ProjectOpenParams => ProjectOpened;
    /// Writes what is known of a project into its manifest; without one named, of that in focus.
    ProjectSave = "project.save": ProjectSaveParams => ProjectSaved;
    /// Saves a project as another one, and opens that.
    ProjectSaveAs = "project.saveAs": ProjectSaveAsParams => ProjectSavedAs;
    /// Keeps a state that the host wants to have again.
    ProjectSaveDraft = "project.saveDraft": DraftParams => DraftInfo;
    /// Such a state.
    ProjectDraft = "project.draft": DraftWhich => DraftState;
    /// Forgets such a state.
    ProjectRemoveDraft = "project.removeDraft": DraftWhich => DraftInfo;
    /// Closes a project; without one named, that in focus. Its items stay known, and so does what was not saved: it is in the
    /// catalog, `project.status` says `unsaved`, and the project has it when it is opened again. Changes that are not to stay
    /// are reverted before, each operation by `history.revert`, the newest first, as `history.list` names them.
    ProjectClose = "project.close": ProjectWhich => ProjectInfo;
    /// All projects that are known.
    ProjectList = "project.list": Nothing => ProjectListAnswer;
    /// How a project is; without one named, that in focus.
    ProjectStatus = "project.status": ProjectWhich => ProjectStatusAnswer;
    /// Lets in what is held back of a manifest.
    ProjectAllow = "project.allow": ProjectAllowParams => ProjectOpened;
    /// The manifest as it would be saved now.
    ProjectExport = "project.export": ProjectWhich => ProjectText;
    /// Rebuilds a project from what was exported, and opens it.
    ProjectLoad = "project.load": ProjectLoadParams => ProjectOpened;
    /// Whether a project plays with every cable and network off; brings what it needs for that.
    ProjectReady = "project.ready": ReadyParams => ReadyAnswer;
    /// Makes an item of the library one of a project, too: the same file, under the same id.
    ProjectUse = "project.use": ProjectUseParams => MadeItem;
    /// Volumes, shares and cloud folders: those that are there, and those that are known.
    VolumeList = "volume.list": Nothing => Volumes;
    /// Lets go of a volume, so that it can be unmounted.
    VolumeEject = "volume.eject": VolumeWhich => VolumeStatus;
    /// Writes a small file on a disk by which it is told from others of one serial number, and known again in another box.
    VolumeMark = "volume.mark": VolumeWhich => VolumeStatus;
    /// Paths of the drive as other systems or earlier mounts had it, as paths of this drive; or the other way.
    PathsTranslate = "paths.translate": TranslateParams => TranslateAnswer;
    /// Lets a process fetch as much as it likes.
    RequestersAllow = "requesters.allow": AllowParams => Nothing;
    /// Says what a process and its descendants are.
    RequestersRegister = "requesters.register": RegisterParams => Nothing;
    /// Strict mode on or off for a registered process.
    RequestersSetMode = "requesters.setMode": SetModeParams => Nothing;
    /// How full the cache is.
    CacheStats = "cache.stats": Nothing => CacheNumbers;
    /// Reads every object again and sets damaged ones aside.
    CacheVerify = "cache.verify": Nothing => CacheVerified;
    /// Frees room.
    CacheEvict = "cache.evict": EvictParams => CacheEvicted;
}

/// No parameters, or nothing to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// How the drive is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// A daemon serves this home.
    pub running: bool,
    /// The daemon's process.
    pub pid: Option<u32>,
    /// The version of the program.
    pub version: String,
    /// The folder of catalog and cache.
    pub home: WirePath,
    /// The mounted drive.
    pub mount: Option<MountStatus>,
    /// Library roots.
    pub libraries: Vec<BaseStatus>,
    /// Projects.
    pub projects: Vec<BaseStatus>,
    /// How many items there are.
    pub items: ItemCounts,
    /// Files that could not be read.
    pub problems: u64,
    /// What else in the folders could not be taken in: pipes, links that lead out, folders that can't be read. Known
    /// to a daemon, as far as it has looked.
    pub left_out: u64,
    /// What is going on.
    pub tasks: Vec<TaskProgress>,
    /// What is not as it should be, each with what to do.
    pub warnings: Vec<String>,
}

/// The mounted drive.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountStatus {
    /// Where.
    pub point: WirePath,
    /// The kernel reads trusted files itself.
    pub passthrough: bool,
    /// If it does not, why.
    pub passthrough_note: String,
    /// How it gets to the system: `fuse`; or `nfs`, by which everybody is a copier.
    #[serde(default)]
    pub transport: String,
    /// Where a program that speaks NFS finds the drive, where this system cannot mount it. Who knows it can read all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Files that programs have open on it.
    #[serde(default)]
    pub open_handles: u64,
    /// Items and files that the kernel holds nodes of.
    #[serde(default)]
    pub known_files: u64,
}

/// A library root or a project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseStatus {
    /// As shown on the drive.
    pub name: String,
    /// On disk.
    pub path: WirePath,
    /// A library: registered. A project: open.
    pub active: bool,
    /// Why its folder cannot be looked into now, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How many items are how.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemCounts {
    /// All.
    pub total: u64,
    /// By where the original is; states without items are left out.
    pub availability: std::collections::BTreeMap<String, u64>,
    /// By what a player gets.
    pub playable: std::collections::BTreeMap<String, u64>,
}

/// What a check found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is wrong with the catalog; empty if it is sound.
    pub catalog: Vec<String>,
    /// Library folders that are not watched, with the reason.
    pub unwatched: Vec<Problem>,
    /// What could not be done at the start of the daemon.
    pub warnings: Vec<String>,
}

/// Of `drive.problems`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemsParams {
    /// Where the page before ended; 0: the beginning.
    #[serde(default)]
    pub after: u64,
    /// Most of a page; at most 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl ProblemsParams {
    /// Most of a page.
    pub const MOST: u32 = 1000;
}

/// Some of what could not be taken in.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemsPage {
    /// Files that promise sound and can't be read as such. They come first.
    pub unreadable: Vec<Problem>,
    /// What else could not be taken in.
    pub left_out: Vec<Problem>,
    /// For the next page's `after`; `null`: that was the last one.
    pub next: Option<u64>,
}

/// What is not as it should be on the disk.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Which.
    pub path: WirePath,
    /// Why.
    pub reason: String,
}

/// Of `requesters.register`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterParams {
    /// The process.
    pub pid: u32,
    /// When it started, as `/proc/PID/stat` tells (clock ticks since boot), so that a reused pid is noticed.
    pub start_time: u64,
    /// What it and its descendants are.
    pub class: Class,
    /// A player gets a copier's deal.
    #[serde(default)]
    pub strict: bool,
}

impl RegisterParams {
    /// The process.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        ProcessId(self.pid)
    }

    /// When it started.
    #[must_use]
    pub fn started(&self) -> StartTime {
        StartTime(self.start_time)
    }
}

/// Of `requesters.setMode`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetModeParams {
    /// A registered process.
    pub pid: u32,
    /// When it started.
    pub start_time: u64,
    /// A player gets a copier's deal.
    pub strict: bool,
}

impl SetModeParams {
    /// The process.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        ProcessId(self.pid)
    }

    /// When it started.
    #[must_use]
    pub fn started(&self) -> StartTime {
        StartTime(self.start_time)
    }
}

/// How full the cache is. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheNumbers {
    /// Whole objects.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// The part of them that is never evicted.
    pub pinned_bytes: u64,
    /// Reserved for objects on their way.
    pub reserved_bytes: u64,
    /// Damaged objects that were set aside.
    pub damaged_bytes: u64,
    /// The most it takes.
    pub quota_bytes: u64,
    /// What it leaves free on its disk.
    pub free_floor_bytes: u64,
}

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheVerified {
    /// Objects that are what their names say.
    pub intact: u64,
    /// Their size, in bytes.
    pub intact_bytes: u64,
    /// BLAKE3 of those that are not; they were set aside.
    pub damaged: Vec<String>,
    /// BLAKE3 of those that were not there any more.
    pub vanished: Vec<String>,
    /// The sounds whose bytes all of these were.
    #[serde(default)]
    pub sounds: Vec<LostCopy>,
}

/// A sound whose copy in the cache is lost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostCopy {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// BLAKE3 of its bytes.
    pub blake3: String,
    /// It is pinned, and was asked for anew.
    pub fetched_again: bool,
}

/// Of `cache.evict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvictParams {
    /// How much room to make, in bytes; none: all that is neither pinned nor open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What an eviction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheEvicted {
    /// Room made, in bytes.
    pub bytes: u64,
}

/// What a long task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum TaskKind {
    /// Looking at a folder.
    Scan,
    /// Making items.
    Import,
    /// Reading objects of the cache again.
    Verify,
    /// Bringing the bytes of an item into the cache.
    Hydrate,
    /// Looking for the files of items.
    Relink,
}

impl TaskKind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scan => "scanning",
            Self::Import => "importing",
            Self::Verify => "verifying",
            Self::Hydrate => "fetching",
            Self::Relink => "relinking",
        }
    }
}

/// How far a long task is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskProgress {
    /// What.
    pub kind: TaskKind,
    /// Of what, for people.
    pub subject: String,
    /// Files done.
    pub done: u64,
    /// Files in all; `null` while that is not known.
    pub total: Option<u64>,
}

/// What the caller of a long method is told before its answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", content = "params")]
#[non_exhaustive]
pub enum Notification {
    /// How far it is. May be left out when the caller is slow.
    #[serde(rename = "request.progress")]
    Progress(TaskProgress),
}

/// Of `request.progress`, as it goes over a connection, where many requests may be under way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestProgress {
    /// The id of the request.
    pub request: serde_json::Value,
    /// How far it is.
    #[serde(flatten)]
    pub progress: TaskProgress,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::MediaId;
    use serde_json::json;

    #[test]
    fn names_are_areas_and_verbs_and_unique() {
        let mut names = METHODS.to_vec();
        assert!(names.iter().all(|name| name.split('.').count() == 2));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METHODS.len());
    }

    #[test]
    fn parameters_have_the_shape_of_the_protocol() {
        let params: TagParams =
            serde_json::from_value(json!({"mediaId": "kick-1", "tags": ["Drum"], "later": 1}))
                .unwrap();
        assert_eq!(params.item.media_id, Some("kick-1".parse().unwrap()));
        let params = RelinkParams {
            item: MediaId::new().into(),
            to: WirePath("/a/b".into()),
            intent: Intent::default(),
        };
        let written = serde_json::to_value(&params).unwrap();
        assert_eq!(written["to"], "/a/b");
        assert!(written.get("group").is_none());
        let params: RenameParams =
            serde_json::from_value(json!({"mediaId": "kick-1", "name": "x", "group": "g"}))
                .unwrap();
        assert_eq!(params.intent.group.as_deref(), Some("g"));
        let params: RegisterParams =
            serde_json::from_value(json!({"pid": 1, "startTime": 2, "class": "player"})).unwrap();
        assert!(!params.strict);
        assert!(serde_json::from_value::<Which>(json!({"mediaId": "../x"})).is_err());
        let note = Notification::Progress(TaskProgress {
            kind: TaskKind::Import,
            subject: "x".to_owned(),
            done: 1,
            total: None,
        });
        let value = serde_json::to_value(&note).unwrap();
        assert_eq!(value["method"], "request.progress");
        assert_eq!(value["params"]["done"], 1);
        assert_eq!(serde_json::from_value::<Notification>(value).unwrap(), note);
    }
}
