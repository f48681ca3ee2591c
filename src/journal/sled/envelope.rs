//! The envelope that everything written is put in: a checksum, one line of JSON that says what
//! follows and in which version and encoding, and the body. It knows nothing of what it holds.
//!
//! `checksum (4 bytes, little endian) {"v":1,"encoding":"lz4","length":812,"head":{…}}\n body`.
//! The checksum covers all behind it.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of envelopes that are written; every one that ever was is read.
const VERSION: u32 = 1;

/// Bodies shorter than this are not worth compressing.
const LEAST_COMPRESSED_BYTES: usize = 128;

#[derive(Serialize)]
struct Line<'a, H> {
    v: u32,
    encoding: Encoding,
    length: usize,
    head: &'a H,
}

#[derive(Deserialize)]
struct AnyLine<'a> {
    v: u32,
    encoding: Encoding,
    length: usize,
    #[serde(borrow)]
    head: &'a RawValue,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Plain,
    /// An LZ4 block, without its length.
    Lz4,
}

/// What was sealed, with its checksum.
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) checksum: u32,
}

/// An opened envelope; the body is decompressed when asked for.
pub(super) struct Envelope<'a, H> {
    pub(super) head: H,
    pub(super) checksum: u32,
    /// Bytes of the body before compression.
    pub(super) length: usize,
    encoding: Encoding,
    body: &'a [u8],
}

/// Puts a body into an envelope, compressed where that pays.
pub(super) fn seal<H: Serialize>(head: &H, body: &[u8]) -> Sealed {
    let compressed = (body.len() >= LEAST_COMPRESSED_BYTES)
        .then(|| lz4_flex::block::compress(body))
        .filter(|compressed| compressed.len() < body.len() - body.len() / 16);
    let (encoding, written) = match &compressed {
        Some(compressed) => (Encoding::Lz4, compressed.as_slice()),
        None => (Encoding::Plain, body),
    };
    let line = Line {
        v: VERSION,
        encoding,
        length: body.len(),
        head,
    };
    let mut bytes = Vec::with_capacity(written.len() + 192);
    bytes.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut bytes, &line).expect("heads have string keys only");
    bytes.push(b'\n');
    bytes.extend_from_slice(written);
    let checksum = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    Sealed { bytes, checksum }
}

/// Opens an envelope after checking that it is whole; says what is wrong with it otherwise.
pub(super) fn unseal<H: DeserializeOwned>(bytes: &[u8]) -> Result<Envelope<'_, H>, String> {
    let (checksum, rest) = bytes.split_first_chunk().ok_or("it is cut off")?;
    let checksum = u32::from_le_bytes(*checksum);
    if crc32fast::hash(rest) != checksum {
        return Err("its checksum does not match".into());
    }
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, body) = rest.split_at(end.ok_or("it has no head")?);
    let line: AnyLine<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if line.v != VERSION {
        return Err(format!("version {} is not known", line.v));
    }
    let head = serde_json::from_str(line.head.get()).map_err(|error| error.to_string())?;
    Ok(Envelope {
        head,
        checksum,
        length: line.length,
        encoding: line.encoding,
        body: &body[1..],
    })
}

impl<'a, H> Envelope<'a, H> {
    /// The body as it was sealed.
    pub(super) fn body(&self) -> Result<Cow<'a, [u8]>, String> {
        match self.encoding {
            Encoding::Plain => Ok(Cow::Borrowed(self.body)),
            Encoding::Lz4 => lz4_flex::block::decompress(self.body, self.length)
                .map(Cow::Owned)
                .map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back_and_what_is_changed_does_not() {
        for body in ["", "short", &"long and repeated ".repeat(100)] {
            let sealed = seal(&"head", body.as_bytes());
            let envelope = unseal::<String>(&sealed.bytes).expect("whole");
            assert_eq!(envelope.head, "head");
            assert_eq!(envelope.body().expect("whole"), body.as_bytes());
            for changed in 0..sealed.bytes.len() {
                let mut bytes = sealed.bytes.clone();
                bytes[changed] ^= 1;
                assert!(unseal::<String>(&bytes).is_err());
                assert!(unseal::<String>(&bytes[..changed]).is_err());
            }
        }
    }
}
