//! The events at the end of a description.

use serde_json::Value;

use super::super::super::print::go_sort;
use super::text::Text;
use crate::api::meta;

/// Writes events, the oldest first.
pub fn write(text: &mut Text, mut events: Vec<Value>, age: impl Fn(&str) -> String) {
    if events.is_empty() {
        text.line(0, "Events:\t<none>");
        return;
    }
    text.flush();
    let last = |event: &Value| meta::text(event, &["lastTimestamp"]).parse::<jiff::Timestamp>().ok();
    go_sort::sort(&mut events, |a, b| last(a) < last(b));
    text.line(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
    text.line(1, "----\t------\t----\t----\t-------");
    for event in &events {
        let first = match meta::text(event, &["eventTime"]) {
            "" => age(meta::text(event, &["firstTimestamp"])),
            time => age(time),
        };
        let count = meta::integer(event, &["count"]).unwrap_or(0);
        let when = if let Some(series) = event.get("series").filter(|series| !series.is_null()) {
            let last = age(meta::text(series, &["lastObservedTime"]));
            format!("{last} (x{} over {first})", meta::integer(series, &["count"]).unwrap_or(0))
        } else if count > 1 {
            format!("{} (x{count} over {first})", age(meta::text(event, &["lastTimestamp"])))
        } else {
            first
        };
        let source = match meta::text(event, &["source", "component"]) {
            "" => meta::text(event, &["reportingComponent"]),
            source => source,
        };
        let message = meta::text(event, &["message"]).trim();
        let message = match meta::text(event, &["involvedObject", "fieldPath"]) {
            "" => message.to_owned(),
            path => format!("{path}: {message}"),
        };
        let (kind, reason) = (meta::text(event, &["type"]), meta::text(event, &["reason"]));
        text.line(1, format!("{kind}\t{reason}\t{when}\t{source}\t{message}"));
    }
}
