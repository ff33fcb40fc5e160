//! Authenticated encryption of small things.
//!
//! Knows: XChaCha20-Poly1305 with a random nonce, bound to a name, so that no sealed thing passes for another.
//! Does not know: what is sealed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox, SecretSlice};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use super::VaultError;

const NONCE: usize = 24;

/// A key. Wiped when it is dropped, and shown by nothing.
pub(super) struct Key(SecretBox<[u8; 32]>);

impl Key {
    pub(super) fn random() -> Result<Self, VaultError> {
        let mut key = Box::new([0; 32]);
        random(key.as_mut())?;
        Ok(Self(SecretBox::new(key)))
    }

    pub(super) fn new(mut bytes: [u8; 32]) -> Self {
        let key = Box::new(bytes);
        bytes.zeroize();
        Self(SecretBox::new(key))
    }

    pub(super) fn from_secret(secret: &SecretSlice<u8>) -> Result<Self, VaultError> {
        <[u8; 32]>::try_from(secret.expose_secret()).map(Self::new).map_err(|_| VaultError::Locked)
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.expose_secret().into())
    }
}

pub(super) fn random(bytes: &mut [u8]) -> Result<(), VaultError> {
    // Without randomness nothing may be sealed: the same nonce twice gives both texts away.
    getrandom::fill(bytes).map_err(|_| VaultError::Locked)
}

/// Something encrypted: the nonce, then the text with its tag.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sealed(String);

impl Sealed {
    pub(super) fn of(text: &[u8], key: &Key, name: &[u8]) -> Result<Self, VaultError> {
        let mut nonce = [0; NONCE];
        random(&mut nonce)?;
        let payload = Payload { msg: text, aad: name };
        let encrypted = key.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Locked)?;
        let mut sealed = nonce.to_vec();
        sealed.extend(encrypted);
        Ok(Self(BASE64.encode(sealed)))
    }

    pub(super) fn open(&self, key: &Key, name: &[u8]) -> Result<SecretSlice<u8>, VaultError> {
        let sealed = BASE64.decode(&self.0).map_err(|_| VaultError::Locked)?;
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE>().ok_or(VaultError::Locked)?;
        let payload = Payload { msg: encrypted, aad: name };
        key.cipher().decrypt(&XNonce::from(*nonce), payload).map(SecretSlice::from).map_err(|_| VaultError::Locked)
    }

    pub(super) fn to_text(&self) -> String {
        self.0.clone()
    }

    pub(super) fn from_text(text: &str) -> Result<Self, VaultError> {
        Ok(Self(text.to_owned()))
    }
}
