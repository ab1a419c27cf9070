//! The screen of a program that has a terminal (`exec -it`): kept here, drawn by the page.
//!
//! In: what the program writes. Out: the rows that changed since they were last told, as pieces of text
//! with a style. The page never sees an escape sequence, and what it is sent is bounded by the screen's
//! size, however much is written.

use serde_json::{Value, json};
use vt100::{Cell, Color, Parser};

/// Rows above the screen that are kept.
const KEPT_ROWS: usize = 1_000;
/// The largest screen.
const LARGEST: (u16, u16) = (300, 120);
/// The smallest.
const SMALLEST: (u16, u16) = (20, 4);

/// A screen that a program draws on.
pub struct Grid {
    parser: Parser,
    told: Vec<Value>,
    cursor: Value,
}

impl Grid {
    /// An empty one of this width and height.
    pub fn new(size: (u16, u16)) -> Grid {
        let (width, height) = within(size);
        Grid { parser: Parser::new(height, width, KEPT_ROWS), told: Vec::new(), cursor: Value::Null }
    }

    /// What the program writes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    /// Another width and height.
    pub fn resize(&mut self, size: (u16, u16)) {
        let (width, height) = within(size);
        self.parser.screen_mut().set_size(height, width);
        self.told.clear();
    }

    /// Everything is to be told again: to a page that was loaded anew.
    pub fn forget(&mut self) {
        self.told.clear();
        self.cursor = Value::Null;
    }

    /// The rows that changed: `{"rows": {"0": [["text", "style"], …]}, "height", "cursor": [row, column]}`.
    pub fn changes(&mut self) -> Option<Value> {
        let screen = self.parser.screen();
        let (height, width) = screen.size();
        let mut rows = serde_json::Map::new();
        self.told.resize(usize::from(height), Value::Null);
        for row in 0..height {
            let drawn = pieces((0..width).filter_map(|column| screen.cell(row, column)));
            let told = &mut self.told[usize::from(row)];
            if *told != drawn {
                rows.insert(row.to_string(), drawn.clone());
                *told = drawn;
            }
        }
        let (row, column) = screen.cursor_position();
        let cursor = if screen.hide_cursor() { json!(false) } else { json!([row, column]) };
        if rows.is_empty() && cursor == self.cursor {
            return None;
        }
        self.cursor = cursor.clone();
        Some(json!({"rows": rows, "height": height, "cursor": cursor, "arrows": screen.application_cursor()}))
    }

    /// Everything that was written, as lines of text, for when the program has ended.
    pub fn text(mut self) -> String {
        let screen = self.parser.screen_mut();
        screen.set_scrollback(usize::MAX);
        let above = screen.scrollback();
        let (height, width) = screen.size();
        let mut lines: Vec<String> = Vec::new();
        for offset in (1..=above).rev() {
            screen.set_scrollback(offset);
            lines.extend(screen.rows(0, width).next());
        }
        screen.set_scrollback(0);
        lines.extend(screen.rows(0, width).take(usize::from(height)));
        let end = lines.iter().rposition(|line| !line.trim_end().is_empty()).map_or(0, |at| at + 1);
        lines[..end].iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

fn within((width, height): (u16, u16)) -> (u16, u16) {
    (width.clamp(SMALLEST.0, LARGEST.0), height.clamp(SMALLEST.1, LARGEST.1))
}

/// Cells next to each other in one style are one piece; blanks at the end are left out.
fn pieces<'c>(cells: impl Iterator<Item = &'c Cell>) -> Value {
    let mut pieces: Vec<(String, String)> = Vec::new();
    for cell in cells.filter(|cell| !cell.is_wide_continuation()) {
        let style = style(cell);
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match pieces.last_mut() {
            Some((run, known)) if *known == style => run.push_str(text),
            _ => pieces.push((text.to_owned(), style)),
        }
    }
    if let Some((text, style)) = pieces.last_mut()
        && style.is_empty()
    {
        text.truncate(text.trim_end().len());
    }
    json!(pieces.into_iter().filter(|(text, _)| !text.is_empty()).collect::<Vec<_>>())
}

/// A cell's style as names of classes: `f1` and `b4` for colours, `bold`, `inverse`, …
fn style(cell: &Cell) -> String {
    let mut names = Vec::new();
    for (side, color) in [('f', cell.fgcolor()), ('b', cell.bgcolor())] {
        match color {
            Color::Default => {}
            Color::Idx(index) => names.push(format!("{side}{}", sixteen(index))),
            Color::Rgb(red, green, blue) => names.push(format!("{side}{}", nearest(red, green, blue))),
        }
    }
    let marks = [
        (cell.bold(), "bold"),
        (cell.italic(), "italic"),
        (cell.underline(), "underline"),
        (cell.inverse(), "inverse"),
    ];
    names.extend(marks.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned()));
    names.join(" ")
}

/// One of the sixteen colours for any of the 256.
fn sixteen(index: u8) -> u8 {
    match index {
        0..=15 => index,
        16..=231 => {
            let cube = index - 16;
            let part = |level: u8| if level == 0 { 0 } else { 55 + 40 * level };
            nearest(part(cube / 36), part(cube / 6 % 6), part(cube % 6))
        }
        232.. => nearest(8 + 10 * (index - 232), 8 + 10 * (index - 232), 8 + 10 * (index - 232)),
    }
}

fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let bright = u8::from(red.max(green).max(blue) > 170) * 8;
    let bit = |level: u8, bit: u8| u8::from(level > 100) * bit;
    bright + bit(red, 1) + bit(green, 2) + bit(blue, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let mut grid = Grid::new((40, 5));
        grid.write(b"one\r\n\x1b[31mtwo\x1b[0m <b>");
        let told = grid.changes().unwrap();
        assert_eq!(told["rows"]["0"], json!([["one", ""]]));
        assert_eq!(told["rows"]["1"], json!([["two", "f1"], [" <b>", ""]]));
        assert_eq!(told["cursor"], json!([1, 7]));
        assert_eq!(grid.changes(), None);
        grid.write(b"!");
        assert_eq!(grid.changes().unwrap()["rows"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn a_flood_stays_as_small_as_the_screen() {
        let mut grid = Grid::new((20_000, 20_000));
        let flood = b"\x1b]0;title\x07\x1b[9999;9999H\x1b[?1049h\x1b[31;1;4mAAAA\x1b[2J\x1b[999999C\n".repeat(5_000);
        grid.write(&flood);
        assert!(grid.changes().unwrap().to_string().len() < 300 * 120 * 40);
        assert!(grid.text().lines().count() <= KEPT_ROWS + 120);
    }

    #[test]
    fn what_scrolled_away_is_kept_as_text() {
        let mut grid = Grid::new((20, 4));
        for line in 0..10 {
            grid.write(format!("line {line}\r\n").as_bytes());
        }
        assert_eq!(grid.text().lines().count(), 10);
    }
}
