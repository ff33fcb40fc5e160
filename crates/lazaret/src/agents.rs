//! Who the agents are: short-lived tokens, of which only digests are kept.
//!
//! Knows: names, digests of tokens, when they end.
//! Does not know: what an agent may do. Policies decide on effects.
//!
//! One file in the data folder, so that `lazaret agent add` works whether the gate runs or not; the gate reads it again
//! when it has changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use model::AgentId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files::unusable;

/// The file in the data folder.
const FILE: &str = "agents.json";

/// The file that is locked while the list is changed. A lock on the list itself would be lost with each change.
const LOCK: &str = "agents.lock";

/// What a token looks like, so that a leaked one is recognised by scanners and by people.
const PREFIX: &str = "lzr_";

/// One identity, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Agent {
    /// Its name, in policies and in the journal.
    pub name: String,
    /// SHA-256 of its token, in hexadecimal.
    digest: String,
    /// When the token ends, in seconds since 1970.
    pub expires_seconds: u64,
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Nobody was given it.
    #[error("the token is not known here: ask for one with 'lazaret agent add'")]
    Unknown,
    /// It has ended.
    #[error("the token of agent {name} ended {} ago: lazaret agent add {name}", while_ago(*ago))]
    Expired {
        /// Whose it was.
        name: String,
        /// Seconds since it ended.
        ago: u64,
    },
    /// The list of agents cannot be read, so nobody is let in.
    #[error("the list of agents cannot be read: {0}")]
    Unreadable(String),
}

/// The agents that were given a token.
#[derive(Debug)]
pub(crate) struct Agents {
    path: PathBuf,
    read: Mutex<Option<(SystemTime, Vec<Agent>)>>,
}

impl Agents {
    /// The agents of a data folder.
    #[must_use]
    pub(crate) fn of(data: &Path) -> Self {
        Self { path: data.join(FILE), read: Mutex::new(None) }
    }

    /// Gives an agent a new token, which is shown once and kept nowhere. Tokens that it has already stay good until they end.
    ///
    /// # Errors
    /// When there is no randomness to be had, or the file cannot be written.
    pub(crate) fn add(&self, name: &str, ttl: Duration, now: SystemTime) -> io::Result<String> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let token = format!("{PREFIX}{}", hex(&bytes));
        let now = seconds(now);
        let _lock = self.lock()?;
        let mut agents = self.load()?;
        agents.retain(|agent| agent.expires_seconds + KEEP_ENDED_SECONDS > now);
        agents.push(Agent {
            name: name.to_owned(),
            digest: digest(&token),
            expires_seconds: now.saturating_add(ttl.as_secs()),
        });
        self.save(&agents)?;
        Ok(token)
    }

    /// Who a token belongs to.
    ///
    /// # Errors
    /// [`TokenError`] says why nobody.
    pub(crate) fn authenticate(&self, token: &str, now: SystemTime) -> Result<AgentId, TokenError> {
        let agents = self.current().map_err(|error| TokenError::Unreadable(error.to_string()))?;
        let (digest, now) = (digest(token), seconds(now));
        // The digest of a random token tells a stopwatch nothing about the token.
        let found = agents.iter().find(|agent| agent.digest == digest).ok_or(TokenError::Unknown)?;
        if found.expires_seconds <= now {
            return Err(TokenError::Expired { name: found.name.clone(), ago: now - found.expires_seconds });
        }
        Ok(AgentId::from(found.name.as_str()))
    }

    fn current(&self) -> io::Result<Vec<Agent>> {
        let changed = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, agents)) = &*read
            && *when == changed
        {
            return Ok(agents.clone());
        }
        let agents = self.load()?;
        *read = Some((changed, agents.clone()));
        Ok(agents)
    }

    /// Two who add at once would each save a list without the other's token. Held until it is dropped.
    fn lock(&self) -> io::Result<fs::File> {
        let path = self.path.with_file_name(LOCK);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path).map_err(unusable(&path))?;
        file.lock().map_err(unusable(&path))?;
        Ok(file)
    }

    fn load(&self) -> io::Result<Vec<Agent>> {
        let read = match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        read.map_err(unusable(&self.path))
    }

    /// Whole or not at all: a file half written would lock every agent out.
    fn save(&self, agents: &[Agent]) -> io::Result<()> {
        let text = serde_json::to_string_pretty(agents).map_err(io::Error::other)?;
        target_kubernetes::kubeconfig::write_private(&self.path, &text).map_err(unusable(&self.path))
    }
}

/// Ended tokens are remembered for a week, so that whoever shows one learns that it has ended and not that it never was.
const KEEP_ENDED_SECONDS: u64 = 7 * 24 * 3600;

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// So many seconds, as people say it.
fn while_ago(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lazaret-agents-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_token_is_good_until_it_ends_and_then_says_so() {
        let folder = folder("ends");
        let (agents, now) = (Agents::of(&folder), SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let token = agents.add("oncall", Duration::from_secs(60), now).unwrap();
        assert_eq!(agents.authenticate(&token, now), Ok(AgentId::from("oncall")));
        let late = now + Duration::from_secs(61);
        assert_eq!(agents.authenticate(&token, late), Err(TokenError::Expired { name: "oncall".into(), ago: 1 }));
        assert_eq!(agents.authenticate("lzr_guess", now), Err(TokenError::Unknown));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn of_many_who_are_added_at_once_none_is_lost() {
        let folder = folder("at-once");
        let now = SystemTime::now();
        let add = |at: usize| Agents::of(&folder).add(&format!("bot-{at}"), Duration::from_secs(60), now).unwrap();
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|at| scope.spawn(move || add(at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let agents = Agents::of(&folder);
        let lost = tokens.iter().filter(|token| agents.authenticate(token, now).is_err()).count();
        assert_eq!(lost, 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_token_is_kept() {
        let folder = folder("kept");
        let token = Agents::of(&folder).add("oncall", Duration::from_secs(60), SystemTime::now()).unwrap();
        let kept = fs::read_to_string(folder.join(FILE)).unwrap();
        assert!(!kept.contains(token.trim_start_matches(PREFIX)));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_list_that_cannot_be_read_lets_nobody_in() {
        let folder = folder("broken");
        let agents = Agents::of(&folder);
        let token = agents.add("oncall", Duration::from_secs(60), SystemTime::now()).unwrap();
        fs::write(folder.join(FILE), "[{").unwrap();
        assert!(matches!(Agents::of(&folder).authenticate(&token, SystemTime::now()), Err(TokenError::Unreadable(_))));
        fs::remove_dir_all(folder).unwrap();
    }
}
