//! What opens the vault: a key file, or a passphrase.
//!
//! Knows: how either becomes a key.
//! Does not know: what the key opens.

use std::path::PathBuf;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::VaultError;
use super::seal::{Key, random};

/// What the operator opens the vault with.
#[derive(Debug)]
pub enum Unlock {
    /// A file of 32 random bytes, kept where backups of the data directory do not reach. Made if there is no vault.
    KeyFile(PathBuf),
    /// Something to type at the start.
    Passphrase(SecretString),
}

/// How the vault is locked, as its file says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Lock {
    KeyFile,
    /// Argon2id, with the costs it was made with.
    Passphrase {
        salt: String,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
}

/// OWASP's first choice doubled, and some: a start may take a tenth of a second.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// A file that asks for more than this was not written by us, and would be a way to keep the gate from starting.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;

impl Lock {
    /// A new lock, and what opens it.
    pub(super) fn make(unlock: Unlock) -> Result<(Self, Key), VaultError> {
        let lock = match &unlock {
            Unlock::KeyFile(path) => {
                make_key_file(path)?;
                Self::KeyFile
            }
            Unlock::Passphrase(_) => {
                let mut salt = [0; 16];
                random(&mut salt)?;
                Self::Passphrase { salt: BASE64.encode(salt), memory_kib: MEMORY_KIB, passes: PASSES, lanes: 1 }
            }
        };
        let key = lock.open(unlock)?;
        Ok((lock, key))
    }

    /// The key that opens it.
    pub(super) fn open(&self, unlock: Unlock) -> Result<Key, VaultError> {
        match (self, unlock) {
            (Self::KeyFile, Unlock::KeyFile(path)) => {
                let bytes = std::fs::read(&path)
                    .map(Zeroizing::new)
                    .map_err(|error| VaultError::File { path: path.clone(), cause: error.to_string() })?;
                let bytes = <[u8; 32]>::try_from(bytes.as_slice());
                bytes.map(Key::new).map_err(|_| VaultError::File { path, cause: "not a key of 32 bytes".into() })
            }
            (Self::Passphrase { salt, memory_kib, passes, lanes }, Unlock::Passphrase(passphrase)) => {
                if *memory_kib > MEMORY_KIB_MAX || *passes > 16 || *lanes > 16 {
                    return Err(VaultError::Locked);
                }
                let salt = BASE64.decode(salt).map_err(|_| VaultError::Locked)?;
                let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).map_err(|_| VaultError::Locked)?;
                let mut key = Zeroizing::new([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.expose_secret().as_bytes(), &salt, key.as_mut())
                    .map_err(|_| VaultError::Locked)?;
                Ok(Key::new(*key))
            }
            _ => Err(VaultError::Locked),
        }
    }
}

/// A key file that exists is used; several vaults may share one.
fn make_key_file(path: &std::path::Path) -> Result<(), VaultError> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut key = Zeroizing::new([0_u8; 32]);
    random(key.as_mut())?;
    let written = match options.open(path) {
        Ok(mut file) => file.write_all(key.as_ref()).and_then(|()| file.sync_all()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    written.map_err(|error| VaultError::File { path: path.to_owned(), cause: error.to_string() })
}
