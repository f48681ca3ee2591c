//! Checkpoint files beside the log: written beside under a temporary name, synced and renamed, so
//! that a whole one is always there; read as a stream. It knows nothing of sled.
//!
//! A file is a row of frames, each a length (4 bytes, little endian) and an envelope that says
//! which section it belongs to: one `header`, the `archive` index, the `state`, one `footer` with
//! the counts. Their bodies are JSON values, one after another.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, OperationState, Time};
use serde::{Deserialize, Serialize};

use super::durable::sync_folder;
use super::envelope::{Envelope, seal, unseal};
use crate::journal::ReadError;

const PREFIX: &str = "checkpoint.";
const TEMPORARY: &str = "tmp";

/// Lines are gathered into frames of about this many bytes.
const FRAME_BYTES: usize = 256 * 1024;

/// No frame is longer; a length beyond it is damage, not a reason to ask for memory.
const MOST_FRAME_BYTES: usize = 1 << 30;

/// Decoding a state takes about twice as long as restoring it.
const DECODERS: usize = 2;

/// Each decoder is so many frames ahead.
const DECODED_FRAMES: usize = 2;

/// After so many bytes what is written is synced, so that the end has little left to sync and the
/// log's own syncs are never stuck behind a mountain of dirty pages.
const SYNC_BYTES: usize = 8 * 1024 * 1024;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) log_id: String,
    /// The cursor of the last event the state includes.
    pub(super) head: Cursor,
    /// The cursor of the last event the archive index includes; the end of the log when the
    /// checkpoint was written.
    pub(super) log_head: Cursor,
    /// The checksum of the block that ends there.
    pub(super) checksum: u32,
    /// Bytes of all blocks up to there.
    pub(super) written_bytes: u64,
}

/// Records that are kept of one block; it may have several groups.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) block: Cursor,
    /// Bytes of all records of the block.
    pub(super) bytes: u64,
    /// Sequence, state, end, fingerprint, place in the block.
    pub(super) entries: Vec<(Cursor, OperationState, Time, u64, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Section {
    Header,
    Archive,
    State,
    Footer,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Footer {
    groups: u64,
    records: u64,
}

/// A whole checkpoint on disk.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) head: Cursor,
    /// Where in the file the state begins.
    state: u64,
}

/// Writes a checkpoint durably.
pub(super) fn write(
    folder: &Path,
    header: &Header,
    groups: impl Iterator<Item = Group>,
    records: &mut dyn Iterator<Item = Record>,
) -> io::Result<Place> {
    let path = folder.join(format!("{PREFIX}{:020}", header.head));
    let temporary = path.with_extension(TEMPORARY);
    let mut writer = Writer::new(File::create(&temporary)?);
    writer.line(Section::Header, header)?;
    let mut footer = Footer {
        groups: 0,
        records: 0,
    };
    for group in groups {
        writer.line(Section::Archive, &group)?;
        footer.groups += 1;
    }
    writer.end_frame()?;
    let state = writer.bytes;
    for record in records {
        writer.line(Section::State, &record)?;
        footer.records += 1;
    }
    writer.line(Section::Footer, &footer)?;
    writer.end_frame()?;
    writer.file.sync_all()?;
    fs::rename(&temporary, &path)?;
    sync_folder(folder)?;
    Ok(Place {
        path,
        head: header.head,
        state,
    })
}

/// The finished checkpoints in a folder, the newest first.
pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = files(folder)?;
    found.retain(|path| !is_unfinished(path));
    found.sort_unstable_by(|left, right| right.cmp(left));
    Ok(found)
}

/// Removes what a crash has left of checkpoints that were just being written.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    let mut found = files(folder)?;
    found.retain(|path| is_unfinished(path));
    found.iter().try_for_each(fs::remove_file)
}

/// The cursor in a checkpoint's name.
pub(super) fn head_of(path: &Path) -> Option<Cursor> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.parse().ok()
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(PREFIX)) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_unfinished(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == TEMPORARY)
}

/// Reads a checkpoint to its end and gives what opening needs of it, the archive index group by
/// group. The state is only checked, not decoded.
pub(super) fn verify(
    path: &Path,
    mut take_in: impl FnMut(Group),
) -> Result<(Place, Header), String> {
    let mut frames = Frames::open(path, 0).map_err(|error| error.to_string())?;
    let first = frames.next_frame()?.ok_or("it is empty")?;
    let header: Header = one_line(Section::Header, &first)?;
    let mut groups = 0;
    let mut state = frames.at;
    loop {
        let frame = frames.next_frame()?.ok_or("it is cut off")?;
        let envelope = unseal::<Section>(&frame)?;
        match envelope.head {
            Section::Archive => {
                for group in lines(&envelope)? {
                    take_in(group);
                    groups += 1;
                }
                state = frames.at;
            }
            Section::State => {}
            Section::Footer => {
                let footer: Footer = one_line(Section::Footer, &frame)?;
                if footer.groups != groups {
                    return Err("parts of the archive index are missing".into());
                }
                break;
            }
            Section::Header => return Err("it has two headers".into()),
        }
    }
    let place = Place {
        path: path.to_owned(),
        head: header.head,
        state,
    };
    Ok((place, header))
}

impl Place {
    /// The state, decoded on threads of its own while the caller takes it in.
    pub(super) fn stream(&self) -> io::Result<Records> {
        let decoders = (0..DECODERS).map(|turn| self.decoder(turn));
        Ok(Records {
            decoders: decoders.collect::<io::Result<_>>()?,
            decoded: Vec::new().into_iter(),
            taken: 0,
            head: self.head,
        })
    }

    /// Decodes every so manieth frame.
    fn decoder(&self, turn: usize) -> io::Result<Receiver<Result<Piece, ReadError>>> {
        let mut frames = Frames::open(&self.path, self.state)?;
        let (sender, receiver) = mpsc::sync_channel(DECODED_FRAMES);
        let at = self.head;
        let decode = move || {
            let mut skipped = turn;
            loop {
                let piece = frames
                    .skip(skipped)
                    .and_then(|()| Piece::next(&mut frames))
                    .map_err(|what| ReadError::Damaged { at, what });
                let is_last = !matches!(piece, Ok(Piece::Records(_)));
                // The receiver may have lost interest.
                if sender.send(piece).is_err() || is_last {
                    return;
                }
                skipped = DECODERS - 1;
            }
        };
        let thread = thread::Builder::new().name("checkpoint-reader".into());
        thread.spawn(decode)?;
        Ok(receiver)
    }
}

/// What a frame behind the archive index holds.
enum Piece {
    Records(Vec<Record>),
    End(Footer),
}

impl Piece {
    fn next(frames: &mut Frames) -> Result<Self, String> {
        let frame = frames.next_frame()?.ok_or("the checkpoint is cut off")?;
        let envelope = unseal::<Section>(&frame)?;
        match envelope.head {
            Section::Footer => one_line(Section::Footer, &frame).map(Self::End),
            _ => lines(&envelope).map(Self::Records),
        }
    }
}

/// The records of a checkpoint.
pub(super) struct Records {
    /// Whose turn it is comes first; none at the end.
    decoders: VecDeque<Receiver<Result<Piece, ReadError>>>,
    decoded: std::vec::IntoIter<Record>,
    /// Records of the frames so far.
    taken: u64,
    head: Cursor,
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.decoded.next() {
                return Some(Ok(record));
            }
            let piece = self.decoders.front()?.recv().ok()?;
            self.decoders.rotate_left(1);
            match piece {
                Ok(Piece::Records(records)) => {
                    self.taken += records.len() as u64;
                    self.decoded = records.into_iter();
                }
                Ok(Piece::End(footer)) => {
                    self.decoders.clear();
                    if footer.records != self.taken {
                        let what = "records of the checkpoint are missing".into();
                        return Some(Err(ReadError::Damaged {
                            at: self.head,
                            what,
                        }));
                    }
                }
                Err(error) => {
                    self.decoders.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Gathers lines into frames.
struct Writer {
    file: File,
    section: Section,
    lines: Vec<u8>,
    bytes: u64,
    unsynced: usize,
}

impl Writer {
    fn new(file: File) -> Self {
        Self {
            file,
            section: Section::Header,
            lines: Vec::with_capacity(FRAME_BYTES + FRAME_BYTES / 4),
            bytes: 0,
            unsynced: 0,
        }
    }

    fn line<T: Serialize>(&mut self, section: Section, line: &T) -> io::Result<()> {
        if section != self.section || self.lines.len() >= FRAME_BYTES {
            self.end_frame()?;
            self.section = section;
        }
        serde_json::to_writer(&mut self.lines, line)?;
        self.lines.push(b'\n');
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let sealed = seal(&self.section, &self.lines);
        self.file
            .write_all(&(sealed.bytes.len() as u32).to_le_bytes())?;
        self.file.write_all(&sealed.bytes)?;
        self.lines.clear();
        self.bytes += 4 + sealed.bytes.len() as u64;
        self.unsynced += sealed.bytes.len();
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

struct Frames {
    file: BufReader<File>,
    at: u64,
}

impl Frames {
    fn open(path: &Path, at: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Self {
            file: BufReader::with_capacity(FRAME_BYTES, file),
            at,
        })
    }

    /// Passes over frames, as far as there are any.
    fn skip(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let Some(length) = self.next_length()? else {
                break;
            };
            let skipped = self.file.seek_relative(length as i64);
            skipped.map_err(|error| error.to_string())?;
            self.at += 4 + length as u64;
        }
        Ok(())
    }

    /// The next frame; nothing at the end of the file.
    fn next_frame(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(length) = self.next_length()? else {
            return Ok(None);
        };
        let mut frame = Vec::with_capacity(length.min(2 * FRAME_BYTES));
        let read = (&mut self.file).take(length as u64).read_to_end(&mut frame);
        if read.map_err(|error| error.to_string())? != length {
            return Err("it is cut off".into());
        }
        self.at += 4 + length as u64;
        Ok(Some(frame))
    }

    fn next_length(&mut self) -> Result<Option<usize>, String> {
        let mut length = [0; 4];
        match self.file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let length = u32::from_le_bytes(length) as usize;
        match length > MOST_FRAME_BYTES {
            true => Err("a frame has an impossible length".into()),
            false => Ok(Some(length)),
        }
    }
}

fn lines<T: for<'de> Deserialize<'de>>(envelope: &Envelope<'_, Section>) -> Result<Vec<T>, String> {
    let body = envelope.body()?;
    // Checked as a whole, which is cheaper than text by text.
    let text = str::from_utf8(&body).map_err(|error| error.to_string())?;
    // Foreign JSON may hold line breaks, so values are told apart by where they end.
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn one_line<T: for<'de> Deserialize<'de>>(section: Section, frame: &[u8]) -> Result<T, String> {
    let envelope = unseal::<Section>(frame)?;
    if envelope.head != section {
        return Err(format!("there is no {section:?} where there should be"));
    }
    lines(&envelope)?.pop().ok_or("a frame is empty".into())
}
