//! `operations.list`: open and ended operations as one list, a page at a time.

use std::sync::Arc;

use opstead_core::{Cursor, Operation, OperationState, Resource};
use opstead_schema::params::OperationsListParams;
use opstead_schema::results::OperationsPage;
use opstead_schema::{ErrorCode, ErrorObject};
use serde::Serialize;

use super::{Api, filter};
use crate::engine::Snapshot;
use crate::filter::Filter;
use crate::rpc::{convert, errors};

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
    Open(Arc<Operation>),
    Ended(crate::journal::Entry),
}

impl Api {
    pub async fn list_operations(
        &self,
        mut params: OperationsListParams,
    ) -> Result<OperationsPage, ErrorObject> {
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
        };
        self.beside(move |api, snapshot| api.page(&snapshot, &listing, page_size, query))
            .await
    }

    fn page(
        &self,
        snapshot: &Snapshot,
        listing: &Listing,
        page_size: usize,
        query: u32,
    ) -> Result<OperationsPage, ErrorObject> {
        let mut operations = Vec::new();
        let mut bytes = 0;
        let mut last = Place::default();
        let mut next_page_token = None;
        for (place, found) in listing.candidates(snapshot) {
            let Some(operation) = self.load(&found)? else {
                continue;
            };
            if !listing.takes(&operation) {
                continue;
            }
            let reasons = match found {
                Found::Open(_) => snapshot.state.reasons(&operation),
                Found::Ended(_) => Vec::new(),
            };
            let record = convert::operation(&operation, &reasons);
            bytes += serde_json::to_vec(&record).map_or(0, |text| text.len() as u64 + 1);
            // A page ends early rather than grow over the limit, but never empty.
            let full = operations.len() == page_size || bytes > self.limits.answer_bytes / 2;
            if full && !operations.is_empty() {
                next_page_token = Some(PageToken::write(&last.to_string(), query));
                break;
            }
            operations.push(record);
            last = place;
        }
        Ok(OperationsPage {
            operations,
            next_page_token,
            cursor: snapshot.cursor(),
            log_id: self.log_id.to_string(),
        })
    }

    fn load(&self, found: &Found) -> Result<Option<Arc<Operation>>, ErrorObject> {
        match found {
            Found::Open(operation) => Ok(Some(operation.clone())),
            Found::Ended(entry) => self
                .engine
                .reader()
                .record(entry)
                .map_err(|error| errors::read(&error)),
        }
    }
}

impl Listing {
    /// Whatever might be on the page, in order, behind the place where it goes on.
    fn candidates<'a>(
        &'a self,
        snapshot: &'a Snapshot,
    ) -> Box<dyn Iterator<Item = (Place, Found)> + 'a> {
        let after = self.after;
        let ended = move |rank, from| {
            snapshot
                .archive
                .after(from)
                .filter(|entry| self.wants(entry.state))
                .map(move |entry| {
                    (
                        Place {
                            rank,
                            sequence: entry.sequence,
                        },
                        Found::Ended(*entry),
                    )
                })
        };
        let Some(resource) = &self.params.resource else {
            let open = snapshot
                .state
                .operations_after(after.sequence)
                .map(|operation| (Place::of(0, operation), Found::Open(operation.clone())));
            return Box::new(merged(open, ended(0, after.sequence)));
        };
        let resource = Resource {
            kind: resource.kind.as_str().into(),
            id: resource.id.as_str().into(),
        };
        let open = snapshot
            .state
            .operations_on(&resource)
            .into_iter()
            .map(|operation| {
                let rank = u8::from(operation.state == OperationState::Waiting);
                (Place::of(rank, operation), Found::Open(operation.clone()))
            });
        let ended_after = if after.rank == 2 { after.sequence } else { 0 };
        Box::new(
            open.filter(move |(place, _)| *place > after)
                .chain(ended(2, ended_after)),
        )
    }

    fn takes(&self, operation: &Operation) -> bool {
        let params = &self.params;
        let subject = &operation.subject;
        let is = |wanted: &Option<String>, actual: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == actual)
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
            && params.parent.is_none()
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
