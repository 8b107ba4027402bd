//! What a registry knows, and the questions it answers.

use super::{Level, Mode, Refusal};
use crate::shape;
use apache_avro::Schema;
use factum_core::{Error, Result as CoreResult};
use std::{collections::BTreeMap, str::FromStr, sync::Arc};

/// A registry's content. A clone is for a trial; schemas are shared with it.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub(super) schemas: BTreeMap<u32, Arc<Known>>,
    ids: BTreeMap<String, u32>,
    pub(super) subjects: BTreeMap<String, BTreeMap<u32, Place>>,
    /// By subject; none is for all that have none of their own.
    levels: BTreeMap<Option<String>, Level>,
    modes: BTreeMap<Option<String>, Mode>,
    /// The greatest id ever given: ids of removed schemas never come back.
    pub(super) last_id: u32,
}

#[derive(Debug)]
pub(super) struct Known {
    /// The schema in one line, the same text for the same schema.
    pub(super) text: String,
    pub(super) schema: Schema,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) id: u32,
    pub(super) deleted: bool,
}

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The subject.
    pub subject: String,
    /// The version, from 1.
    pub version: u32,
    /// The schema's id.
    pub id: u32,
    /// The schema as JSON in one line.
    pub schema: String,
}

/// Which versions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are not deleted.
    Live,
    /// Softly deleted ones too.
    All,
    /// Softly deleted ones alone.
    Deleted,
}

/// One version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The greatest there is.
    Latest,
    /// This one.
    Number(u32),
}

/// One thing that changes. A log of these is a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A version is there, or is deleted softly.
    Schema {
        /// The version with its schema.
        registered: Registered,
        /// Whether it is deleted.
        deleted: bool,
    },
    /// A version is removed for good.
    Remove {
        /// The subject.
        subject: String,
        /// The version.
        version: u32,
    },
    /// All versions of a subject up to this one are deleted softly; none: the note of it is removed.
    DeleteSubject {
        /// The subject.
        subject: String,
        /// The greatest version that is deleted.
        version: Option<u32>,
    },
    /// The compatibility of a subject, or of all others; none: removed.
    Level {
        /// The subject.
        subject: Option<String>,
        /// Its level.
        level: Option<Level>,
    },
    /// The mode of a subject, or of all others; none: removed.
    Mode {
        /// The subject.
        subject: Option<String>,
        /// Its mode.
        mode: Option<Mode>,
    },
    /// Ids up to this one have been given.
    Ids {
        /// The greatest id.
        last: u32,
    },
}

impl Which {
    pub(super) fn takes(self, place: Place) -> bool {
        match self {
            Which::Live => !place.deleted,
            Which::All => true,
            Which::Deleted => place.deleted,
        }
    }
}

impl FromStr for At {
    type Err = Refusal;

    /// `latest`, `-1` (the same), or a number from 1.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "latest" | "-1" => Ok(At::Latest),
            _ => match text.parse() {
                Ok(number) if number > 0 => Ok(At::Number(number)),
                _ => Err(Refusal::invalid_version(text)),
            },
        }
    }
}

impl Model {
    /// The subjects whose names begin with `prefix` and that have such a version.
    pub fn subjects(&self, prefix: &str, which: Which) -> Vec<String> {
        let some = |places: &BTreeMap<u32, Place>| match which {
            // A subject is a deleted one when nothing of it is left.
            Which::Deleted => places.values().all(|place| place.deleted),
            which => places.values().any(|place| which.takes(*place)),
        };
        let found = self.subjects.iter().filter(|(name, places)| name.starts_with(prefix) && some(places));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// The versions of a subject in their order.
    ///
    /// # Errors
    /// There is no such subject (40401).
    pub fn versions(&self, subject: &str, which: Which) -> Result<Vec<u32>, Refusal> {
        let places = self.subjects.get(subject).into_iter().flatten();
        let found: Vec<u32> = places.filter(|(_, place)| which.takes(**place)).map(|(version, _)| *version).collect();
        if found.is_empty() { Err(Refusal::no_subject(subject)) } else { Ok(found) }
    }

    /// One version of a subject.
    ///
    /// # Errors
    /// There is no such subject (40401) or version (40402).
    pub fn version(&self, subject: &str, at: At, which: Which) -> Result<Registered, Refusal> {
        let versions = self.versions(subject, which)?;
        let version = match at {
            At::Latest => versions.last().copied().unwrap_or(0),
            At::Number(number) => number,
        };
        if !versions.contains(&version) {
            return Err(Refusal::no_version(subject, version));
        }
        let place = self.subjects.get(subject).and_then(|places| places.get(&version));
        let found = place.and_then(|place| Some((place.id, self.schemas.get(&place.id)?)));
        let (id, known) = found.ok_or_else(|| Refusal::no_version(subject, version))?;
        Ok(Registered { subject: subject.to_owned(), version, id, schema: known.text.clone() })
    }

    /// The version of a subject that has this schema.
    ///
    /// # Errors
    /// There is no such subject (40401) or schema (40403); it is not a schema (42201).
    pub fn find(&self, subject: &str, schema: &str, which: Which) -> Result<Registered, Refusal> {
        let known = parse(schema)?;
        let versions = self.versions(subject, which)?;
        let same = |version: &u32| self.version(subject, At::Number(*version), which).ok();
        let mut found = versions.iter().rev().filter_map(same);
        found.find(|found| found.schema == known.text).ok_or_else(|| Refusal::no_schema(subject))
    }

    /// The schema of an id, also where all its versions are deleted softly.
    ///
    /// # Errors
    /// There is no such id (40403).
    pub fn schema(&self, id: u32) -> Result<&str, Refusal> {
        let known = self.schemas.get(&id).map(|known| known.text.as_str());
        known.ok_or_else(|| Refusal::no_id(id))
    }

    /// The subjects and versions that have the schema of an id.
    ///
    /// # Errors
    /// There is no such id (40403).
    pub fn uses(&self, id: u32, which: Which) -> Result<Vec<(String, u32)>, Refusal> {
        self.schema(id)?;
        let all = self.subjects.iter().flat_map(|(name, places)| places.iter().map(move |place| (name, place)));
        let found = all.filter(|(_, (_, place))| place.id == id && which.takes(**place));
        Ok(found.map(|(name, (version, _))| (name.clone(), *version)).collect())
    }

    /// The level of all subjects that have none of their own.
    pub fn default_level(&self) -> Level {
        self.levels.get(&None).copied().unwrap_or(Level::DEFAULT)
    }

    /// The mode of all subjects that have none of their own.
    pub fn default_mode(&self) -> Mode {
        self.modes.get(&None).copied().unwrap_or(Mode::ReadWrite)
    }

    /// The level that a subject has of its own.
    ///
    /// # Errors
    /// It has none (40408).
    pub fn own_level(&self, subject: &str) -> Result<Level, Refusal> {
        self.levels.get(&Some(subject.to_owned())).copied().ok_or_else(|| Refusal::no_level(subject))
    }

    /// The mode that a subject has of its own.
    ///
    /// # Errors
    /// It has none (40409).
    pub fn own_mode(&self, subject: &str) -> Result<Mode, Refusal> {
        self.modes.get(&Some(subject.to_owned())).copied().ok_or_else(|| Refusal::no_mode(subject))
    }

    /// The level that holds for a subject.
    pub fn level(&self, subject: &str) -> Level {
        self.own_level(subject).unwrap_or_else(|_| self.default_level())
    }

    /// The mode that holds for a subject.
    pub fn mode(&self, subject: &str) -> Mode {
        self.own_mode(subject).unwrap_or_else(|_| self.default_mode())
    }

    /// What stands against a schema as the next version of a subject, by the
    /// subject's level; against one version alone where `at` names it.
    ///
    /// # Errors
    /// It is not a schema (42201); there is no such version (40401, 40402).
    pub fn problems(&self, subject: &str, schema: &str, at: Option<At>) -> Result<Vec<String>, Refusal> {
        let new = parse(schema)?;
        let level = self.level(subject);
        let versions = match at {
            Some(at) => vec![self.version(subject, at, Which::Live)?.version],
            None => {
                let all = self.versions(subject, Which::Live).unwrap_or_default();
                if level.is_transitive() { all } else { all.last().copied().into_iter().collect() }
            }
        };
        let known = |version: &u32| {
            let place = self.subjects.get(subject)?.get(version)?;
            Some((*version, self.schemas.get(&place.id)?))
        };
        Ok(versions
            .iter()
            .filter_map(known)
            .flat_map(|(version, old)| against(level, version, &old.schema, &new.schema))
            .collect())
    }

    /// The id of a schema, if it has one.
    pub(super) fn id_of(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Takes what changed.
    ///
    /// # Errors
    /// `Data` when it contradicts what is known: an id never changes its schema.
    pub fn apply(&mut self, change: Change) -> CoreResult<()> {
        match change {
            Change::Schema { registered: Registered { subject, version, id, schema }, deleted } => {
                self.learn(id, &schema)?;
                self.subjects.entry(subject).or_default().insert(version, Place { id, deleted });
            }
            Change::Remove { subject, version } => self.remove(&subject, version),
            Change::DeleteSubject { subject, version } => {
                let places = self.subjects.get_mut(&subject).into_iter().flatten();
                places.filter(|(number, _)| Some(**number) <= version).for_each(|(_, place)| place.deleted = true);
            }
            Change::Level { subject, level: Some(level) } => {
                self.levels.insert(subject, level);
            }
            Change::Level { subject, level: None } => {
                self.levels.remove(&subject);
            }
            Change::Mode { subject, mode: Some(mode) } => {
                self.modes.insert(subject, mode);
            }
            Change::Mode { subject, mode: None } => {
                self.modes.remove(&subject);
            }
            Change::Ids { last } => self.last_id = self.last_id.max(last),
        }
        Ok(())
    }

    fn learn(&mut self, id: u32, schema: &str) -> CoreResult<()> {
        let known = parse(schema).map_err(|refusal| Error::data(format!("id {id}: {refusal}")))?;
        if let Some(other) = self.id_of(&known.text).filter(|other| *other != id) {
            return Err(Error::data(format!("id {id} is given to a schema whose id is {other}")));
        }
        if self.schemas.get(&id).is_some_and(|before| before.text != known.text) {
            return Err(Error::data(format!("id {id} is given to a second schema")));
        }
        self.ids.insert(known.text.clone(), id);
        self.schemas.entry(id).or_insert_with(|| Arc::new(known));
        self.last_id = self.last_id.max(id);
        Ok(())
    }

    fn remove(&mut self, subject: &str, version: u32) {
        let Some(places) = self.subjects.get_mut(subject) else { return };
        let Some(Place { id, .. }) = places.remove(&version) else { return };
        if places.is_empty() {
            self.subjects.remove(subject);
        }
        let used = self.subjects.values().any(|places| places.values().any(|place| place.id == id));
        if !used && let Some(known) = self.schemas.remove(&id) {
            self.ids.remove(&known.text);
        }
    }
}

/// What stands between a version and a new schema.
fn against(level: Level, version: u32, old: &Schema, new: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    if level.looks_back()
        && let Err(why) = shape::readable(old, new)
    {
        found.push(format!("the new schema cannot read what version {version} wrote ({why})"));
    }
    if level.looks_forward()
        && let Err(why) = shape::readable(new, old)
    {
        found.push(format!("version {version} cannot read what the new schema writes ({why})"));
    }
    found
}

pub(super) fn parse(schema: &str) -> Result<Known, Refusal> {
    let schema = crate::parse::parse(schema).map_err(Refusal::invalid_schema)?;
    Ok(Known { text: shape::compact(&schema), schema })
}
