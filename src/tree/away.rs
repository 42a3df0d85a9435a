//! Opening and reading what is not on trusted storage: from the cache, as a stream, as silence, or by waiting; who gets
//! what is the table "What an open gives".

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use mediafs_cache::OpenObject;
use mediafs_platform::drive::{
    Answer, Attributes, Content, DriveError, NodeId, OpenMode, Opened, Requester,
};
use mediafs_platform::process::Process;
use parking_lot::Mutex;

use super::attributes::at_hand;
use super::bringing::{Bringing, Holder, Of, StreamHandle, WaitingHandle, is_at_hand};
use super::class::Class;
use super::deal::{Cut, wait};
use super::handles::{Handles, Hears, Shown, given};
use super::node::{Door, Face, generation_bits};
use super::stream::Epochs;
use super::{MediaDrive, failed};
use crate::catalog::{AtHand, Catalog, ItemNo, ItemRow, PlaceNo, PlaceRow};
use crate::hydrate::{IfFull, Priority, Stream, Wanted};
use crate::model::{Availability, ObjectHash, Playable, SourceKind, SourceNo, SourceState};
use crate::silence::{Placeholder, placeholder};

/// What is to be brought for a file, and what is known of where it is.
struct ToBring {
    wanted: Wanted,
    kind: SourceKind,
    is_online_only: bool,
}

impl MediaDrive {
    fn holder(&self, class: Class, by: &Requester) -> Holder {
        let plays = matches!(class, Class::Player | Class::Loader);
        Holder {
            class,
            process: self.requesters.process_of(by),
            is_known_player: plays && self.requesters.is_known_player(by),
            is_traceless: false,
        }
    }

    /// As [`MediaDrive::holder`], of one whose first read may only be to know a type.
    fn holder_of(&self, class: Class, mode: OpenMode, by: &Requester) -> Holder {
        Holder {
            is_traceless: mode.traceless,
            ..self.holder(class, by)
        }
    }

    /// Which stream node of an item a class opens now.
    pub(super) fn epoch_of(&self, item: &ItemRow, face: Face, class: Option<Class>) -> u8 {
        let bringing = self.bringing.get().filter(|_| face == Face::Stream);
        bringing.map_or(0, |bringing| {
            let generation = generation_bits(item.generation);
            bringing.epochs.current(item.row, generation, loads(class))
        })
    }

    fn open_handle(&self, id: NodeId, attributes: Attributes, shown: Shown) -> Opened {
        self.handles.open_direct(id, attributes, shown)
    }

    /// Opens an object of the cache, whose file has these attributes. `Stale` if it was evicted just now.
    pub(super) fn open_object(
        &self,
        id: NodeId,
        attributes: Attributes,
        hash: ObjectHash,
    ) -> Result<Opened, DriveError> {
        let (object, file) = self.object(&attributes, hash)?;
        let attributes = Attributes {
            inode: id.0,
            ..attributes
        };
        let handle = self.handles.open(id, attributes, Shown::Object(object));
        Ok(Opened {
            handle,
            content: Content::File(file),
        })
    }

    fn object(
        &self,
        attributes: &Attributes,
        hash: ObjectHash,
    ) -> Result<(Arc<OpenObject>, Arc<File>), DriveError> {
        let bringing = self.bringing.get().ok_or(DriveError::Stale)?;
        let (object, file) = bringing.object(hash).ok_or(DriveError::Stale)?;
        // Who reads goes as far as the object does, and was told another size.
        if object.size() != attributes.size {
            return Err(DriveError::Io);
        }
        Ok((object, file))
    }

    /// What is to be brought for a place; `None` where that is on trusted storage.
    fn wanted(&self, place: &PlaceRow) -> Result<Option<ToBring>, DriveError> {
        let reader = self.reader()?;
        let Some(wanted) = Wanted::of(&reader, place).map_err(failed)? else {
            return Ok(None);
        };
        let source = reader.source(wanted.source).map_err(failed)?;
        Ok(Some(ToBring {
            kind: source.map_or(SourceKind::Volume, |row| row.kind),
            is_online_only: place.online_only,
            wanted,
        }))
    }

    fn wanted_of(&self, item: &ItemRow) -> Result<Option<ToBring>, DriveError> {
        let place = match item.place {
            Some(place) => self.reader()?.place(place).map_err(failed)?,
            None => None,
        };
        place.map_or(Ok(None), |place| self.wanted(&place))
    }

    fn silence_of(&self, item: &ItemRow) -> Result<Arc<dyn Placeholder>, DriveError> {
        let reader = self.reader()?;
        let format = reader
            .format(item.row)
            .map_err(failed)?
            .ok_or(DriveError::Missing)?;
        let capsule = reader.capsule(item.row).map_err(failed)?;
        placeholder(&format, item.size, capsule.as_ref())
            .map(Arc::from)
            .map_err(|_| DriveError::Missing)
    }

    /// A `stream` node: for players and loaders of what is connected and has its silence in the same places.
    pub(super) fn open_stream(
        &self,
        id: NodeId,
        door: Door,
        item: ItemNo,
        generation: u16,
        epoch: u8,
        by: &Requester,
    ) -> Result<Opened, DriveError> {
        let row = self.generation_of(item, generation)?;
        // What is in the cache since the name was looked up is read from there: were that stale, and evicted before the
        // kernel looks it up again, the program would be told so.
        if !matches!(row.playable, Playable::Partial | Playable::Bytes) {
            return Err(DriveError::Stale);
        }
        let class = self.class(door, by, true);
        // Nobody who is known for something else than playing is given silence, whoever looked the name up.
        if !matches!(class, Class::Player | Class::Loader) {
            return Err(DriveError::Stale);
        }
        // Each of the two has nodes of its own.
        if Epochs::loads(epoch) != loads(Some(class)) {
            return Err(DriveError::Stale);
        }
        let bringing = self.bringing.get().ok_or(DriveError::NoMedium)?;
        let ToBring { wanted, .. } = self.wanted_of(&row)?.ok_or(DriveError::Stale)?;
        let holder = self.holder(class, by);
        let silence = self.silence_of(&row)?;
        let node = bringing.epochs.node(item, generation, epoch, silence);
        // Who is braked hears what arrives for others, and silence; no error.
        node.begin(|| bringing.begin(&wanted, &holder, IfFull::Pass));
        let handle = StreamHandle {
            node,
            of: Of {
                item,
                generation,
                loads: loads(Some(class)),
            },
            source: wanted.source,
            holder,
            catalog: Arc::clone(&self.catalog),
            patience: Mutex::new(bringing.deals.loader()),
        };
        let attributes = self.item_attributes(&row, door);
        Ok(self.open_handle(id, attributes, Shown::Stream(Arc::new(handle))))
    }

    /// A `silence` node: for players and loaders of what is away, or comes whole or not at all.
    pub(super) fn open_silence(
        &self,
        id: NodeId,
        door: Door,
        item: ItemNo,
        generation: u16,
        by: &Requester,
    ) -> Answer<Opened> {
        match self.silence_for(id, door, item, generation, by) {
            Ok((silent, None)) => Answer::Now(Ok(silent.open(&self.handles))),
            Ok((silent, Some(coming))) => {
                let handles = Arc::clone(&self.handles);
                Answer::Later(Box::pin(coming.or_silence(silent, handles, by.thread)))
            }
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn silence_for(
        &self,
        id: NodeId,
        door: Door,
        item: ItemNo,
        generation: u16,
        by: &Requester,
    ) -> Result<(Silent, Option<Coming>), DriveError> {
        let row = self.generation_of(item, generation)?;
        let class = self.class(door, by, true);
        match (class, row.playable) {
            _ if at_hand(&row) => return Err(DriveError::Stale),
            (Class::Player | Class::Loader, Playable::Silence) => {}
            (Class::Player, Playable::Error) => {
                // Never a guess; but next time it may be there.
                drop(self.coming(&row, &self.holder(class, by))?);
                return Err(DriveError::Missing);
            }
            _ => return Err(DriveError::Stale),
        }
        let silence = self.silence_of(&row)?;
        let holder = self.holder(class, by);
        let coming = self.coming(&row, &holder)?;
        let hears = Arc::new(Hears {
            item,
            process: holder.process.clone(),
        });
        let attributes = self.item_attributes(&row, door);
        let silent = Silent {
            id,
            attributes,
            shown: Shown::Silence(silence, hears),
        };
        Ok((silent, coming))
    }

    /// Hydration of what can be reached, for a player or loader that is to get it whole if it comes in time.
    fn coming(&self, row: &ItemRow, holder: &Holder) -> Result<Option<Coming>, DriveError> {
        let reached = matches!(
            row.availability,
            Availability::ExternalOnline | Availability::RemoteFetching
        );
        let Some(bringing) = self.bringing.get().filter(|_| reached) else {
            return Ok(None);
        };
        let Some(ToBring { wanted, .. }) = self.wanted_of(row)? else {
            return Ok(None);
        };
        // A player that is braked gets silence, and no error.
        let Ok(stream) = bringing.begin(&wanted, holder, IfFull::Fail) else {
            return Ok(None);
        };
        Ok(Some(Coming {
            bringing: Arc::clone(bringing),
            catalog: Arc::clone(&self.catalog),
            item: row.row,
            source: wanted.source,
            stream,
            holder: holder.clone(),
        }))
    }

    /// The true bytes or an error. Where they are on trusted storage by now, a look-up leads to them.
    pub(super) fn open_withheld(
        &self,
        id: NodeId,
        door: Door,
        item: ItemNo,
        generation: u16,
        mode: OpenMode,
        by: &Requester,
    ) -> Result<Opened, DriveError> {
        let row = self.generation_of(item, generation)?;
        // Asked as outside `by-id/`: who is unknown and came by there was given a player's node.
        let class = self.class(door, by, false);
        let other_face = match class {
            Class::Player => true,
            Class::Loader => matches!(row.playable, Playable::Silence | Playable::Partial),
            _ => false,
        };
        if other_face {
            return Err(DriveError::Stale);
        }
        match (row.availability, class) {
            // As for a stream.
            _ if at_hand(&row) => {}
            (Availability::Missing | Availability::Local, _) => return Err(DriveError::Missing),
            (_, Class::Indexer) => return Err(DriveError::NotNow),
            (Availability::ExternalOffline, _) => return Err(DriveError::NoMedium),
            (Availability::RemoteOffline, _) => return Err(DriveError::Unreachable),
            (Availability::RemoteFetching | Availability::ExternalOnline, _) => {}
        }
        let bring = self.wanted_of(&row)?.ok_or(DriveError::Stale)?;
        let attributes = self.item_attributes(&row, door);
        let holder = self.holder_of(class, mode, by);
        Ok(self.open_waiting(id, attributes, bring, holder))
    }

    fn open_waiting(
        &self,
        id: NodeId,
        attributes: Attributes,
        bring: ToBring,
        holder: Holder,
    ) -> Opened {
        let offline = absent(bring.kind);
        let waiting = WaitingHandle::new(bring.wanted, holder, offline, bring.is_online_only);
        self.open_handle(id, attributes, Shown::Waiting(Arc::new(waiting)))
    }

    /// A file that is no item, where it is not on trusted storage; `None` where it is. There is no silence of it, so
    /// everybody waits, each as long as its class does.
    pub(super) fn open_place_away(
        &self,
        id: NodeId,
        door: Door,
        place: PlaceNo,
        generation: u16,
        mode: OpenMode,
        by: &Requester,
    ) -> Result<Option<Opened>, DriveError> {
        let row = self.place_of(place, generation)?;
        let Some(bring) = self.wanted(&row)? else {
            return Ok(None);
        };
        let attributes = Attributes {
            inode: id.0,
            ..self.place_attributes(&row, door)
        };
        let reader = self.reader()?;
        match reader.place_at_hand(place).map_err(failed)? {
            Some(AtHand::Object(hash)) => {
                let (object, _) = self.object(&attributes, hash)?;
                // Not as a file: another may have the node open who waits for it, and a node is read in one way.
                let opened = self.open_handle(id, attributes, Shown::Object(object));
                return Ok(Some(opened));
            }
            // Of the same bytes, but it may go at any time, and this node has no other face.
            Some(AtHand::Twin(_)) | None => {}
        }
        let class = self.class(door, by, false);
        if class == Class::Indexer {
            return Err(DriveError::NotNow);
        }
        if !row.present || !reader.source_state(bring.wanted.source).is_online() {
            return Err(absent(bring.kind));
        }
        let holder = self.holder_of(class, mode, by);
        Ok(Some(self.open_waiting(id, attributes, bring, holder)))
    }

    pub(super) fn read_shown(
        &self,
        shown: &Shown,
        offset: u64,
        length: u32,
        by: &Requester,
    ) -> Answer<Bytes> {
        match (shown, self.bringing.get()) {
            (Shown::Stream(handle), Some(bringing)) => {
                bringing.read_stream(Arc::clone(handle), offset, given(length), by.thread)
            }
            (Shown::Waiting(handle), Some(bringing)) => {
                bringing.read_waiting(Arc::clone(handle), offset, given(length), by.thread)
            }
            _ => Answer::Now(match shown.read(offset, length) {
                Ok(Some(bytes)) => {
                    if let (Shown::Silence(_, hears), Some(bringing)) = (shown, self.bringing.get())
                    {
                        self.note(bringing, hears, &bytes);
                    }
                    Ok(bytes)
                }
                // Only with `bringing` is there anything that waits.
                Ok(None) => Err(DriveError::NotFound),
                Err(error) => Err(error),
            }),
        }
    }

    fn note(&self, bringing: &Bringing, hears: &Hears, bytes: &Bytes) {
        let process: Option<&Process> = hears.process.as_deref();
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        bringing.note_silence(hears.item, process, bytes, || self.is_back(hears.item));
    }

    /// A player that opens it now gets sound of it, at least as it comes.
    fn is_back(&self, item: ItemNo) -> bool {
        let row = self.reader().and_then(|r| r.item(item).map_err(failed));
        row.is_ok_and(|row| row.is_some_and(|row| plays(&row)))
    }

    /// The bytes of an item may be back.
    pub(super) fn look_whether_restored(&self, item: ItemNo) {
        let Some(bringing) = self.bringing.get() else {
            return;
        };
        bringing.swapped.notify_waiters();
        if !bringing.silenced.has(item) {
            return;
        }
        let row = self.reader().and_then(|r| r.item(item).map_err(failed));
        match row {
            Ok(Some(row)) if !at_hand(&row) => {}
            Ok(_) => bringing.restored(item),
            Err(_) => {}
        }
    }

    /// A source came or went. What the kernel keeps is at hand whatever becomes of it; all else is looked up each time.
    pub(super) fn source_changed(&self, source: SourceNo, state: SourceState) {
        let Some(bringing) = self.bringing.get() else {
            return;
        };
        if !state.is_online() {
            return;
        }
        bringing.deals.answered(source);
        for item in bringing.silenced.items() {
            if self.is_back(item) {
                bringing.restored(item);
            }
        }
    }
}

/// A player gets sound of it, at least as it comes.
fn plays(row: &ItemRow) -> bool {
    matches!(row.playable, Playable::Bytes | Playable::Partial)
}

fn loads(class: Option<Class>) -> bool {
    class == Some(Class::Loader)
}

/// What an absent source is to a program.
fn absent(kind: SourceKind) -> DriveError {
    match kind {
        SourceKind::Volume | SourceKind::Network => DriveError::NoMedium,
        SourceKind::Cloud => DriveError::Unreachable,
    }
}

/// Silence that is to be opened. Not yet, as nobody would close it if the drive went away meanwhile.
struct Silent {
    id: NodeId,
    attributes: Attributes,
    shown: Shown,
}

impl Silent {
    fn open(self, handles: &Handles) -> Opened {
        handles.open_direct(self.id, self.attributes, self.shown)
    }
}

/// A sound on its way.
struct Coming {
    bringing: Arc<Bringing>,
    catalog: Arc<Catalog>,
    item: ItemNo,
    source: SourceNo,
    stream: Stream,
    holder: Holder,
}

impl Coming {
    /// Waits for all of it: `Stale` if it comes in time, as its name leads to the sound then; else the silence.
    async fn or_silence(
        self,
        silent: Silent,
        handles: Arc<Handles>,
        thread: Option<u32>,
    ) -> Result<Opened, DriveError> {
        let deals = &self.bringing.deals;
        let plays = self.holder.class == Class::Player;
        let (patience, priority) = if plays {
            let key = self.holder.key();
            (deals.player(self.source, key), Priority::Player)
        } else {
            (deals.loader(), Priority::Copier)
        };
        match wait(
            self.leads_there(priority),
            patience,
            thread.filter(|_| !plays),
        )
        .await
        {
            Ok(true) => return Err(DriveError::Stale),
            Ok(false) => {}
            Err(Cut::Late) if plays => deals.missed(self.source, self.holder.key()),
            Err(Cut::Late) => {}
            Err(Cut::Dying) => return Err(DriveError::Interrupted),
        }
        Ok(silent.open(&handles))
    }

    /// All of it is here, and a look-up leads there: the kernel looks up once more only.
    async fn leads_there(&self, priority: Priority) -> bool {
        if !self.bringing.whole(&self.stream, priority).await {
            return false;
        }
        loop {
            // Hears of what is swapped from here on.
            let swapped = self.bringing.swapped.notified();
            if is_at_hand(&self.catalog, self.item) {
                return true;
            }
            swapped.await;
        }
    }
}
