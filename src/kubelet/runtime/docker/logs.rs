//! A container's output, which docker keeps.
//!
//! In: which lines are wanted. Out: them, oldest first, and those that come while the container runs. Docker
//! keeps a line in pieces when it is long; a piece without an end is a part. Chapter: `book/src/inside/runtime.md`.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::kubelet::runtime::{LogLine, LogOptions, Stream};

/// Reads it.
pub fn read(docker: &Docker, id: &str, options: LogOptions) -> BoxStream<'static, LogLine> {
    let wanted = LogsOptions {
        follow: options.follow,
        stdout: true,
        stderr: true,
        timestamps: true,
        // Docker counts whole seconds; the rest is done below.
        since: options.since.and_then(|since| i32::try_from(since.as_second()).ok()).unwrap_or_default(),
        tail: options.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string()),
        ..LogsOptions::default()
    };
    let pieces = docker.logs(id, Some(wanted));
    // An error is the end: the container was removed, or docker went away.
    let lines = pieces.take_while(|piece| futures::future::ready(piece.is_ok()));
    let lines = lines.filter_map(|piece| futures::future::ready(piece.ok().and_then(line)));
    lines.filter(move |line| futures::future::ready(options.since.is_none_or(|since| line.at >= since))).boxed()
}

/// `TIME TEXT\n`
fn line(piece: LogOutput) -> Option<LogLine> {
    let stream = if matches!(piece, LogOutput::StdErr { .. }) { Stream::Stderr } else { Stream::Stdout };
    let bytes = piece.into_bytes();
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let at = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let text = bytes.slice(space + 1..);
    let whole = text.last() == Some(&b'\n');
    let bytes: Bytes = if whole { text.slice(..text.len() - 1) } else { text };
    Some(LogLine { at, stream, bytes, partial: !whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_without_an_end_is_a_part_of_a_line() {
        let read = |text: &'static str| line(LogOutput::StdErr { message: Bytes::from_static(text.as_bytes()) });
        let found = read("2026-11-27T09:41:26.243881695Z two words\n").unwrap();
        assert_eq!((found.text().as_ref(), found.partial, found.stream), ("two words", false, Stream::Stderr));
        assert!(read("2026-11-27T09:41:26Z begun").unwrap().partial);
        assert_eq!(read("2026-11-27T09:41:26Z \n").unwrap().text(), "");
        assert!(read("no time\n").is_none());
    }
}
