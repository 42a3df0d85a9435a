//! Opening what is at hand: files on trusted storage. What is not is opened in `away`.

use std::fs::File;
use std::sync::Arc;

use mediafs_platform::drive::{
    Answer, Attributes, Content, DriveError, NodeId, OpenMode, Opened, Requester,
};

use super::attributes::at_hand;
use super::handles::Shown;
use super::known::Subject;
use super::node::{Door, Face, Node, generation_bits};
use super::source::{NotThere, Place, Source};
use super::{MediaDrive, failed};
use crate::catalog::{AtHand, ItemNo, ItemRow, PlaceNo, PlaceRow};

impl MediaDrive {
    pub(super) fn open_node(
        &self,
        node: Node,
        door: Door,
        mode: OpenMode,
        by: &Requester,
    ) -> Answer<Opened> {
        match node {
            Node::Text(text) => {
                let attributes = self.text_entry(text, door).attributes;
                let text = Shown::Text(text.content());
                Answer::Now(Ok(self.handles.open_direct(
                    node.id(door),
                    attributes,
                    text,
                )))
            }
            Node::Item {
                item,
                generation,
                face: Face::Bytes,
                ..
            } => self.open_bytes(node.id(door), generation, Subject::Item(item.0), || {
                self.item_source(item, generation)
            }),
            Node::Place { place, generation } if mode.write || mode.truncate => {
                self.take_over_place(place, generation)
            }
            Node::Place { place, generation } => {
                self.open_place(node.id(door), door, place, generation, mode, by)
            }
            Node::Item {
                item,
                generation,
                face: Face::Silence,
                ..
            } => self.open_silence(node.id(door), door, item, generation, by),
            Node::Item {
                item,
                generation,
                face: Face::Withheld,
                ..
            } => Answer::Now(self.open_withheld(node.id(door), door, item, generation, mode, by)),
            Node::Item {
                item,
                generation,
                face: Face::Stream,
                epoch,
            } => Answer::Now(self.open_stream(node.id(door), door, item, generation, epoch, by)),
            Node::Take { item, writable } => self.open_take(item, writable, door, mode),
            Node::Dropped(number) => self.open_dropped(number, door, mode),
            Node::Sidecar(number) => self.open_sidecar(number, door, mode),
            Node::Link { .. } => Answer::Now(Err(DriveError::Invalid)),
            _ => Answer::Now(Err(DriveError::IsFolder)),
        }
    }

    /// The catalog's row of the generation that a node was given for; another generation is another node.
    pub(super) fn generation_of(
        &self,
        item: ItemNo,
        generation: u16,
    ) -> Result<ItemRow, DriveError> {
        let row = self
            .reader()?
            .item(item)
            .map_err(failed)?
            .ok_or(DriveError::Stale)?;
        if generation_bits(row.generation) == generation {
            Ok(row)
        } else {
            Err(DriveError::Stale)
        }
    }

    /// `Stale` where the item's bytes are not at hand (any more): a look-up gives each class its own face.
    fn item_source(&self, item: ItemNo, generation: u16) -> Result<Place, DriveError> {
        let row = self.generation_of(item, generation)?;
        if !at_hand(&row) {
            return Err(DriveError::Stale);
        }
        let reader = self.reader()?;
        let place = row
            .place
            .map(|place| reader.place(place))
            .transpose()
            .map_err(failed)?
            .flatten();
        let attributes = self.item_attributes(&row, Door::Plain);
        let source = place
            .map(|place| Source::of(&reader, &place, generation, attributes))
            .transpose()?
            .flatten();
        if let Some(source) = source {
            return Ok(Place::File(source));
        }
        match reader.at_hand(&row).map_err(failed)? {
            Some(AtHand::Object(hash)) => Ok(Place::Object(attributes, hash)),
            Some(AtHand::Twin(twin)) => Source::of(&reader, &twin, generation, attributes)?
                .map(Place::File)
                .ok_or(DriveError::Stale),
            None => Err(DriveError::Stale),
        }
    }

    fn place_source(&self, place: PlaceNo, generation: u16) -> Result<Place, DriveError> {
        let reader = self.reader()?;
        let row = self.place_of(place, generation)?;
        if row.away {
            return Err(DriveError::Missing);
        }
        let attributes = self.place_attributes(&row, Door::Plain);
        Source::of(&reader, &row, generation, attributes)?
            .map(Place::File)
            .ok_or(DriveError::Stale)
    }

    pub(super) fn place_of(&self, place: PlaceNo, generation: u16) -> Result<PlaceRow, DriveError> {
        let reader = self.reader()?;
        let row = reader.place(place).map_err(failed)?;
        row.filter(|row| generation_bits(row.generation) == generation)
            .ok_or(DriveError::Stale)
    }

    fn open_place(
        &self,
        id: NodeId,
        door: Door,
        place: PlaceNo,
        generation: u16,
        mode: OpenMode,
        by: &Requester,
    ) -> Answer<Opened> {
        // What was opened just now is on trusted storage, and needs no question.
        if self.known.source(Subject::Place(place.0)).is_none() {
            match self.open_place_away(id, door, place, generation, mode, by) {
                Ok(None) => {}
                Ok(Some(opened)) => return Answer::Now(Ok(opened)),
                Err(error) => return Answer::Now(Err(error)),
            }
        }
        self.open_bytes(id, generation, Subject::Place(place.0), || {
            self.place_source(place, generation)
        })
    }

    fn open_bytes(
        &self,
        id: NodeId,
        generation: u16,
        subject: Subject,
        find: impl Fn() -> Result<Place, DriveError>,
    ) -> Answer<Opened> {
        let kept = self
            .known
            .source(subject)
            .filter(|source| source.generation == generation);
        if let Some(source) = kept {
            if let Ok(file) = self.roots.open(&source, || self.reader(), &|path| {
                self.reconcile.is_trusted(path)
            }) {
                return Answer::Now(Ok(self.opened_file(id, &source, file)));
            }
            // It may only have been moved: the catalog knows where to.
            self.known.set_source(subject, None);
        }
        let source = match find() {
            Ok(Place::File(source)) => Arc::new(source),
            Ok(Place::Object(attributes, hash)) => {
                return Answer::Now(self.open_object(id, attributes, hash));
            }
            Err(error) => return Answer::Now(Err(error)),
        };
        match self.roots.open(&source, || self.reader(), &|path| {
            self.reconcile.is_trusted(path)
        }) {
            Ok(file) => {
                let opened = self.opened_file(id, &source, file);
                self.known.set_source(subject, Some(source));
                Answer::Now(Ok(opened))
            }
            Err(NotThere::Refused(error)) => Answer::Now(Err(error)),
            Err(NotThere::Look(place)) => {
                let reconcile = Arc::clone(&self.reconcile);
                Answer::Later(Box::pin(async move {
                    let looked =
                        tokio::task::spawn_blocking(move || reconcile.reconcile(place)).await;
                    // Whatever was found, the name leads to another node now: the kernel looks it up and opens that.
                    Err(if looked.is_ok() {
                        DriveError::Stale
                    } else {
                        DriveError::Io
                    })
                }))
            }
        }
    }

    fn opened_file(&self, id: NodeId, source: &Source, file: File) -> Opened {
        let file = Arc::new(file);
        let attributes = Attributes {
            inode: id.0,
            ..source.attributes
        };
        let handle = self
            .handles
            .open(id, attributes, Shown::File(Arc::clone(&file)));
        Opened {
            handle,
            content: Content::File(file),
        }
    }
}
