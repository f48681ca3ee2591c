//! `operations.list`: open and ended operations as one list, a page at a time.

use std::sync::Arc;

use opstead_core::{Cursor, Operation, OperationState, Reason, Resource, State};
use opstead_schema::params::OperationsListParams;
use opstead_schema::{ErrorCode, ErrorObject};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Api, filter};
use crate::engine::Snapshot;
use crate::filter::Filter;
use crate::journal::{Archive, Entry};
use crate::rpc::method::internal;
use crate::rpc::{convert, errors};

/// The most open operations that are looked at for one page, and the most ended ones. The page ends
/// at the place last looked at, however few were found.
const MOST_LOOKED_AT: usize = 5_000;

/// A place in a listing, as text that belongs to one query.
pub(super) struct PageToken;

impl PageToken {
    /// A fingerprint of the query that a token belongs to.
    pub(super) fn query(query: &impl Serialize) -> u32 {
        crc32fast::hash(&serde_json::to_vec(query).expect("a query is JSON"))
    }

    pub(super) fn write(place: &str, query: u32) -> String {
        format!("{query:08x}.{place}")
    }

    pub(super) fn read(token: Option<&str>, query: u32) -> Result<Option<String>, ErrorObject> {
        let Some(token) = token else { return Ok(None) };
        match token.split_once('.') {
            Some((fingerprint, place)) if fingerprint == format!("{query:08x}") => {
                Ok(Some(place.to_owned()))
            }
            _ => Err(invalid_token()),
        }
    }
}

fn invalid_token() -> ErrorObject {
    let message = "the page token belongs to another query";
    ErrorObject::new(ErrorCode::InvalidPageToken, message)
}

/// What a listing looks for, and where it goes on.
struct Listing {
    params: OperationsListParams,
    filter: Filter,
    after: Place,
    page_size: usize,
}

/// A place in a listing: of one resource come those that run, those that wait, those that ended;
/// otherwise all have the same rank.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: u8,
    sequence: Cursor,
}

/// Where an operation that might be on the page can be had.
enum Found {
    Open(Arc<Operation>, Vec<Reason>),
    Ended(Entry),
}

/// The open operations of a page, and perhaps more than fit on it.
struct OpenPart {
    found: Vec<(Place, Found)>,
    /// The place last looked at, if not all were looked at.
    end: Option<Place>,
}

/// `OperationsPage` with operations that are text already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenPage {
    operations: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    cursor: Cursor,
    log_id: String,
}

/// The entries of a page as text, within the bound of its bytes.
pub(super) struct Written {
    entries: Vec<Box<RawValue>>,
    bytes: u64,
    most_bytes: u64,
}

impl Written {
    pub(super) fn new(answer_bytes: u64) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            // The rest is for what stands around the entries.
            most_bytes: answer_bytes / 2,
        }
    }

    /// Adds an entry, unless the page is full: it ends early rather than grow over the limit, but
    /// is never empty for that.
    pub(super) fn add(&mut self, entry: &impl Serialize) -> Result<bool, ErrorObject> {
        let text = to_raw_value(entry).map_err(|error| internal(&error))?;
        self.bytes += text.get().len() as u64 + 1;
        let fits = self.bytes <= self.most_bytes || self.entries.is_empty();
        if fits {
            self.entries.push(text);
        }
        Ok(fits)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn into_entries(self) -> Vec<Box<RawValue>> {
        self.entries
    }
}

impl Api {
    pub async fn list_operations(
        &self,
        mut params: OperationsListParams,
    ) -> Result<WrittenPage, ErrorObject> {
        let filter = filter(params.filter_type, &params.filter)?;
        let token = params.page_token.take();
        let page_size = std::mem::take(&mut params.page_size) as usize;
        let query = PageToken::query(&params);
        let after = match PageToken::read(token.as_deref(), query)? {
            Some(place) => Place::parse(&place).ok_or_else(invalid_token)?,
            None => Place::default(),
        };
        let listing = Listing {
            params,
            filter,
            after,
            page_size,
        };
        self.beside(move |api, snapshot| {
            let open = listing.open(&snapshot);
            let (cursor, archive) = (snapshot.cursor(), snapshot.archive.clone());
            // Reading the ended ones takes long, and a state that is held makes every change cost
            // more.
            drop(snapshot);
            let (written, next) = api.page(&listing, open, &archive)?;
            Ok(WrittenPage {
                operations: written.into_entries(),
                next_page_token: next.map(|place| PageToken::write(&place.to_string(), query)),
                cursor,
                log_id: api.log_id.to_string(),
            })
        })
        .await
    }

    /// One page, and the place where the next one goes on.
    fn page(
        &self,
        listing: &Listing,
        open: OpenPart,
        archive: &Archive,
    ) -> Result<(Written, Option<Place>), ErrorObject> {
        let mut written = Written::new(self.limits.answer_bytes);
        let (mut last, mut left) = (listing.after, MOST_LOOKED_AT);
        for (place, found) in merged(open.found.into_iter(), listing.ended(archive)) {
            if open.end.is_some_and(|end| place > end) {
                break;
            }
            if left == 0 {
                return Ok((written, Some(last)));
            }
            if let Some(record) = self.load(listing, found, &mut left)?
                && (written.len() == listing.page_size || !written.add(&record)?)
            {
                return Ok((written, Some(last)));
            }
            last = place;
        }
        Ok((written, open.end))
    }

    /// The record of an operation, if it belongs on the page.
    fn load(
        &self,
        listing: &Listing,
        found: Found,
        left: &mut usize,
    ) -> Result<Option<opstead_schema::Operation>, ErrorObject> {
        let entry = match found {
            Found::Open(operation, reasons) => {
                return Ok(Some(convert::operation(&operation, &reasons)));
            }
            Found::Ended(entry) => entry,
        };
        *left -= 1;
        if !listing.wants(entry.state) {
            return Ok(None);
        }
        let record = self.engine.reader().record(&entry);
        let operation = record.map_err(|error| errors::read(&error))?;
        Ok(operation
            .filter(|operation| listing.takes(operation))
            .map(|operation| convert::operation(&operation, &[])))
    }
}

impl Listing {
    /// The open operations that belong on the page, in order, behind the place where it goes on:
    /// one more than fit, so that what follows them cannot.
    fn open(&self, snapshot: &Snapshot) -> OpenPart {
        let state = &snapshot.state;
        let mut part = OpenPart {
            found: Vec::new(),
            end: None,
        };
        for (count, (place, operation)) in (1..).zip(self.open_candidates(state)) {
            if self.takes(operation) {
                let reasons = state.reasons(operation, snapshot.now);
                let found = Found::Open(operation.clone(), reasons);
                part.found.push((place, found));
                if part.found.len() > self.page_size {
                    break;
                }
            }
            if count == MOST_LOOKED_AT {
                part.end = Some(place);
                break;
            }
        }
        part
    }

    fn open_candidates<'a>(
        &self,
        state: &'a State,
    ) -> Box<dyn Iterator<Item = (Place, &'a Arc<Operation>)> + 'a> {
        let after = self.after;
        let Some(resource) = &self.params.resource else {
            let open = state.operations_after(after.sequence);
            return Box::new(open.map(|operation| (Place::of(0, operation), operation)));
        };
        let resource = Resource {
            kind: resource.kind.as_str().into(),
            id: resource.id.as_str().into(),
        };
        let open = state.operations_on(&resource).into_iter();
        let ranked = open.map(|operation| {
            let rank = u8::from(operation.state == OperationState::Waiting);
            let sequence = operation.place();
            (Place { rank, sequence }, operation)
        });
        Box::new(ranked.filter(move |(place, _)| *place > after))
    }

    /// The ended operations behind the place where the page goes on; none if none of the states
    /// wanted is among them.
    fn ended<'a>(&self, archive: &'a Archive) -> impl Iterator<Item = (Place, Found)> + use<'a> {
        let rank = if self.params.resource.is_some() { 2 } else { 0 };
        let after = match self.after {
            after if after.rank == rank => after.sequence,
            _ => 0,
        };
        let mut counts = archive.counts().iter();
        let is_any = counts.any(|(state, count)| *count > 0 && self.wants(*state));
        let entries = is_any.then(|| archive.after(after));
        entries.into_iter().flatten().map(move |entry| {
            let sequence = entry.sequence;
            (Place { rank, sequence }, Found::Ended(*entry))
        })
    }

    fn takes(&self, operation: &Operation) -> bool {
        let params = &self.params;
        let subject = &operation.subject;
        let is = |wanted: &Option<String>, actual: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == actual)
        };
        let parent = subject.parent.as_ref();
        let is_child = |wanted: &Option<String>| {
            let is = |wanted: &String| parent.is_some_and(|parent| *parent.id == **wanted);
            wanted.as_ref().is_none_or(is)
        };
        let holds = |resource: &opstead_schema::Resource| {
            operation.request.claims.iter().any(|claim| {
                *claim.resource.kind == *resource.kind && *claim.resource.id == *resource.id
            })
        };
        let bears = |tag: &String| operation.request.tags.iter().any(|own| **own == **tag);
        self.wants(operation.state)
            && is(&params.subsystem, subject.subsystem())
            && is(&params.method_name, &subject.method_name)
            && is_child(&params.parent)
            && params.tags.iter().flatten().all(bears)
            && params.resource.as_ref().is_none_or(holds)
            && self.filter.matches(&subject.alert_name)
    }

    fn wants(&self, state: OperationState) -> bool {
        let states = self.params.states.as_ref();
        states.is_none_or(|states| states.contains(&convert::state(state)))
    }
}

impl Place {
    fn of(rank: u8, operation: &Operation) -> Self {
        Self {
            rank,
            sequence: operation.subject.sequence,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (rank, sequence) = text.split_once('.')?;
        Some(Self {
            rank: rank.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.rank, self.sequence)
    }
}

/// Two ordered listings as one.
fn merged<T>(
    left: impl Iterator<Item = (Place, T)>,
    right: impl Iterator<Item = (Place, T)>,
) -> impl Iterator<Item = (Place, T)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some((first, _)), Some((second, _))) if second < first => right.next(),
        (Some(_), _) => left.next(),
        (None, _) => right.next(),
    })
}
