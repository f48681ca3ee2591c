//! Listings that come in pages, read as far as they are wanted.

use std::num::NonZeroUsize;

use opstead_client::schema::params::{ObjectsListParams, OperationsListParams, PAGE_SIZE_MOST};
use opstead_client::schema::{ObjectInfo, Operation, OperationState};
use opstead_client::{Client, Error};

use super::output::note;

/// As many as were wanted.
pub(super) struct Listed<T> {
    pub(super) found: Vec<T>,
    /// Whether there are others.
    pub(super) more: bool,
}

impl<T> Listed<T> {
    /// Says on stderr if the list is not the whole.
    pub(super) fn say_if_more(&self, limit: NonZeroUsize) {
        if self.more {
            note(&format!(
                "There are others: these are the first {limit}. --limit N shows more."
            ));
        }
    }
}

/// The states of what has not ended.
pub(super) fn open_states() -> Vec<OperationState> {
    let states = OperationState::ALL.iter().copied();
    states.filter(|state| !state.has_ended()).collect()
}

/// At most so many operations, in the daemon's order.
pub(super) async fn operations(
    client: &Client,
    mut params: OperationsListParams,
    limit: NonZeroUsize,
) -> Result<Listed<Operation>, Error> {
    read(limit, async |size, token| {
        params.page_size = size;
        params.page_token = token;
        let page = client.list_operations(&params).await?;
        Ok((page.operations, page.next_page_token))
    })
    .await
}

/// At most so many objects, by name.
pub(super) async fn objects(
    client: &Client,
    mut params: ObjectsListParams,
    limit: NonZeroUsize,
) -> Result<Listed<ObjectInfo>, Error> {
    read(limit, async |size, token| {
        params.page_size = size;
        params.page_token = token;
        let page = client.list_objects(&params).await?;
        Ok((page.objects, page.next_page_token))
    })
    .await
}

/// Asks for one more than is wanted: a page may be followed by others and yet be the last with
/// anything on it.
async fn read<T>(
    limit: NonZeroUsize,
    mut page: impl AsyncFnMut(u32, Option<String>) -> Result<(Vec<T>, Option<String>), Error>,
) -> Result<Listed<T>, Error> {
    let limit = limit.get();
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let missing = limit.saturating_add(1) - found.len();
        let size = u32::try_from(missing).map_or(PAGE_SIZE_MOST, |size| size.min(PAGE_SIZE_MOST));
        let (more, next) = page(size, token).await?;
        found.extend(more);
        if found.len() > limit {
            found.truncate(limit);
            return Ok(Listed { found, more: true });
        }
        if next.is_none() {
            return Ok(Listed { found, more: false });
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of these numbers, each with as many as are asked for, but never more than 3.
    async fn listed(pages_of: &[u32], limit: usize) -> (Vec<u32>, bool) {
        let mut left = pages_of.to_vec();
        let limit = NonZeroUsize::new(limit).unwrap();
        let listed = read(limit, async |size, token: Option<String>| {
            assert_eq!(token.is_none(), left.len() == pages_of.len());
            let next: Vec<u32> = left.drain(..left.len().min(size.min(3) as usize)).collect();
            // As the daemon does: a page can promise others, and then there are none.
            let token = (!next.is_empty()).then(|| "next".to_owned());
            Ok((next, token))
        });
        let listed = listed.await.unwrap();
        (listed.found, listed.more)
    }

    #[tokio::test]
    async fn pages_are_read_as_far_as_is_wanted() {
        let all = [1, 2, 3, 4, 5, 6, 7];
        assert_eq!(listed(&all, 100).await, (all.to_vec(), false));
        assert_eq!(listed(&all, 7).await, (all.to_vec(), false));
        assert_eq!(listed(&all, 6).await, (all[..6].to_vec(), true));
        assert_eq!(listed(&all, 1).await, (vec![1], true));
        assert_eq!(listed(&[], 1).await, (vec![], false));
    }
}
