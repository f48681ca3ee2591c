//! The envelope that everything written is put in: a checksum, one line of JSON that says what
//! follows and in which version and encoding, and the body. It knows nothing of what it holds.
//!
//! `checksum (4 bytes, little endian) {"v":1,"encoding":"lz4","length":812,"head":{…}}\n body`.
//! The checksum covers all behind it.

use std::borrow::Cow;

use lz4_flex::block;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of envelopes that are written; every one that ever was is read.
const VERSION: u32 = 1;

/// What the JSON of blocks and records has in common, so that a block of one event is compressed
/// too. It is part of the format: a better one gets a number and an encoding of its own.
const DICTIONARY_1: &[u8] = include_bytes!("dictionary-1.txt");

/// Longer bodies are compressed by what they repeat themselves.
const MOST_DICTIONARY_BYTES: usize = 16 * 1024;

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
    /// The same, with the first dictionary.
    #[serde(rename = "lz4-1")]
    Lz4Dictionary1,
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
    let compressed = compress(body);
    let (encoding, written) = match &compressed {
        Some((encoding, compressed)) => (*encoding, compressed.as_slice()),
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

/// Compresses a body, if that pays.
fn compress(body: &[u8]) -> Option<(Encoding, Vec<u8>)> {
    let (encoding, compressed) = match body.len() {
        0..LEAST_COMPRESSED_BYTES => return None,
        LEAST_COMPRESSED_BYTES..MOST_DICTIONARY_BYTES => (
            Encoding::Lz4Dictionary1,
            block::compress_with_dict(body, DICTIONARY_1),
        ),
        _ => (Encoding::Lz4, block::compress(body)),
    };
    let pays = compressed.len() < body.len() - body.len() / 16;
    pays.then_some((encoding, compressed))
}

/// Opens an envelope after checking that it is whole; says what is wrong with it otherwise.
pub(super) fn unseal<H: DeserializeOwned>(bytes: &[u8]) -> Result<Envelope<'_, H>, String> {
    let (checksum, rest) = bytes.split_first_chunk().ok_or("it is cut off")?;
    let checksum = u32::from_le_bytes(*checksum);
    if crc32fast::hash(rest) != checksum {
        return Err("its checksum does not match".into());
    }
    let (line, body) = split(rest)?;
    Ok(Envelope {
        head: head_of(&line)?,
        checksum,
        length: line.length,
        encoding: line.encoding,
        body,
    })
}

/// The head alone, from the first bytes of an envelope; whether the rest is whole is not checked.
pub(super) fn peek<H: DeserializeOwned>(bytes: &[u8]) -> Result<H, String> {
    let (line, _) = split(bytes.get(4..).ok_or("it is cut off")?)?;
    head_of(&line)
}

fn split(rest: &[u8]) -> Result<(AnyLine<'_>, &[u8]), String> {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, body) = rest.split_at(end.ok_or("it has no head")?);
    let line: AnyLine<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if line.v != VERSION {
        return Err(format!("version {} is not known", line.v));
    }
    Ok((line, &body[1..]))
}

fn head_of<H: DeserializeOwned>(line: &AnyLine<'_>) -> Result<H, String> {
    serde_json::from_str(line.head.get()).map_err(|error| error.to_string())
}

impl<'a, H> Envelope<'a, H> {
    /// The body as it was sealed.
    pub(super) fn body(&self) -> Result<Cow<'a, [u8]>, String> {
        let decompressed = match self.encoding {
            Encoding::Plain => return Ok(Cow::Borrowed(self.body)),
            Encoding::Lz4 => block::decompress(self.body, self.length),
            Encoding::Lz4Dictionary1 => {
                block::decompress_with_dict(self.body, self.length, DICTIONARY_1)
            }
        };
        decompressed
            .map(Cow::Owned)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back_and_what_is_changed_does_not() {
        for body in ["", "short", &"repeated ".repeat(100), &"long ".repeat(5000)] {
            let sealed = seal(&"head", body.as_bytes());
            let envelope = unseal::<String>(&sealed.bytes).expect("whole");
            assert_eq!(envelope.head, "head");
            assert_eq!(envelope.body().expect("whole"), body.as_bytes());
            for changed in 0..sealed.bytes.len().min(600) {
                let mut bytes = sealed.bytes.clone();
                bytes[changed] ^= 1;
                assert!(unseal::<String>(&bytes).is_err());
                assert!(unseal::<String>(&bytes[..changed]).is_err());
            }
        }
    }
}
