//! Objects of a manifest: the fields that are known here as types, and those that are not as the text that they were.
//!
//! A newer host may write more than is understood here; whatever it wrote is given back with the next save, to the
//! letter. So fields are read as raw text first, and a field that cannot be what is expected stays such a text.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A value as it was written.
pub(super) type Raw = Box<RawValue>;

/// Most fields of one object: more is no manifest, and would take many times the memory of its text.
const MOST_FIELDS: usize = 4096;

/// Most entries of a list of an item.
const MOST_ENTRIES: usize = 65_536;

/// The fields of an object, none of them twice.
#[derive(Clone, Debug, Default)]
pub struct Fields(BTreeMap<String, Raw>);

impl Fields {
    /// Takes a field out, if it is there and what is expected. One that is something else stays.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = serde_json::from_str(self.0.get(name)?.get()).ok()?;
        self.0.remove(name);
        Some(value)
    }

    /// Takes a field out, whatever it says.
    pub(super) fn take_raw(&mut self, name: &str) -> Option<Raw> {
        self.0.remove(name)
    }

    /// Takes a field out that need not be there, nor say anything; but what it says has to be what is expected.
    pub(super) fn may<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, String> {
        match self.0.contains_key(name) {
            true => self.need::<Option<T>>(name),
            false => Ok(None),
        }
    }

    /// Takes a field out that has to be there.
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, String> {
        match self.0.get(name) {
            None => Err(format!("it has no {name}")),
            Some(raw) => match serde_json::from_str(raw.get()) {
                Ok(value) => {
                    self.0.remove(name);
                    Ok(value)
                }
                Err(error) => Err(format!("its {name} cannot be so: {error}")),
            },
        }
    }

    /// What a field says, as text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|raw| raw.get())
    }

    /// Takes over what another has and this one has not.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (name, raw) in &other.0 {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), raw.clone());
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.0.iter().map(|(name, raw)| (name.as_str(), raw))
    }

    /// Writes them after what is known.
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for (name, raw) in self.iter() {
            map.serialize_entry(name, raw)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, raw)) = map.next_entry::<String, Raw>()? {
                    if fields.len() >= MOST_FIELDS {
                        return Err(A::Error::custom("an object with more than 4,096 fields"));
                    }
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format!(
                            "the field {name:.80} is there twice"
                        )));
                    }
                    fields.insert(name, raw);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Of)
    }
}

/// A list that may not have more than so many entries.
pub(super) struct Bounded<const MOST: usize, R = Raw>(pub(super) Vec<R>);

impl<'de, R: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<MOST, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of<const MOST: usize, R>(PhantomData<R>);
        impl<'de, R: Deserialize<'de>, const MOST: usize> Visitor<'de> for Of<MOST, R> {
            type Value = Bounded<MOST, R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(raw) = list.next_element::<R>()? {
                    if all.len() >= MOST {
                        return Err(A::Error::custom(format!(
                            "a list of more than {MOST} entries"
                        )));
                    }
                    all.push(raw);
                }
                Ok(Bounded(all))
            }
        }
        deserializer.deserialize_seq(Of::<MOST, R>(PhantomData))
    }
}

/// A type whose fields are known here.
pub trait Known: Serialize + DeserializeOwned + Clone {
    /// Their names.
    const FIELDS: &'static [&'static str];
}

/// A value, and what else was written beside it.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    /// What is known here.
    pub value: T,
    /// The rest.
    pub rest: Fields,
}

impl<T> From<T> for Kept<T> {
    fn from(value: T) -> Self {
        Self {
            value,
            rest: Fields::default(),
        }
    }
}

impl<T: Known> Kept<T> {
    pub(super) fn parse(raw: &RawValue) -> Result<Self, serde_json::Error> {
        let mut rest: Fields = serde_json::from_str(raw.get())?;
        let value = serde_json::from_str(raw.get())?;
        for name in T::FIELDS {
            rest.remove(name);
        }
        Ok(Self { value, rest })
    }
}

impl<T: Known> Serialize for Kept<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = serde_json::to_value(&self.value).map_err(S::Error::custom)?;
        let serde_json::Value::Object(known) = known else {
            return Err(S::Error::custom("it is no object"));
        };
        let mut map = serializer.serialize_map(None)?;
        for name in T::FIELDS {
            if let Some(value) = known.get(*name) {
                map.serialize_entry(name, value)?;
            }
        }
        self.rest.write(&mut map)?;
        map.end()
    }
}

/// A list of what is known here, and entries that are not, as they were.
#[derive(Clone, Debug)]
pub struct List<T> {
    /// Those that are known, in their order.
    pub known: Vec<Kept<T>>,
    /// The others.
    pub odd: Vec<Raw>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            odd: Vec::new(),
        }
    }
}

impl<T: Known> List<T> {
    /// Takes the list out of the field, if it is one.
    pub(super) fn take(fields: &mut Fields, name: &str) -> Result<Self, String> {
        Self::take_up_to::<MOST_ENTRIES>(fields, name)
    }

    /// As [`List::take`], of up to so many entries.
    pub(super) fn take_up_to<const MOST: usize>(
        fields: &mut Fields,
        name: &str,
    ) -> Result<Self, String> {
        let mut list = Self::default();
        let Some(Bounded(entries)) = fields.may::<Bounded<MOST>>(name)? else {
            return Ok(list);
        };
        for raw in entries {
            match Kept::parse(&raw) {
                Ok(kept) => list.known.push(kept),
                Err(_) => list.odd.push(raw),
            }
        }
        Ok(list)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.odd.is_empty()
    }

    /// The same entries by these values, each with what was beside the one of the same `key`; and the odd ones.
    pub(super) fn with<K: Eq + Hash>(&self, values: Vec<T>, key: impl Fn(&T) -> K) -> Self {
        let before: HashMap<K, &Fields> = self
            .known
            .iter()
            .map(|kept| (key(&kept.value), &kept.rest))
            .collect();
        let known = values.into_iter().map(|value| {
            let rest = before.get(&key(&value)).copied().cloned();
            Kept {
                rest: rest.unwrap_or_default(),
                value,
            }
        });
        Self {
            known: known.collect(),
            odd: self.odd.clone(),
        }
    }

    /// Takes over entries that another has and this one has not.
    pub(super) fn absorb<K: Eq + Hash>(&mut self, other: &Self, key: impl Fn(&T) -> K) {
        let mut ours: HashMap<K, usize> = HashMap::new();
        for (at, kept) in self.known.iter().enumerate() {
            ours.entry(key(&kept.value)).or_insert(at);
        }
        for theirs in &other.known {
            match ours.get(&key(&theirs.value)) {
                Some(at) => self.known[*at].rest.absorb(&theirs.rest),
                None => {
                    ours.insert(key(&theirs.value), self.known.len());
                    self.known.push(theirs.clone());
                }
            }
        }
        let known: HashSet<String> = self.odd.iter().map(|odd| odd.get().to_owned()).collect();
        let new = other.odd.iter().filter(|odd| !known.contains(odd.get()));
        self.odd.extend(new.cloned());
    }
}

impl<T: Known> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.known.len() + self.odd.len()))?;
        for kept in &self.known {
            list.serialize_element(kept)?;
        }
        for odd in &self.odd {
            list.serialize_element(odd)?;
        }
        list.end()
    }
}
