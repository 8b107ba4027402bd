//! The records of one enum, in the wire format.

use crate::{
    AvroMessage, SchemaCache,
    cache::WriterSchema,
    frame,
    message::{How, RecordReader, RecordWriter},
    newest::{self, Newest},
    resolution::Resolution,
    shape, subject,
    upcast::Retired,
};
use factum_core::{DecodeError, Decoded, Error, MessageCodec, Result};
use std::{cell::RefCell, fmt, sync::Arc};

/// More ids than one topic ever has; beyond it the codec begins anew.
const LIMIT_ROUTES: usize = 10_000;

/// Encodes and decodes the records of one enum. Each thread has its own (a
/// clone is cheap); they share what is known of schemas in a [`SchemaCache`].
///
/// Bytes whose schema id is not known yet give
/// [`UnknownSchema`](DecodeError::UnknownSchema): call [`SchemaCache::fetch`]
/// and decode again.
pub struct RecordCodec<M> {
    /// Those of the enum, and behind them the retired ones.
    records: &'static [Newest],
    retired: Arc<[Retired<M>]>,
    /// The ids of the newest schemas; none in a codec that only reads.
    ids: Option<Arc<[u32]>>,
    /// What this thread knows about ids.
    routes: RefCell<Routes>,
    /// Where bytes of other versions become those of the newest.
    scratch: RefCell<Vec<u8>>,
    cache: Arc<SchemaCache>,
}

/// What to do with bytes of one schema id.
#[derive(Clone)]
enum Route {
    /// The newest schema of the record of that index.
    Direct(usize, &'static Newest),
    /// Another version of it.
    Resolve(usize, Arc<Resolution>),
    /// A record that the enum has not, or no record.
    Foreign(Arc<WriterSchema>),
}

/// Ids below have a place of their own. Registries count from 1, so these are nearly all that there are.
const LOW_IDS: usize = 4_096;

/// The routes by their ids.
#[derive(Clone, Default)]
struct Routes {
    /// By id.
    low: Vec<Option<Route>>,
    /// Sorted by id.
    high: Vec<(u32, Route)>,
}

impl Routes {
    #[inline]
    fn get(&self, id: u32) -> Option<&Route> {
        match usize::try_from(id).ok().and_then(|id| self.low.get(id)) {
            Some(route) => route.as_ref(),
            None => self.get_high(id),
        }
    }

    fn get_high(&self, id: u32) -> Option<&Route> {
        let known = self.high.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.high.get(known).map(|(_, route)| route)
    }

    fn insert(&mut self, id: u32, route: Route) {
        match usize::try_from(id) {
            Ok(id) if id < LOW_IDS => {
                if self.low.len() <= id {
                    self.low.resize(id + 1, None);
                }
                self.low[id] = Some(route);
            }
            _ => {
                if self.high.len() >= LIMIT_ROUTES {
                    self.high.clear();
                }
                let place = self.high.partition_point(|(known, _)| *known < id);
                self.high.insert(place, (id, route));
            }
        }
    }
}

impl<M: AvroMessage> RecordCodec<M> {
    /// A codec that reads only; it asks the registry nothing.
    ///
    /// # Errors
    /// `Invalid` when the derived schemas are not usable.
    pub fn for_reading(cache: &Arc<SchemaCache>) -> Result<Self> {
        Ok(RecordCodec {
            records: newest::of_message::<M>()?,
            retired: M::retired().into(),
            ids: None,
            routes: RefCell::default(),
            scratch: RefCell::default(),
            cache: cache.clone(),
        })
    }

    /// A codec for values of a topic: registers the newest schemas there. Blocks while it asks.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away, `Invalid` when it refuses a schema.
    pub fn for_writing(topic: &str, cache: &Arc<SchemaCache>) -> Result<Self> {
        let mut codec = Self::for_reading(cache)?;
        let named = |record: &Newest| (subject(topic, &record.name), record.json.clone());
        let records: Vec<_> = codec.records.iter().take(M::RECORDS.len()).map(named).collect();
        codec.ids = Some(cache.register_all(&records)?.into());
        Ok(codec)
    }

    /// Where schemas are fetched that this codec does not know.
    pub fn cache(&self) -> &Arc<SchemaCache> {
        &self.cache
    }

    /// The beginning of the wire bytes of the record of that index.
    pub(crate) fn head(&self, record: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        frame::write(self.id(record)?, &mut bytes);
        Ok(bytes)
    }

    fn id(&self, record: usize) -> Result<u32> {
        match &self.ids {
            Some(ids) => Ok(ids[record]),
            None => Err(made_for_reading(M::RECORDS[record])),
        }
    }

    /// Decodes bytes of an id that this thread has not met yet.
    #[cold]
    fn decode_new(&self, id: u32, value: &[u8]) -> Result<Decoded<M>, DecodeError> {
        let written = self.cache.get(id).ok_or(DecodeError::UnknownSchema(id))?;
        let index =
            written.name.as_deref().and_then(|name| self.records.iter().position(|record| record.name == *name));
        let route = match index {
            None => Route::Foreign(written),
            Some(index) => {
                let newest = &self.records[index];
                if shape::same_bytes(&written.schema, &newest.schema) {
                    Route::Direct(index, newest)
                } else {
                    Route::Resolve(index, Arc::new(Resolution::new(written, newest)))
                }
            }
        };
        self.routes.borrow_mut().insert(id, route);
        self.decode(value)
    }

    /// Reads the record of that index, which may be a retired one.
    #[inline(always)] // each caller knows how, so that no record has to be asked
    fn read(
        &self,
        (index, newest): (usize, &'static Newest),
        how: How<'_>,
        id: u32,
        bytes: &[u8],
    ) -> Result<Decoded<M>, DecodeError> {
        let id = Some(id);
        match index.checked_sub(M::RECORDS.len()) {
            None => M::read(index, RecordReader { newest, how, id, bytes }).map(Decoded::One),
            Some(at) => self.retired[at].read(RecordReader { newest, how, id, bytes }).map(Decoded::Upcast),
        }
    }

    #[inline(never)]
    fn resolve(&self, index: usize, resolution: &Resolution, id: u32, bytes: &[u8]) -> Result<Decoded<M>, DecodeError> {
        self.read((index, resolution.newest), How::Resolve(resolution, &self.scratch), id, bytes)
    }
}

#[cold]
fn made_for_reading(name: &str) -> Error {
    Error::invalid(format!("record {name} cannot be written by a codec that was made for reading"))
}

/// Bytes of no record of the enum.
fn foreign<M: AvroMessage>(written: &WriterSchema, id: u32, value: &[u8]) -> Result<Decoded<M>, DecodeError> {
    match &written.name {
        Some(name) => {
            M::foreign(name, value).map(Decoded::One).ok_or_else(|| DecodeError::UnknownRecord(name.to_string()))
        }
        None => Err(DecodeError::Malformed(format!("schema id {id} is not a record"))),
    }
}

impl<M: AvroMessage> MessageCodec<M> for RecordCodec<M> {
    fn encode(&self, message: &M, into: &mut Vec<u8>) -> Result<(), Error> {
        let record = message.record();
        let id = self.id(record)?;
        let before = into.len();
        frame::write(id, into);
        let written = message.write(RecordWriter { newest: &self.records[record], into });
        if written.is_err() {
            into.truncate(before);
        }
        written
    }

    fn decode(&self, value: &[u8]) -> Result<Decoded<M>, DecodeError> {
        let (id, bytes) = frame::read(value)?;
        let routes = self.routes.borrow();
        match routes.get(id) {
            Some(Route::Direct(index, newest)) => self.read((*index, newest), How::Direct, id, bytes),
            Some(Route::Resolve(index, resolution)) => self.resolve(*index, resolution, id, bytes),
            Some(Route::Foreign(written)) => foreign(written, id, value),
            None => {
                drop(routes);
                self.decode_new(id, value)
            }
        }
    }
}

impl<M> Clone for RecordCodec<M> {
    fn clone(&self) -> Self {
        RecordCodec {
            records: self.records,
            retired: self.retired.clone(),
            ids: self.ids.clone(),
            routes: self.routes.clone(),
            scratch: RefCell::default(),
            cache: self.cache.clone(),
        }
    }
}

impl<M> fmt::Debug for RecordCodec<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.records.iter().map(|record| record.name.as_str()).collect();
        f.debug_struct("RecordCodec").field("records", &names).field("ids", &self.ids).finish_non_exhaustive()
    }
}
