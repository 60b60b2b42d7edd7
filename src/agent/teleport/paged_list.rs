//! Requests a list in pages, and limits how much of it the agent reads, and how long that takes: a server must be able neither to fill
//! the memory with pages, nor to keep an attempt busy with them.

use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;

use super::api_error::{ApiError, ListProblem};
use super::grpc::{LARGE_RESPONSE_TIMEOUT, unary_within};

/// The number of pages after which a list counts as endless.
const MAX_PAGES: usize = 1000;
/// The number of entries of a list. The largest clusters have some ten thousand resources.
const MAX_ENTRIES: usize = 100_000;
/// The size of all pages of a list together.
const MAX_BYTES: usize = 64 << 20;
/// The time that all pages of a list may take together.
const LIST_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The number of entries to request after a page was too slow. Few enough for a slow connection: if they are too slow as well, the
/// server does not respond.
const SLOW_PAGE_SIZE: i32 = 100;
/// Half of the size, and half of the time, that a page may have. After a page within both, the next one may have twice as many entries.
const HALF_PAGE_BYTES: usize = 2 << 20;
const HALF_PAGE_TIME: Duration = Duration::from_secs(30);

/// Requests the pages of one list, and counts them.
#[derive(Debug)]
pub(super) struct PagedList {
    method: &'static str,
    max_page_size: i32,
    /// The number of entries to request.
    page_size: i32,
    deadline: Instant,
    pages: usize,
    entries: usize,
    bytes: usize,
}

impl PagedList {
    /// `method` is the full name of the method that returns the pages, and `page_size` the number of entries to request at most.
    pub(super) fn new(method: &'static str, page_size: i32) -> Self {
        let deadline = Instant::now() + LIST_TIMEOUT;
        Self { method, max_page_size: page_size, page_size, deadline, pages: 0, entries: 0, bytes: 0 }
    }

    /// Requests one page. If it is larger than the agent accepts, or takes too long, requests fewer entries instead. Later pages grow
    /// again.
    ///
    /// # Errors
    ///
    /// Returns an error if the request fails, or if the list takes too long.
    pub(super) async fn request<M, R>(
        &mut self,
        channel: &Channel,
        request: impl Fn(i32) -> M,
    ) -> Result<R, ApiError>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let method = self.method;
        self.request_with(|page_size| {
            unary_within(LARGE_RESPONSE_TIMEOUT, channel, method, request(page_size))
        })
        .await
    }

    async fn request_with<R: Message, F: Future<Output = Result<R, ApiError>>>(
        &mut self,
        request: impl Fn(i32) -> F,
    ) -> Result<R, ApiError> {
        let deadline = self.deadline;
        let page = timeout_at(deadline, self.request_fitting(request)).await;
        page.unwrap_or_else(|_| Err(self.exceeds(ListProblem::Time(LIST_TIMEOUT))))
    }

    async fn request_fitting<R: Message, F: Future<Output = Result<R, ApiError>>>(
        &mut self,
        request: impl Fn(i32) -> F,
    ) -> Result<R, ApiError> {
        loop {
            let started = Instant::now();
            let response = request(self.page_size).await;
            let elapsed = started.elapsed();
            match &response {
                Ok(page) if page.encoded_len() <= HALF_PAGE_BYTES && elapsed <= HALF_PAGE_TIME => {
                    self.page_size = (self.page_size * 2).min(self.max_page_size);
                }
                Err(ApiError::TooLarge { .. }) if self.page_size > 1 => {
                    self.page_size /= 2;
                    continue;
                }
                Err(ApiError::NoResponse { .. })
                    if elapsed >= LARGE_RESPONSE_TIMEOUT && self.page_size > SLOW_PAGE_SIZE =>
                {
                    self.page_size = SLOW_PAGE_SIZE;
                    continue;
                }
                _ => {}
            }
            return response;
        }
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
        if self.entries > MAX_ENTRIES {
            Err(self.exceeds(ListProblem::Entries(MAX_ENTRIES)))
        } else if self.bytes > MAX_BYTES {
            Err(self.exceeds(ListProblem::Bytes(MAX_BYTES)))
        } else if self.pages >= MAX_PAGES && !is_last {
            Err(self.exceeds(ListProblem::Pages(MAX_PAGES)))
        } else {
            Ok(())
        }
    }

    fn exceeds(&self, problem: ListProblem) -> ApiError {
        ApiError::List { method: self.method, problem }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::agent::net::connection_error::ConnectionError;

    /// Adds pages with this many entries and bytes until the limit is reached, and returns the number that fit.
    fn pages_that_fit(entries: usize, bytes: usize) -> usize {
        let mut list = PagedList::new("/List", 1000);
        let page = "x".repeat(bytes);
        (0..).take_while(|_| list.add(&page, entries, false).is_ok()).count()
    }

    #[test]
    fn pages_entries_and_bytes_are_limited() {
        assert_eq!(pages_that_fit(1, 1), MAX_PAGES - 1);
        assert_eq!(pages_that_fit(1000, 1), MAX_ENTRIES / 1000);
        assert_eq!(pages_that_fit(1, 4 << 20), 15, "each page is slightly larger than 4 MiB");
        let mut list = PagedList::new("/List", 1000);
        for _ in 1..MAX_PAGES {
            list.add(&(), 0, false).unwrap();
        }
        list.add(&(), 0, true).unwrap();
    }

    /// A server that needs `per_entry` for each entry, whose size depends on its index.
    struct Server {
        per_entry: Duration,
        size_of: fn(usize) -> usize,
    }

    impl Server {
        /// Responds to a request for `page_size` entries, of which the first has the index `start`.
        async fn page(&self, start: usize, page_size: i32) -> Result<String, ApiError> {
            let entries = u32::try_from(page_size).unwrap();
            let respond = tokio::time::sleep(self.per_entry * entries);
            let responded = tokio::time::timeout(LARGE_RESPONSE_TIMEOUT, respond).await;
            responded.map_err(|elapsed| {
                let source = ConnectionError::new(elapsed);
                ApiError::NoResponse { method: "/List", source }
            })?;
            let bytes = (start..).take(page_size.try_into().unwrap()).map(self.size_of).sum();
            if bytes > 4 << 20 {
                return Err(ApiError::TooLarge { method: "/List" });
            }
            Ok("x".repeat(bytes))
        }

        /// Requests a list of this length. Returns the sizes of the pages that were requested, and the result.
        async fn list(&self, length: usize) -> (Vec<i32>, Result<(), ApiError>) {
            let (mut list, requested) = (PagedList::new("/List", 1000), RefCell::new(Vec::new()));
            let mut start = 0;
            let result = async {
                while start < length {
                    let request = |page_size| {
                        requested.borrow_mut().push(page_size);
                        self.page(start, page_size)
                    };
                    list.request_with(request).await?;
                    start += requested.borrow().last().map_or(0, |size| usize::try_from(*size).unwrap());
                }
                Ok(())
            }
            .await;
            (requested.into_inner(), result)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_are_as_large_as_they_fit() {
        let large_entry = |index| if index == 2000 { 3_900_000 } else { 1000 };
        let server = Server { per_entry: Duration::ZERO, size_of: large_entry };
        let (pages, result) = server.list(4000).await;
        result.unwrap();
        assert_eq!(pages, [1000, 1000, 1000, 500, 250, 250, 500, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_a_slow_server_are_smaller() {
        let server = Server { per_entry: Duration::from_millis(100), size_of: |_| 1000 };
        let (pages, result) = server.list(1000).await;
        result.unwrap();
        assert_eq!(pages, [1000, 100, 200, 400, 400]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_ends_after_five_minutes_and_one_of_a_server_that_does_not_respond_earlier() {
        let started = Instant::now();
        let (_, result) =
            Server { per_entry: Duration::from_millis(550), size_of: |_| 1000 }.list(1000).await;
        assert!(
            matches!(result, Err(ApiError::List { problem: ListProblem::Time(LIST_TIMEOUT), .. })),
            "{result:?}"
        );
        assert_eq!(started.elapsed(), LIST_TIMEOUT);

        let (pages, result) =
            Server { per_entry: LARGE_RESPONSE_TIMEOUT, size_of: |_| 1000 }.list(1000).await;
        assert!(matches!(result, Err(ApiError::NoResponse { .. })), "{result:?}");
        assert_eq!(pages, [1000, SLOW_PAGE_SIZE]);
    }
}
