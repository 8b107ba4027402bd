//! What a registry is told to do, and what would change by it.

use super::{
    At, Change, Level, Mode, Model, Refusal, Registered, Which,
    model::{Place, parse},
};

/// The longest name of a subject, in bytes.
const MAX_SUBJECT_BYTES: usize = 1_000;

/// A schema that is to be registered.
#[derive(Debug, Clone, Copy)]
pub struct Submitted<'a> {
    /// The schema as JSON.
    pub schema: &'a str,
    /// The id that another registry gave it: in mode IMPORT alone.
    pub id: Option<u32>,
    /// The version that another registry gave it: in mode IMPORT alone.
    pub version: Option<u32>,
}

/// How something is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permanence {
    /// It is hidden, and its ids can still be read.
    Soft,
    /// It is removed; soft deletion comes first.
    Hard,
}

/// Whether a subject may go into mode IMPORT although it has versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It may.
    Yes,
    /// It must be empty.
    No,
}

/// Several commands, each upon those before it: all of them or none.
#[derive(Debug)]
pub struct Trial {
    model: Model,
    changes: Vec<Change>,
}

impl Trial {
    /// Begins with what a registry has.
    pub fn of(model: &Model) -> Self {
        Trial { model: model.clone(), changes: Vec::new() }
    }

    /// What the registry would be.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes what a command on [`Trial::model`] decided.
    ///
    /// # Errors
    /// The changes are of another model (42201).
    pub fn take<T>(&mut self, decided: (T, Vec<Change>)) -> Result<T, Refusal> {
        for change in &decided.1 {
            self.model.apply(change.clone()).map_err(Refusal::invalid_schema)?;
        }
        self.changes.extend(decided.1);
        Ok(decided.0)
    }

    /// Everything that would change.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }
}

impl<'a> From<&'a str> for Submitted<'a> {
    fn from(schema: &'a str) -> Self {
        Submitted { schema, id: None, version: None }
    }
}

impl Model {
    /// Registers a schema; the version that has it already, if there is one.
    ///
    /// # Errors
    /// It is not a schema (42201), it is not compatible (409), the mode forbids it (42205).
    pub fn register(&self, subject: &str, submitted: Submitted<'_>) -> Result<(Registered, Vec<Change>), Refusal> {
        check_subject(subject)?;
        let known = parse(submitted.schema)?;
        let import = submitted.id.is_some() || submitted.version.is_some();
        let mode = self.mode(subject);
        if import != (mode == Mode::Import) && mode != Mode::ReadOnly {
            return Err(Refusal::wrong_mode(subject, mode));
        }
        if let Ok(found) = self.find(subject, submitted.schema, Which::Live)
            && submitted.id.is_none_or(|id| id == found.id)
            && submitted.version.is_none_or(|version| version == found.version)
        {
            return Ok((found, Vec::new()));
        }
        self.check_writable(subject)?;
        let (id, version) = if import {
            self.imported(subject, submitted, &known.text)?
        } else {
            let problems = self.problems(subject, submitted.schema, None)?;
            if !problems.is_empty() {
                return Err(Refusal::incompatible(subject, self.level(subject), &problems));
            }
            (self.id_of(&known.text).map_or_else(|| self.next_id(), Ok)?, self.next_version(subject)?)
        };
        let registered = Registered { subject: subject.to_owned(), version, id, schema: known.text };
        Ok((registered.clone(), vec![Change::Schema { registered, deleted: false }]))
    }

    /// Registers several schemas, each under its subject; all or none. Their ids in the same order.
    ///
    /// # Errors
    /// Those of [`Model::register`].
    pub fn register_all(&self, schemas: &[(String, String)]) -> Result<(Vec<u32>, Vec<Change>), Refusal> {
        let mut trial = Trial::of(self);
        let mut ids = Vec::new();
        for (subject, schema) in schemas {
            let decided = trial.model().register(subject, schema.as_str().into())?;
            ids.push(trial.take(decided)?.id);
        }
        Ok((ids, trial.into_changes()))
    }

    /// Deletes a subject; returns its versions.
    ///
    /// # Errors
    /// There is none (40401), it is deleted softly already (40404) or not yet (40405).
    pub fn delete_subject(&self, subject: &str, how: Permanence) -> Result<(Vec<u32>, Vec<Change>), Refusal> {
        let all = self.versions(subject, Which::All)?;
        self.check_writable(subject)?;
        let live = self.versions(subject, Which::Live);
        match (how, live) {
            (Permanence::Soft, Err(_)) => Err(Refusal::subject_was_deleted(subject)),
            (Permanence::Soft, Ok(live)) => {
                let version = all.last().copied();
                Ok((live, vec![Change::DeleteSubject { subject: subject.to_owned(), version }]))
            }
            (Permanence::Hard, Ok(_)) => Err(Refusal::subject_not_deleted_first(subject)),
            (Permanence::Hard, Err(_)) => {
                let remove = |version: &u32| Change::Remove { subject: subject.to_owned(), version: *version };
                let mut changes: Vec<Change> = all.iter().map(remove).collect();
                changes.push(Change::DeleteSubject { subject: subject.to_owned(), version: None });
                changes.push(Change::Ids { last: self.last_id });
                Ok((all, changes))
            }
        }
    }

    /// Deletes one version; returns it.
    ///
    /// # Errors
    /// There is none (40401, 40402), it is deleted softly already (40406) or not yet (40407).
    pub fn delete_version(&self, subject: &str, at: At, how: Permanence) -> Result<(u32, Vec<Change>), Refusal> {
        let which = if at == At::Latest && how == Permanence::Soft { Which::Live } else { Which::All };
        let registered = self.version(subject, at, which)?;
        self.check_writable(subject)?;
        let version = registered.version;
        let deleted = self.version(subject, At::Number(version), Which::Live).is_err();
        match (how, deleted) {
            (Permanence::Soft, true) => Err(Refusal::version_was_deleted(subject, version)),
            (Permanence::Soft, false) => Ok((version, vec![Change::Schema { registered, deleted: true }])),
            (Permanence::Hard, false) => Err(Refusal::version_not_deleted_first(subject, version)),
            (Permanence::Hard, true) => {
                let remove = Change::Remove { subject: subject.to_owned(), version };
                Ok((version, vec![remove, Change::Ids { last: self.last_id }]))
            }
        }
    }

    /// Sets or removes the level of a subject, or of all that have none of their own.
    ///
    /// # Errors
    /// It is not a name of a subject (42208), the mode forbids it (42205).
    pub fn set_level(&self, subject: Option<&str>, level: Option<Level>) -> Result<((), Vec<Change>), Refusal> {
        if let Some(subject) = subject {
            check_subject(subject)?;
            self.check_writable(subject)?;
        }
        Ok(((), vec![Change::Level { subject: subject.map(str::to_owned), level }]))
    }

    /// Sets or removes the mode of a subject, or of all that have none of their own.
    ///
    /// # Errors
    /// It is not a name of a subject (42208); IMPORT without force where there are versions (42205).
    pub fn set_mode(
        &self,
        subject: Option<&str>,
        mode: Option<Mode>,
        force: Force,
    ) -> Result<((), Vec<Change>), Refusal> {
        subject.map_or(Ok(()), check_subject)?;
        let filled = match subject {
            Some(subject) => self.versions(subject, Which::All).is_ok(),
            None => !self.subjects.is_empty(),
        };
        if mode == Some(Mode::Import) && force == Force::No && filled {
            let what = subject.map_or("the registry".to_owned(), |subject| format!("subject {subject}"));
            return Err(Refusal::not_permitted(format!(
                "{what} has schemas, which an import could contradict: add force=true to go into mode IMPORT"
            )));
        }
        Ok(((), vec![Change::Mode { subject: subject.map(str::to_owned), mode }]))
    }

    fn check_writable(&self, subject: &str) -> Result<(), Refusal> {
        match self.mode(subject) {
            Mode::ReadOnly => Err(Refusal::wrong_mode(subject, Mode::ReadOnly)),
            Mode::ReadWrite | Mode::Import => Ok(()),
        }
    }

    /// The id and version of a schema that comes from another registry.
    fn imported(&self, subject: &str, submitted: Submitted<'_>, text: &str) -> Result<(u32, u32), Refusal> {
        let known = self.id_of(text);
        let id = submitted.id.or(known).map_or_else(|| self.next_id(), Ok)?;
        let version = submitted.version.map_or_else(|| self.next_version(subject), Ok)?;
        if id == 0 || version == 0 {
            return Err(Refusal::not_permitted("ids and versions begin at 1"));
        }
        let other = self.schemas.get(&id).is_some_and(|known| known.text != text);
        if other || known.is_some_and(|known| known != id) {
            return Err(Refusal::not_permitted(format!(
                "id {id} belongs to another schema, or the schema to another id"
            )));
        }
        let place = self.subjects.get(subject).and_then(|places| places.get(&version));
        if place.is_some_and(|Place { id: there, .. }| *there != id) {
            return Err(Refusal::not_permitted(format!("version {version} of subject {subject} has another schema")));
        }
        Ok((id, version))
    }

    fn next_id(&self) -> Result<u32, Refusal> {
        // The wire format has 4 bytes for it, which other languages read as a signed number.
        let next = self.last_id.checked_add(1).filter(|next| i32::try_from(*next).is_ok());
        next.ok_or_else(|| Refusal::not_permitted("the registry has given all its ids"))
    }

    fn next_version(&self, subject: &str) -> Result<u32, Refusal> {
        let last = self.subjects.get(subject).and_then(|places| places.last_key_value()).map_or(0, |(last, _)| *last);
        last.checked_add(1).ok_or_else(|| Refusal::not_permitted(format!("subject {subject} has all its versions")))
    }
}

fn check_subject(subject: &str) -> Result<(), Refusal> {
    let good = !subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES && !subject.contains(char::is_control);
    if good { Ok(()) } else { Err(Refusal::invalid_subject(subject)) }
}
