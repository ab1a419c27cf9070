//! A container's output on disk: written line by line with its time, turned over when it grows, followed.
//!
//! In: bytes as the process prints them. Out: lines, to whoever reads now or waits for more. The files
//! look like those of any CRI runtime: `TIME STREAM F|P TEXT`, `P` for a line that goes on in the next
//! entry. Files are numbered and never renamed, so a reader that is at the end of one knows which comes
//! next. Chapter: `book/src/inside/runtime.md`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kubelet::runtime::config::LogPolicy;
use crate::kubelet::runtime::{LogLine, LogOptions, Stream};

/// A longer line is written in parts. Source: CRI runtimes' buffer.
pub const LONGEST_LINE: usize = 16 * 1024;

/// What a container printed.
pub struct Log {
    folder: PathBuf,
    policy: LogPolicy,
    writer: Mutex<Writer>,
    changes: watch::Sender<Progress>,
}

struct Writer {
    file: File,
    number: u64,
    bytes: u64,
}

/// How far the log has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    entries: u64,
    /// The file being written.
    number: u64,
    closed: bool,
}

impl Log {
    /// An empty log in `folder`, which is made.
    pub fn new(folder: &Path, policy: LogPolicy) -> io::Result<Log> {
        fs::create_dir_all(folder)?;
        let file = File::create(folder.join("0.log"))?;
        let writer = Mutex::new(Writer { file, number: 0, bytes: 0 });
        Ok(Log { folder: folder.to_owned(), policy, writer, changes: watch::Sender::default() })
    }

    /// Adds an entry.
    pub fn write(&self, at: Timestamp, stream: Stream, text: &[u8], partial: bool) {
        let stream = if stream == Stream::Stdout { "stdout" } else { "stderr" };
        let mut entry = format!("{at:.9} {stream} {} ", if partial { 'P' } else { 'F' }).into_bytes();
        entry.extend_from_slice(text);
        entry.push(b'\n');
        let mut writer = self.writer.lock();
        if writer.bytes > 0 && writer.bytes + entry.len() as u64 > self.policy.max_file_bytes {
            self.turn_over(&mut writer);
        }
        // A full disk loses output, as it does for any runtime; the container goes on.
        if writer.file.write_all(&entry).is_ok() {
            writer.bytes += entry.len() as u64;
        }
        let number = writer.number;
        self.changes.send_modify(|progress| {
            progress.entries += 1;
            progress.number = number;
        });
    }

    fn turn_over(&self, writer: &mut Writer) {
        let number = writer.number + 1;
        let Ok(file) = File::create(self.path(number)) else { return };
        *writer = Writer { file, number, bytes: 0 };
        if let Some(old) = number.checked_sub(self.policy.max_files.max(1) as u64) {
            // Removed by hand is removed as well.
            let _ = fs::remove_file(self.path(old));
        }
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.changes.send_modify(|progress| progress.closed = true);
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.log"))
    }

    /// Reads it.
    pub fn read(self: &Arc<Log>, options: LogOptions) -> BoxStream<'static, LogLine> {
        let mut reader = Reader::new(self.clone());
        let mut lines = VecDeque::new();
        while let Some(line) = reader.next() {
            if options.since.is_none_or(|since| line.at >= since) {
                lines.push_back(line);
            }
            if options.tail.is_some_and(|tail| whole_lines(&lines) > tail) {
                drop_first_line(&mut lines);
            }
        }
        let so_far = stream::iter(lines);
        if options.follow { so_far.chain(follow(reader)).boxed() } else { so_far.boxed() }
    }
}

/// A line written in parts is one line.
fn whole_lines(lines: &VecDeque<LogLine>) -> usize {
    let open = lines.back().is_some_and(|last| last.partial);
    lines.iter().filter(|line| !line.partial).count() + usize::from(open)
}

fn drop_first_line(lines: &mut VecDeque<LogLine>) {
    while lines.pop_front().is_some_and(|line| line.partial) {}
}

fn follow(reader: Reader) -> impl futures::Stream<Item = LogLine> {
    let changes = reader.log.changes.subscribe();
    stream::unfold((reader, changes), |(mut reader, mut changes)| async move {
        loop {
            let closed = changes.borrow_and_update().closed;
            if let Some(line) = reader.next() {
                return Some((line, (reader, changes)));
            }
            if closed || changes.changed().await.is_err() {
                return None;
            }
        }
    })
}

/// A place in the log.
struct Reader {
    log: Arc<Log>,
    file: Option<BufReader<File>>,
    number: u64,
    /// An entry that was read before its end was written.
    begun: Vec<u8>,
}

impl Reader {
    fn new(log: Arc<Log>) -> Reader {
        let newest = log.changes.borrow().number;
        let oldest = (newest + 1).saturating_sub(log.policy.max_files.max(1) as u64);
        Reader { log, file: None, number: oldest, begun: Vec::new() }
    }

    /// The next line that is there already.
    fn next(&mut self) -> Option<LogLine> {
        loop {
            // Read before the file is: what comes after that is in this file or a later one.
            let newest = self.log.changes.borrow().number;
            if self.file.is_none() {
                self.file = File::open(self.log.path(self.number)).ok().map(BufReader::new);
            }
            if let Some(file) = &mut self.file
                && file.read_until(b'\n', &mut self.begun).is_ok_and(|read| read > 0)
                && self.begun.last() == Some(&b'\n')
            {
                let entry = std::mem::take(&mut self.begun);
                match parse(&entry[..entry.len() - 1]) {
                    Some(line) => return Some(line),
                    None => continue,
                }
            }
            if self.number >= newest {
                return None;
            }
            (self.number, self.file) = (self.number + 1, None);
            self.begun.clear();
        }
    }
}

fn parse(entry: &[u8]) -> Option<LogLine> {
    let mut parts = entry.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(parts.next()?).ok();
    let at = word()?.parse().ok()?;
    let stream = if word()? == "stderr" { Stream::Stderr } else { Stream::Stdout };
    let partial = word()? == "P";
    Some(LogLine { at, stream, bytes: Bytes::copy_from_slice(parts.next()?), partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(log: &Log, text: &str) {
        log.write(Timestamp::UNIX_EPOCH, Stream::Stdout, text.as_bytes(), false);
    }

    async fn texts(log: &Arc<Log>, options: LogOptions) -> Vec<String> {
        log.read(options).map(|line| line.text().into_owned()).collect().await
    }

    #[tokio::test]
    async fn old_files_go_and_a_follower_misses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let policy = LogPolicy { max_file_bytes: 100, max_files: 2 };
        let log = Arc::new(Log::new(folder.path(), policy).unwrap());
        write(&log, "0");
        let mut followed = log.read(LogOptions { follow: true, ..LogOptions::default() });
        assert_eq!(followed.next().await.unwrap().text(), "0");
        for number in 1..20 {
            write(&log, &number.to_string());
            assert_eq!(followed.next().await.unwrap().text(), number.to_string());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let kept = texts(&log, LogOptions::default()).await;
        assert_eq!(kept.last().map(String::as_str), Some("19"));
        assert!(kept.len() < 10);
        assert_eq!(texts(&log, LogOptions { tail: Some(2), ..LogOptions::default() }).await, ["18", "19"]);
        log.close();
        assert!(followed.next().await.is_none());
    }

    #[tokio::test]
    async fn a_line_in_parts_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::new(folder.path(), LogPolicy::default()).unwrap());
        write(&log, "before");
        log.write(Timestamp::UNIX_EPOCH, Stream::Stderr, b"long ", true);
        log.write(Timestamp::UNIX_EPOCH, Stream::Stderr, b"line", false);
        assert_eq!(texts(&log, LogOptions { tail: Some(1), ..LogOptions::default() }).await, ["long ", "line"]);
    }
}
