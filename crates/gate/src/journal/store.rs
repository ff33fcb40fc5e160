//! Where rows are kept: a SQLite file, or memory.
//!
//! Knows: SQL, files, and what is durable.
//! Does not know: what the rows say.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Digest, Moment};
use rusqlite::{Connection, OpenFlags, params};

use super::chain::{Break, Head, Row};
use super::{JournalError, Seq};

/// A place to keep rows. What `append` has returned from is there after a power cut.
pub(crate) trait Store: Send {
    /// Adds rows at the end: all, or none.
    fn append(&mut self, rows: &[Row]) -> Result<(), String>;
    /// Every row, in order.
    fn scan(&self, each: &mut dyn FnMut(Row)) -> Result<(), Break>;
}

/// Rows that go when the process goes: tests, `what-if`, `judge`.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<Row>);

impl Store for Memory {
    fn append(&mut self, rows: &[Row]) -> Result<(), String> {
        self.0.extend_from_slice(rows);
        Ok(())
    }

    fn scan(&self, each: &mut dyn FnMut(Row)) -> Result<(), Break> {
        self.0.iter().cloned().for_each(each);
        Ok(())
    }
}

/// Rows in `journal.db`, and the end of the chain once more in `journal.head`.
///
/// A chain cannot show by itself that its end was cut off; the second file does, as long as one of the two is left
/// alone: a copy restored from last week is not mistaken for today's.
pub(crate) struct Sqlite {
    connection: Connection,
    head: File,
    /// Held as long as the journal is open: two writers would each continue the chain.
    _lock: File,
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE IF NOT EXISTS journal (
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, case_id TEXT NOT NULL, kind TEXT NOT NULL,
        body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS journal_case ON journal (case_id) WHERE case_id <> '';
";

pub(crate) fn database(directory: &Path) -> PathBuf {
    directory.join("journal.db")
}

fn head_file(directory: &Path) -> PathBuf {
    directory.join("journal.head")
}

impl Sqlite {
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        let broken = |what: String| JournalError(what);
        std::fs::create_dir_all(directory).map_err(|e| broken(format!("{}: {e}", directory.display())))?;
        let open = |path: PathBuf| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&path).map_err(|e| broken(format!("{}: {e}", path.display())))
        };
        let lock = open(directory.join("journal.lock"))?;
        lock.try_lock()
            .map_err(|_| broken(format!("another gate writes to the journal in {}", directory.display())))?;
        // Made here, so that nobody else may read it even for a moment.
        drop(open(database(directory))?);
        let connection = Connection::open(database(directory)).map_err(|e| broken(e.to_string()))?;
        connection.execute_batch(SCHEMA).map_err(|e| broken(e.to_string()))?;
        Ok(Self { connection, head: open(head_file(directory))?, _lock: lock })
    }
}

impl Store for Sqlite {
    fn append(&mut self, rows: &[Row]) -> Result<(), String> {
        let insert = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(
                    "INSERT INTO journal (seq, at, case_id, kind, body, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?;
                for row in rows {
                    let (prev, hash) = (row.prev.to_string(), row.hash.to_string());
                    statement.execute(params![
                        row.seq.0 as i64,
                        row.at.0 as i64,
                        row.case,
                        row.kind,
                        row.body,
                        prev,
                        hash
                    ])?;
                }
            }
            transaction.commit()
        };
        insert(&mut self.connection).map_err(|error| error.to_string())?;
        if let Some(last) = rows.last() {
            // Not synced: it may lag behind after a power cut, never run ahead.
            let line = format!("{:020} {}\n", last.seq.0, last.hash);
            let written = self.head.rewind().and_then(|()| self.head.write_all(line.as_bytes()));
            if let Err(error) = written {
                tracing::warn!(%error, "journal head not noted");
            }
        }
        Ok(())
    }

    fn scan(&self, each: &mut dyn FnMut(Row)) -> Result<(), Break> {
        scan(&self.connection, each)
    }
}

/// A second connection that folds the log back into the file now and then, so that no commit has to.
///
/// SQLite's tail latency is its checkpoint; a passive one never makes the writer wait.
pub(crate) fn checkpointer(directory: &Path, stop: std::sync::mpsc::Receiver<()>) -> Result<(), JournalError> {
    let connection = Connection::open(database(directory)).map_err(|e| JournalError(e.to_string()))?;
    let checkpoint = move || {
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "journal checkpoint failed");
        }
    };
    std::thread::Builder::new()
        .name("journal-checkpoint".into())
        .spawn(move || {
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stop.recv_timeout(Duration::from_secs(2)) {
                checkpoint();
            }
        })
        .map(drop)
        .map_err(|e| JournalError(e.to_string()))
}

/// The rows of a journal that another process may be writing.
pub(crate) struct Reader {
    connection: Connection,
    directory: PathBuf,
}

impl Reader {
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        let path = database(directory);
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|error| JournalError(format!("{}: {error}", path.display())))?;
        Ok(Self { connection, directory: directory.to_owned() })
    }

    pub(crate) fn scan(&self, each: &mut dyn FnMut(Row)) -> Result<(), Break> {
        scan(&self.connection, each)
    }

    /// Follows the whole chain, and holds its end against the one noted beside it.
    pub(crate) fn verify(&self) -> Result<Head, Break> {
        // Read first: what a gate writes meanwhile is in the chain before it is noted.
        let noted = self.noted();
        let (mut head, mut broken) = (Head::default(), None);
        self.scan(&mut |row| {
            if broken.is_none() {
                head.extended(&row).map_or_else(|error| broken = Some(error), |next| head = next);
            }
        })?;
        match broken {
            Some(broken) => Err(broken),
            None => self.check_end(head, noted.as_deref()).map(|()| head),
        }
    }

    /// What is noted of the end. Read until it stands still, as a gate may be writing it.
    pub(crate) fn noted(&self) -> Option<String> {
        let read = || std::fs::read_to_string(head_file(&self.directory)).ok();
        let mut noted = read();
        for _ in 0..10 {
            let again = read();
            if again == noted {
                break;
            }
            noted = again;
        }
        noted
    }

    /// Is this where the chain ended when it was last written? What was noted may lag behind, never run ahead.
    pub(crate) fn check_end(&self, head: Head, noted: Option<&str>) -> Result<(), Break> {
        let Some((seq, hash)) = noted.and_then(|line| line.trim().split_once(' ')) else { return Ok(()) };
        let Ok(noted) = seq.parse().map(Seq) else { return Ok(()) };
        if noted > head.seq {
            let what = format!("it ends here, but {} entries were written", noted.0);
            return Err(Break { seq: Seq(head.seq.0 + 1), what });
        }
        let written =
            self.connection.query_row("SELECT hash FROM journal WHERE seq = ?1", params![noted.0 as i64], |row| {
                row.get::<_, String>(0)
            });
        if written.as_deref() == Ok(hash) {
            return Ok(());
        }
        Err(Break { seq: noted, what: "it is not the entry whose hash was noted beside the journal".into() })
    }
}

fn scan(connection: &Connection, each: &mut dyn FnMut(Row)) -> Result<(), Break> {
    let mut last = 0;
    let mut read = || -> Result<(), String> {
        let text = |error: rusqlite::Error| error.to_string();
        // NOT INDEXED, so that a damaged index cannot hide a row.
        let mut statement = connection
            .prepare("SELECT seq, at, case_id, kind, body, prev, hash FROM journal NOT INDEXED ORDER BY seq")
            .map_err(text)?;
        let mut rows = statement.query([]).map_err(text)?;
        while let Some(row) = rows.next().map_err(text)? {
            let digest = |at: usize| -> Result<Digest, String> {
                let written: String = row.get(at).map_err(text)?;
                written.parse().map_err(|_| "a hash is not one".to_owned())
            };
            let number = |at: usize| -> Result<u64, String> {
                let written: i64 = row.get(at).map_err(text)?;
                u64::try_from(written).map_err(|_| "a number is negative".to_owned())
            };
            let seq = Seq(number(0)?);
            each(Row {
                seq,
                at: Moment(number(1)?),
                case: row.get(2).map_err(text)?,
                kind: row.get(3).map_err(text)?,
                body: row.get(4).map_err(text)?,
                prev: digest(5)?,
                hash: digest(6)?,
            });
            last = seq.0;
        }
        Ok(())
    };
    let done = read();
    done.map_err(|what| Break { seq: Seq(last + 1), what: format!("it cannot be read: {what}") })
}
