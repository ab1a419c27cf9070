//! Columns that line up: the layout of Go's `text/tabwriter`.
//!
//! In: text whose cells end with tabs. Out: the same text with spaces, where each column is as wide as the
//! widest cell of the lines around it that have that column. A line's last cell stretches nothing.

/// How wide columns are.
#[derive(Clone, Debug)]
pub struct Tabs {
    minimum: usize,
    padding: usize,
    /// Widths of earlier texts, which later ones keep.
    remembered: Option<Vec<usize>>,
}

impl Tabs {
    /// Tables: at least six wide, three apart, and never narrower than before.
    pub fn table() -> Tabs {
        Tabs { minimum: 6, padding: 3, remembered: Some(Vec::new()) }
    }

    /// Descriptions: two apart.
    pub fn description() -> Tabs {
        Tabs { minimum: 0, padding: 2, remembered: None }
    }

    /// Any minimum and padding.
    pub fn new(minimum: usize, padding: usize) -> Tabs {
        Tabs { minimum, padding, remembered: None }
    }

    /// Lays a text out.
    pub fn layout(&mut self, text: &str) -> String {
        let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut layout = Layout { tabs: self, lines: &lines, widths: Vec::new(), out: String::new() };
        layout.block(0, lines.len());
        layout.out
    }
}

struct Layout<'a> {
    tabs: &'a mut Tabs,
    lines: &'a [Vec<&'a str>],
    widths: Vec<usize>,
    out: String,
}

impl Layout<'_> {
    /// Lines that share the columns in `widths`; finds the blocks of the next column among them.
    fn block(&mut self, mut first: usize, end: usize) {
        let column = self.widths.len();
        let has = |lines: &[Vec<&str>], line: usize| column + 1 < lines[line].len();
        let mut line = first;
        while line < end {
            if !has(self.lines, line) {
                line += 1;
                continue;
            }
            self.write(first, line);
            first = line;
            let mut width = self.tabs.minimum;
            while line < end && has(self.lines, line) {
                width = width.max(self.lines[line][column].chars().count() + self.tabs.padding);
                line += 1;
            }
            if let Some(remembered) = &mut self.tabs.remembered {
                if remembered.len() <= column {
                    remembered.resize(column + 1, 0);
                }
                width = width.max(remembered[column]);
                remembered[column] = width;
            }
            self.widths.push(width);
            self.block(first, line);
            self.widths.pop();
            first = line;
        }
        self.write(first, end);
    }

    fn write(&mut self, first: usize, end: usize) {
        for line in first..end {
            for (column, cell) in self.lines[line].iter().enumerate() {
                self.out.push_str(cell);
                if let Some(width) = self.widths.get(column) {
                    let used = cell.chars().count();
                    self.out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
                }
            }
            if line + 1 < self.lines.len() {
                self.out.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_their_neighbours_only() {
        let text = "Name:\tweb\nNamespace:\tdefault\nplain\nA:\tb\n  c\td\te\n";
        let expected = "Name:       web\nNamespace:  default\nplain\nA:   b\n  c  d  e\n";
        assert_eq!(Tabs::description().layout(text), expected);
        assert_eq!(Tabs::table().layout("A\tBB\nlonger\tc\n"), "A        BB\nlonger   c\n");
    }
}
