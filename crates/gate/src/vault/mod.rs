//! Production's credentials: kept encrypted, lent out, never shown.
//!
//! Knows: which secret opens which target for which use, and which live session was built from it.
//! Does not know: what is in a secret, or how a session speaks.
//!
//! There is no method that returns a secret. A target is lent a [`Credential`], and asks it for the session (a client,
//! a connection pool) that was built from the secret; the session lives here, with the secret, so that a target can
//! keep neither. A writing credential is lent only against an [`Intent`], and nobody but the gate makes one.

mod seal;
mod unlock;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::TargetName;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};

use self::seal::{Key, Sealed};
use self::unlock::Lock;
pub use self::unlock::Unlock;
use crate::Intent;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// None was put there.
    #[error("the vault holds no credential to {usage} {target}")]
    Missing {
        /// To which system.
        target: TargetName,
        /// For what.
        usage: &'static str,
    },
    /// The key does not fit, or somebody changed the file.
    #[error("the vault cannot be opened: the key does not fit, or the file was changed")]
    Locked,
    /// The file cannot be used.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// A use that a credential is for, as a type: what is lent for reading cannot be handed to a commit.
pub trait Usage: sealed::Usage {}

mod sealed {
    pub trait Usage: Send + Sync + 'static {
        const NAME: &'static str;
    }
}

macro_rules! usage {
    ($(#[$meta:meta])* $name:ident = $text:literal) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name;
        impl sealed::Usage for $name {
            const NAME: &'static str = $text;
        }
        impl Usage for $name {}
    };
}

usage! {
    /// To look.
    Read = "read"
}
usage! {
    /// To ask what would happen.
    Rehearse = "rehearse"
}
usage! {
    /// To change.
    Write = "write"
}

/// The file. Everything in it is encrypted but the names of targets.
#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    lock: Lock,
    /// The key of all keys, under whatever opens the lock.
    master: Sealed,
    /// Each secret under a key of its own, and that key under the master: changing the lock rewrites one line.
    secrets: BTreeMap<String, Envelope>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Envelope {
    key: Sealed,
    value: Sealed,
}

/// The vault.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    master: Key,
    /// `None`: nothing outlives the process.
    path: Option<PathBuf>,
    contents: Mutex<Contents>,
    sessions: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// What was built from a secret.
type Slot = Mutex<Option<Arc<dyn Any + Send + Sync>>>;

/// The name under which the key for calls in the journal is kept.
const JOURNAL: &str = "journal";

impl Vault {
    /// The vault in a file, made if there is none.
    ///
    /// # Errors
    /// When the file cannot be used or the key does not fit.
    pub fn open(path: &Path, unlock: Unlock) -> Result<Self, VaultError> {
        let file = |cause: &dyn fmt::Display| VaultError::File { path: path.to_owned(), cause: cause.to_string() };
        let text = match std::fs::read(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(file(&error)),
        };
        let vault = match text {
            Some(text) => {
                let contents: Contents = serde_json::from_slice(&text).map_err(|error| file(&error))?;
                if contents.version != 1 {
                    return Err(file(&"it was written by a newer version"));
                }
                let key = contents.lock.open(unlock)?;
                let master = Key::from_secret(&contents.master.open(&key, b"master")?)?;
                Self::with(master, Some(path.to_owned()), contents)
            }
            None => {
                let (lock, key) = Lock::make(unlock)?;
                let master = Key::random()?;
                let sealed = Sealed::of(master.expose(), &key, b"master")?;
                let contents = Contents { version: 1, lock, master: sealed, secrets: BTreeMap::new() };
                Self::with(master, Some(path.to_owned()), contents)
            }
        };
        vault.ensure_journal_key()?;
        Ok(vault)
    }

    /// A vault that goes when the process goes.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn in_memory() -> Result<Self, VaultError> {
        let master = Key::random()?;
        let sealed = Sealed::of(master.expose(), &Key::random()?, b"master")?;
        let contents = Contents { version: 1, lock: Lock::KeyFile, master: sealed, secrets: BTreeMap::new() };
        let vault = Self::with(master, None, contents);
        vault.ensure_journal_key()?;
        Ok(vault)
    }

    fn with(master: Key, path: Option<PathBuf>, contents: Contents) -> Self {
        Self(Arc::new(Inner { master, path, contents: Mutex::new(contents), sessions: Mutex::default() }))
    }

    fn ensure_journal_key(&self) -> Result<(), VaultError> {
        if lock(&self.0.contents).secrets.contains_key(JOURNAL) {
            return Ok(());
        }
        let key = Key::random()?;
        self.keep(JOURNAL, key.expose())
    }

    /// Keeps a secret for one use of a target; sessions built from the one before are forgotten.
    ///
    /// # Errors
    /// When the file cannot be written; the secret from before stays.
    pub fn put<U: Usage>(&self, target: &TargetName, _usage: U, secret: &SecretSlice<u8>) -> Result<(), VaultError> {
        let name = name::<U>(target);
        self.keep(&name, secret.expose_secret())?;
        lock(&self.0.sessions).remove(&name);
        Ok(())
    }

    /// Is there a secret for this use of this target?
    pub fn has<U: Usage>(&self, target: &TargetName, _usage: U) -> bool {
        lock(&self.0.contents).secrets.contains_key(&name::<U>(target))
    }

    /// Lends the credential to look.
    pub fn reader(&self, target: &TargetName) -> Credential<Read> {
        self.lend(target)
    }

    /// Lends the credential to ask what would happen.
    pub fn rehearser(&self, target: &TargetName) -> Credential<Rehearse> {
        self.lend(target)
    }

    /// Lends the credential to change, for the change that this intent is.
    pub fn writer<C>(&self, intent: &Intent<C>) -> Credential<Write> {
        self.lend(&intent.action.target)
    }

    fn lend<U: Usage>(&self, target: &TargetName) -> Credential<U> {
        let slot = lock(&self.0.sessions).entry(name::<U>(target)).or_default().clone();
        Credential { vault: self.clone(), target: target.clone(), slot, usage: PhantomData }
    }

    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), VaultError> {
        let key = Key::random()?;
        let envelope = Envelope {
            value: Sealed::of(secret, &key, name.as_bytes())?,
            key: Sealed::of(key.expose(), &self.0.master, name.as_bytes())?,
        };
        let mut contents = lock(&self.0.contents);
        let before = contents.secrets.insert(name.to_owned(), envelope);
        let written = self.0.path.as_deref().map_or(Ok(()), |path| write(path, &contents));
        if written.is_err() {
            match before {
                Some(before) => contents.secrets.insert(name.to_owned(), before),
                None => contents.secrets.remove(name),
            };
        }
        written
    }

    fn reveal(&self, name: &str) -> Result<Option<SecretSlice<u8>>, VaultError> {
        let Some(envelope) = lock(&self.0.contents).secrets.get(name).cloned() else { return Ok(None) };
        let key = Key::from_secret(&envelope.key.open(&self.0.master, name.as_bytes())?)?;
        envelope.value.open(&key, name.as_bytes()).map(Some)
    }

    fn journal_key(&self) -> Result<Key, VaultError> {
        self.reveal(JOURNAL)?.map_or(Err(VaultError::Locked), |key| Key::from_secret(&key))
    }

    /// Seals what an intent would send, for the journal. It opens only under the same name.
    pub(crate) fn seal(&self, call: &[u8], name: &str) -> Result<String, VaultError> {
        Ok(Sealed::of(call, &self.journal_key()?, name.as_bytes())?.to_text())
    }

    /// Opens what was sealed for the journal.
    pub(crate) fn unseal(&self, sealed: &str, name: &str) -> Result<SecretSlice<u8>, VaultError> {
        Sealed::from_text(sealed)?.open(&self.journal_key()?, name.as_bytes())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

fn name<U: Usage>(target: &TargetName) -> String {
    format!("{target}/{}", <U as sealed::Usage>::NAME)
}

/// Written beside the old one and moved over it, so that a power cut leaves the one or the other.
fn write(path: &Path, contents: &Contents) -> Result<(), VaultError> {
    let attempt = || -> std::io::Result<()> {
        let beside = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(contents)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => std::fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    attempt().map_err(|error| VaultError::File { path: path.to_owned(), cause: error.to_string() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to use a secret for one purpose, without seeing it.
pub struct Credential<U> {
    vault: Vault,
    target: TargetName,
    slot: Arc<Slot>,
    usage: PhantomData<U>,
}

impl<U: Usage> Credential<U> {
    /// What was built from the secret: built now if it was not, or is forgotten. The secret is decrypted only for
    /// building, and wiped after. What `build` makes must keep of it no more than it needs to authenticate.
    ///
    /// # Errors
    /// When there is no secret, or nothing can be built from it.
    pub fn session<S, E>(&self, build: impl FnOnce(&[u8]) -> Result<S, E>) -> Result<Session<'_, S>, SessionError<E>>
    where
        S: Send + Sync + 'static,
    {
        let mut slot = lock(&self.slot);
        if let Some(session) = slot.clone().and_then(|session| session.downcast().ok()) {
            return Ok(Session { session, credential: PhantomData });
        }
        let secret = self.vault.reveal(&name::<U>(&self.target)).map_err(SessionError::Vault)?;
        let missing = || VaultError::Missing { target: self.target.clone(), usage: <U as sealed::Usage>::NAME };
        let secret = secret.ok_or_else(missing).map_err(SessionError::Vault)?;
        let session = Arc::new(build(secret.expose_secret()).map_err(SessionError::Build)?);
        *slot = Some(session.clone());
        Ok(Session { session, credential: PhantomData })
    }

    /// Forgets what was built: production no longer takes it, or the secret it came from has expired.
    pub fn forget_session(&self) {
        *lock(&self.slot) = None;
    }
}

impl<U> fmt::Debug for Credential<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.target)
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError<E> {
    /// There is no secret to build one from.
    #[error(transparent)]
    Vault(VaultError),
    /// It could not be built.
    #[error("no session with production could be made")]
    Build(#[source] E),
}

/// What was built from a secret, for as long as the credential is lent.
pub struct Session<'c, S> {
    session: Arc<S>,
    credential: PhantomData<&'c ()>,
}

impl<S> Deref for Session<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.session
    }
}

impl<S> fmt::Debug for Session<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

#[cfg(test)]
mod tests;
