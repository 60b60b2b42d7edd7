//! Requests a list in pages, and limits how much of it the agent reads: a server must not be able to fill the memory with pages.

use prost::Message;
use tonic::transport::Channel;

use super::api_error::{ApiError, ListProblem};
use super::grpc::{LARGE_RESPONSE_TIMEOUT, unary_within};

/// The number of pages after which a list counts as endless.
const MAX_PAGES: usize = 1000;
/// The number of entries of a list. The largest clusters have some ten thousand resources.
const MAX_ENTRIES: usize = 100_000;
/// The size of all pages of a list together.
const MAX_BYTES: usize = 64 << 20;

/// Counts the pages of one list.
#[derive(Debug)]
pub(super) struct ListLimit {
    method: &'static str,
    pages: usize,
    entries: usize,
    bytes: usize,
}

impl ListLimit {
    /// `method` is the full name of the method that returns the pages.
    pub(super) fn new(method: &'static str) -> Self {
        Self { method, pages: 0, entries: 0, bytes: 0 }
    }

    /// Counts a page before its entries are kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the list is too large, or if this page is not the last one and the list has too many.
    pub(super) fn add(&mut self, page: &impl Message, entries: usize, is_last: bool) -> Result<(), ApiError> {
        self.pages += 1;
        self.entries += entries;
        self.bytes += page.encoded_len();
        let exceeds = |problem| Err(ApiError::List { method: self.method, problem });
        if self.entries > MAX_ENTRIES {
            exceeds(ListProblem::Entries(MAX_ENTRIES))
        } else if self.bytes > MAX_BYTES {
            exceeds(ListProblem::Bytes(MAX_BYTES))
        } else if self.pages >= MAX_PAGES && !is_last {
            exceeds(ListProblem::Pages(MAX_PAGES))
        } else {
            Ok(())
        }
    }
}

/// Requests one page of a list. While it is larger than the agent accepts, requests half as many entries instead, and so for all
/// further pages.
pub(super) async fn request_page<M, R>(
    channel: &Channel,
    method: &'static str,
    page_size: &mut i32,
    request: impl Fn(i32) -> M,
) -> Result<R, ApiError>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    loop {
        match unary_within(LARGE_RESPONSE_TIMEOUT, channel, method, request(*page_size)).await {
            Err(ApiError::TooLarge { .. }) if *page_size > 1 => *page_size /= 2,
            response => return response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds pages with this many entries and bytes until the limit is reached, and returns the number that fit.
    fn pages_that_fit(entries: usize, bytes: usize) -> usize {
        let mut limit = ListLimit::new("/List");
        let page = "x".repeat(bytes);
        (0..).take_while(|_| limit.add(&page, entries, false).is_ok()).count()
    }

    #[test]
    fn pages_entries_and_bytes_are_limited() {
        assert_eq!(pages_that_fit(1, 1), MAX_PAGES - 1);
        assert_eq!(pages_that_fit(1000, 1), MAX_ENTRIES / 1000);
        assert_eq!(pages_that_fit(1, 4 << 20), 15, "each page is slightly larger than 4 MiB");
        let mut limit = ListLimit::new("/List");
        for _ in 1..MAX_PAGES {
            limit.add(&(), 0, false).unwrap();
        }
        limit.add(&(), 0, true).unwrap();
    }
}
