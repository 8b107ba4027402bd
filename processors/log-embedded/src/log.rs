//! The handle of a log on disk.

use crate::checkpoint;
use crate::disk::{Disk, Folder, failed};
use crate::journal::DiskJournal;
use crate::keeper::Keeper;
use crate::owner::Lock;
use crate::recovery::{Opened, Recovered, recover};
use crate::segments::Segments;
use factum_core::Result;
use factum_core::log::{
    Admin, GroupConsumer, GroupOptions, Isolation, Log, Producer, Reader, TransactionOptions, TransactionalProducer,
};
use factum_log_memory::{Clock, Compaction, MemoryLog};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, fs};

/// How a log treats its files.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// A segment that has as many bytes is followed by another.
    pub segment_bytes: u64,
    /// The files are written anew when they are this much more than twice
    /// what is alive.
    pub reclaim_bytes: u64,
    /// How often retention, compaction and space are looked at; none never
    /// does by itself.
    pub clean_every: Option<Duration>,
    /// Where the log gets the time.
    pub clock: Clock,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        EmbeddedConfig {
            segment_bytes: 64 << 20,
            reclaim_bytes: 64 << 20,
            clean_every: Some(Duration::from_secs(15)),
            clock: factum_log_memory::system_clock(),
        }
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("segment_bytes", &self.segment_bytes)
            .field("reclaim_bytes", &self.reclaim_bytes)
            .field("clean_every", &self.clean_every)
            .finish_non_exhaustive()
    }
}

/// A log on the disk of this process. Clones are handles of the same log; the
/// folder is free again when they and all clients are gone.
#[derive(Clone)]
pub struct EmbeddedLog {
    inner: Arc<Inner>,
    /// Dropped with the last handle.
    _keeper: Option<Arc<Keeper>>,
}

/// What cleaning needs.
struct Inner {
    memory: MemoryLog,
    journal: Arc<DiskJournal>,
    disk: Arc<dyn Disk>,
    reclaim_bytes: u64,
    opened: Opened,
    /// A checkpoint must see either a value or the tombstone that made
    /// compaction drop it: one of the two at a time.
    cleaning: Mutex<()>,
}

impl EmbeddedLog {
    /// Opens the log in `folder`/log, which is made where there is none.
    ///
    /// # Errors
    /// `Fenced` while another process has the folder; `Invalid` for a folder
    /// that cannot be written or has another format; `Data` for damage, with
    /// file and byte; `Unavailable` where the disk fails.
    pub fn open(folder: &Path, config: EmbeddedConfig) -> Result<Self> {
        let files = folder.join("log");
        fs::create_dir_all(&files).map_err(|error| failed("create", &files.display().to_string(), error))?;
        let lock = Lock::take(folder)?;
        Self::start(Arc::new(Folder(files)), config, Some(lock))
    }

    /// Opens the log on another kind of disk. That nobody else has it open is
    /// the caller's care.
    ///
    /// # Errors
    /// As [`EmbeddedLog::open`].
    pub fn open_on(disk: Arc<dyn Disk>, config: EmbeddedConfig) -> Result<Self> {
        Self::start(disk, config, None)
    }

    fn start(disk: Arc<dyn Disk>, config: EmbeddedConfig, lock: Option<Lock>) -> Result<Self> {
        // Topics of two logs must not be taken for the same ones.
        let salt = uuid::Uuid::new_v4().as_u64_pair();
        let Recovered { restore, current, next, mut opened } = recover(&*disk, salt)?;
        let segments = Segments::new(disk.clone(), config.segment_bytes, current);
        let journal = Arc::new(DiskJournal::new(segments, next, opened.bytes, lock));
        let (memory, aborted) = MemoryLog::journaled(config.clock, restore, journal.clone())?;
        opened.aborted_transactions = aborted;
        opened.topics = memory.topics();
        opened.records = memory.size().1;
        tracing::info!(?opened, "the log is open");
        let inner = Arc::new(Inner {
            memory,
            journal,
            disk,
            reclaim_bytes: config.reclaim_bytes,
            opened,
            cleaning: Mutex::new(()),
        });
        let keeper = match config.clean_every {
            Some(every) => {
                let inner = inner.clone();
                Some(Arc::new(Keeper::start(every, move || inner.keep(Compaction::WhenDirty))?))
            }
            None => None,
        };
        Ok(EmbeddedLog { inner, _keeper: keeper })
    }

    /// What opening found.
    pub fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    /// Tells other processes where this one serves HTTP.
    ///
    /// # Errors
    /// `Unavailable` or `Invalid` when the file beside the lock cannot be written.
    pub fn announce(&self, http: SocketAddr) -> Result<()> {
        self.inner.journal.lock().map_or(Ok(()), |lock| lock.write(Some(http)))
    }

    /// Applies compaction and retention to every partition, and writes the
    /// files anew when enough of them is dead.
    pub fn run_cleaner(&self) {
        self.inner.keep(Compaction::Always);
    }

    /// Writes what is alive to a new file, and removes the others.
    ///
    /// # Errors
    /// `Unavailable` or `Invalid` where the disk refuses; the log goes on as it was.
    pub fn reclaim(&self) -> Result<()> {
        let cleaning = self.inner.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.inner.reclaim();
        drop(cleaning);
        done
    }

    /// The bytes of all of its files.
    pub fn file_bytes(&self) -> u64 {
        self.inner.journal.file_bytes()
    }
}

impl Inner {
    fn keep(&self, compaction: Compaction) {
        let cleaning = self.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        self.memory.clean(compaction);
        let alive = self.memory.size().0 as u64;
        if self.journal.file_bytes() > self.reclaim_bytes.saturating_add(alive.saturating_mul(2))
            && let Err(error) = self.reclaim()
        {
            tracing::warn!(%error, "the log's files could not be written anew");
        }
        drop(cleaning);
    }

    fn reclaim(&self) -> Result<()> {
        let written = checkpoint::write(&self.memory, &self.journal, &*self.disk);
        if written.is_err()
            && let Err(error) = self.disk.remove(checkpoint::UNFINISHED)
        {
            // The next start removes it.
            tracing::debug!(%error, "no unfinished checkpoint was removed");
        }
        written
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("opened", &self.inner.opened).finish_non_exhaustive()
    }
}

impl Log for EmbeddedLog {
    fn admin(&self) -> Result<Box<dyn Admin>> {
        self.inner.memory.admin()
    }

    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>> {
        self.inner.memory.group_consumer(options)
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>> {
        self.inner.memory.reader(isolation)
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        self.inner.memory.producer()
    }

    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
        self.inner.memory.transactional_producer(options)
    }
}
