//! Tables: what `kubectl get` prints when no other form is asked for.
//!
//! In: a Table from the server, and which columns to show. Out: lines with headers. The printer remembers
//! the columns it printed, so that a watch prints its header once and keeps its widths.

use serde_json::Value;

use super::tabwriter::Tabs;

/// What to show of a table.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Columns of lower priority too.
    pub wide: bool,
    /// No header line.
    pub no_headers: bool,
    /// A NAMESPACE column.
    pub with_namespace: bool,
    /// `pod/web` in place of `web`; the kind as shown (`deployment.apps`).
    pub with_kind: Option<String>,
    /// A LABELS column.
    pub show_labels: bool,
    /// A column for each of these labels.
    pub label_columns: Vec<String>,
    /// An EVENT column for watch events.
    pub with_event: bool,
}

/// Prints tables one after another.
#[derive(Clone, Debug)]
pub struct TablePrinter {
    options: TableOptions,
    columns: Value,
    printed_header: bool,
    tabs: Tabs,
}

impl TablePrinter {
    /// A printer that has printed nothing.
    pub fn new(options: TableOptions) -> TablePrinter {
        TablePrinter { options, columns: Value::Null, printed_header: false, tabs: Tabs::table() }
    }

    /// One table's lines; `event` is the type of the watch event that brought it.
    pub fn print(&mut self, table: &Value, event: &str) -> String {
        let text = self.cells(table, event);
        self.tabs.layout(&text)
    }

    /// Lines of one or more tables, their columns in line.
    pub fn layout(&mut self, cells: &str) -> String {
        self.tabs.layout(cells)
    }

    /// One table's lines, with a tab between cells.
    pub fn cells(&mut self, table: &Value, event: &str) -> String {
        let columns =
            table.get("columnDefinitions").filter(|columns| columns.as_array().is_some_and(|c| !c.is_empty()));
        let rows = table.get("rows").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let same = columns.is_none_or(|columns| *columns == self.columns);
        let header = !(self.options.no_headers || self.printed_header && same);
        if let Some(columns) = columns.filter(|_| !same) {
            self.columns = columns.clone();
            self.printed_header = false;
        }
        if rows.is_empty() {
            return String::new();
        }
        self.printed_header = true;
        let mut text = if header { line(self.header()) } else { String::new() };
        rows.iter().for_each(|row| text.push_str(&line(self.row(row, event))));
        text
    }

    fn shown(&self) -> impl Iterator<Item = (usize, &Value)> {
        let columns = self.columns.as_array().map_or(&[][..], Vec::as_slice);
        let wide = self.options.wide;
        columns
            .iter()
            .enumerate()
            .filter(move |(_, column)| wide || column.get("priority").and_then(Value::as_i64).unwrap_or(0) == 0)
    }

    fn header(&self) -> Vec<String> {
        let text = |column: &Value| column.get("name").and_then(Value::as_str).unwrap_or_default().to_uppercase();
        let mut cells: Vec<String> = self.shown().map(|(_, column)| text(column)).collect();
        cells.extend(self.options.label_columns.iter().map(|label| label_title(label)));
        if self.options.show_labels {
            cells.push("LABELS".into());
        }
        if self.options.with_namespace {
            cells.insert(0, "NAMESPACE".into());
        }
        if self.options.with_event {
            cells.insert(0, "EVENT".into());
        }
        cells
    }

    fn row(&self, row: &Value, event: &str) -> Vec<String> {
        let values = row.get("cells").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let name_column = self.columns.as_array().and_then(|columns| {
            columns.iter().position(|column| column.get("format").and_then(Value::as_str) == Some("name"))
        });
        let mut cells: Vec<String> = Vec::new();
        for (at, _) in self.shown().filter(|(at, _)| *at < values.len()) {
            let text = cell(&values[at]);
            cells.push(match (&self.options.with_kind, name_column) {
                (Some(kind), Some(column)) if column == at => format!("{kind}/{text}"),
                _ => text,
            });
        }
        let metadata = |field: &str| row.pointer(&format!("/object/metadata/{field}"));
        let labels = metadata("labels").and_then(Value::as_object);
        for label in &self.options.label_columns {
            let value = labels.and_then(|labels| labels.get(label)).and_then(Value::as_str).unwrap_or_default();
            cells.push(value.to_owned());
        }
        if self.options.show_labels {
            cells.push(labels.map_or_else(|| "<none>".into(), joined));
        }
        if self.options.with_namespace {
            cells.insert(0, metadata("namespace").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        if self.options.with_event {
            cells.insert(0, format!("{event:10}"));
        }
        cells
    }
}

/// Labels as `a=b,c=d`.
pub fn joined(labels: &serde_json::Map<String, Value>) -> String {
    if labels.is_empty() {
        return "<none>".into();
    }
    let mut pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.sort();
    pairs.join(",")
}

/// `example.com/tier` is the column TIER.
fn label_title(label: &str) -> String {
    label.rsplit('/').next().unwrap_or(label).to_uppercase()
}

fn line(cells: Vec<String>) -> String {
    cells.join("\t") + "\n"
}

/// A cell on one line, with nothing that moves the cursor.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => return String::new(),
        other => super::go_value(other),
    };
    let (first, cut) = match text.find(['\n', '\r', '\u{c}']) {
        Some(at) => (&text[..at], true),
        None => (text.as_str(), false),
    };
    let mut shown = first.replace('\u{1b}', "^[").replace('\t', " ");
    if cut {
        shown.push_str("...");
    }
    shown
}
