//! Writes log lines to standard error on a separate thread: if nobody reads standard error, the agent must neither stop
//! nor use more and more memory. Lines that do not fit are dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of bytes that may wait to be written.
const MAX_WAITING: usize = 1 << 20;
/// How long [`LogWriter::flush`] waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Queues lines for the thread that writes them. Each call of `write` must contain a whole line. Clones share the queue.
#[derive(Clone)]
pub(crate) struct LogWriter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// The size of `lines`.
    bytes: usize,
    /// The number of lines that did not fit.
    dropped: u64,
    /// Whether the thread is writing lines that it has taken from the queue.
    is_writing: bool,
}

impl LogWriter {
    /// Starts a thread that writes to `output`. It calls `report_dropped` with the number of dropped lines as soon as
    /// lines can be written again.
    pub(crate) fn start(
        output: impl Write + Send + 'static,
        report_dropped: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = Self(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_to(output, report_dropped))?;
        Ok(writer)
    }

    /// Waits until every line has been written, but not for a reader that does not read.
    pub(crate) fn flush(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        let queue = self.0.lock();
        drop(self.0.changed.wait_timeout_while(queue, FLUSH_TIMEOUT, is_busy));
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.lock();
        if queue.bytes + line.len() > MAX_WAITING {
            queue.dropped += 1;
        } else {
            queue.bytes += line.len();
            queue.lines.push_back(line.to_vec());
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the process ends.
    fn write_to(&self, mut output: impl Write, report_dropped: impl Fn(u64)) {
        loop {
            let mut queue = self.lock();
            queue.is_writing = false;
            self.changed.notify_all();
            let empty = |queue: &mut Queue| queue.lines.is_empty();
            let mut queue = self.changed.wait_while(queue, empty).unwrap_or_else(PoisonError::into_inner);
            let lines = std::mem::take(&mut queue.lines);
            let dropped = std::mem::take(&mut queue.dropped);
            queue.bytes = 0;
            queue.is_writing = true;
            drop(queue);
            for line in lines {
                // The error cannot be logged anywhere else, and the next line may be written.
                let _ = output.write_all(&line);
            }
            if dropped > 0 {
                report_dropped(dropped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// Passes each line on as soon as the test permits it.
    struct Gate {
        permits: Receiver<()>,
        lines: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Fails when the test ends.
            let _ = self.permits.recv();
            let _ = self.lines.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_loses_lines_and_blocks_nothing() {
        let (permit, permits) = mpsc::channel();
        let (lines, written) = mpsc::channel();
        let (report, reported) = mpsc::channel();
        let mut writer =
            LogWriter::start(Gate { permits, lines }, move |dropped| report.send(dropped).unwrap()).unwrap();
        let line = [b'x'; 1 << 10];
        let total = 3 * MAX_WAITING / line.len();
        for _ in 0..total {
            writer.write_all(&line).unwrap();
        }
        for _ in 0..total {
            permit.send(()).unwrap();
        }
        let dropped = usize::try_from(reported.recv().unwrap()).unwrap();
        writer.flush();
        let written = written.try_iter().count();
        // The thread may have taken some lines before the queue was full.
        assert!(written >= MAX_WAITING / line.len() && dropped > 0, "{written} {dropped}");
        assert_eq!(written + dropped, total);
    }

    #[test]
    fn lines_are_written_in_order() {
        let (permit, permits) = mpsc::channel();
        let (lines, written) = mpsc::channel();
        let mut writer = LogWriter::start(Gate { permits, lines }, |_| ()).unwrap();
        drop(permit);
        for line in 0..100_u8 {
            writer.write_all(&[line]).unwrap();
        }
        writer.flush();
        assert!(written.try_iter().flatten().eq(0..100));
    }
}
