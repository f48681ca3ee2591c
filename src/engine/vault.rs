//! The vault: encrypts kwargs that hold secrets, so that nobody reads them in the log. It keeps no
//! secret itself, only the key.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Generate, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use opstead_core::Json;
use thiserror::Error;

/// Bytes of the nonce, which stands before what is encrypted.
const NONCE_BYTES: usize = 24;

/// Encrypts and decrypts with one key.
#[derive(Clone)]
pub struct Vault {
    cipher: Arc<XChaCha20Poly1305>,
}

/// What was encrypted cannot be read: it was written with another key, or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the secrets cannot be decrypted; they were encrypted with another key")]
pub struct SealBroken;

impl Vault {
    /// Bytes of a key.
    pub const KEY_BYTES: usize = 32;

    /// A vault with this key.
    pub fn new(key: &[u8; Self::KEY_BYTES]) -> Self {
        let cipher = XChaCha20Poly1305::new(&Key::from(*key));
        Self {
            cipher: Arc::new(cipher),
        }
    }

    /// A vault with a fresh key, which is gone with the process.
    pub fn fleeting() -> Self {
        Self::new(&Key::generate().into())
    }

    /// Encrypts a text. Each time the result is another.
    pub(super) fn seal(&self, text: &Json) -> Arc<str> {
        let nonce = XNonce::generate();
        let sealed = self.cipher.encrypt(&nonce, text.as_str().as_bytes());
        let sealed = sealed.expect("a request is far shorter than the cipher can take");
        let bytes = nonce.iter().chain(&sealed);
        let digits = bytes.map(|byte| format!("{byte:02x}"));
        digits.collect::<String>().into()
    }

    /// Decrypts what was encrypted with this key.
    pub(super) fn open(&self, sealed: &str) -> Result<Json, SealBroken> {
        let bytes = from_hex(sealed).ok_or(SealBroken)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(SealBroken)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealBroken)?;
        let text = self.cipher.decrypt(&nonce, sealed);
        let text = String::from_utf8(text.map_err(|_| SealBroken)?);
        Json::from_text(&text.map_err(|_| SealBroken)?).map_err(|_| SealBroken)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vault(***)")
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_what_was_sealed_and_left_alone() {
        let vault = Vault::new(&[7; Vault::KEY_BYTES]);
        let text = Json::from_text(r#"{ "password" : "hunter2", "n":18446744073709551615 }"#);
        let text = text.expect("json");
        let sealed = vault.seal(&text);
        assert!(!sealed.contains("hunter2"));
        assert_ne!(sealed, vault.seal(&text), "equal secrets do not look equal");
        assert_eq!(vault.open(&sealed), Ok(text));
        assert_eq!(Vault::fleeting().open(&sealed), Err(SealBroken));
        let last = if sealed.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &sealed[..sealed.len() - 1]);
        for broken in [&changed, "", "zz", &sealed[..40]] {
            assert_eq!(vault.open(broken), Err(SealBroken));
        }
    }
}
