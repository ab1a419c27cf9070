//! Where in a YAML text each field stands, and which field a place in the text belongs to.
//!
//! In: text as it is typed, so often not yet YAML. Out: paths, line by line. It reads indentation, as a
//! person does: block style, one key a line. What stands inside `{}` or `[]` belongs to the key before it.

use std::fmt;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A field's name.
    Key(String),
    /// A place in a list.
    Index(usize),
}

/// The way from a document's root to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Part>);

impl fmt::Display for Path {
    /// `spec.containers[0].image`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if at == 0 => f.write_str(key)?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A line that begins a field or an element of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 0.
    pub line: usize,
    /// Where its text begins, in letters.
    pub column: usize,
    /// The field.
    pub path: Path,
    /// What stands behind its colon on the same line.
    pub value: String,
}

/// What is open at some place in the text.
#[derive(Clone, Debug)]
struct Frame {
    indent: usize,
    part: Part,
}

/// The lines of a document, read one by one.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    frames: Vec<Frame>,
    /// Lines that are deeper belong to a block of text (`|`, `>`).
    text_below: Option<usize>,
}

impl Reader {
    /// Reads a line; the places it begins.
    pub fn line(&mut self, number: usize, line: &str) -> Vec<Place> {
        let mut indent = line.chars().take_while(|letter| *letter == ' ').count();
        let mut content = &line[indent..];
        let mut places = Vec::new();
        if content.trim().is_empty() || content.starts_with('#') {
            return places;
        }
        match self.text_below {
            Some(above) if indent > above => return places,
            _ => self.text_below = None,
        }
        while content == "-" || content.starts_with("- ") {
            self.element(indent);
            places.push(Place { line: number, column: indent, path: self.path(), value: String::new() });
            let rest = content[1..].trim_start_matches(' ');
            indent += content.chars().count() - rest.chars().count();
            content = rest;
        }
        let Some((key, value)) = field(content) else { return places };
        self.key(indent, key);
        if value.starts_with(['|', '>']) {
            self.text_below = Some(indent);
        }
        places.push(Place { line: number, column: indent, path: self.path(), value: value.to_owned() });
        places
    }

    fn element(&mut self, indent: usize) {
        while self.frames.last().is_some_and(|frame| frame.indent > indent) {
            self.frames.pop();
        }
        match self.frames.last_mut() {
            Some(Frame { indent: own, part: Part::Index(index) }) if *own == indent => *index += 1,
            _ => self.frames.push(Frame { indent, part: Part::Index(0) }),
        }
    }

    fn key(&mut self, indent: usize, key: &str) {
        while self.frames.last().is_some_and(|frame| frame.indent >= indent) {
            self.frames.pop();
        }
        self.frames.push(Frame { indent, part: Part::Key(key.to_owned()) });
    }

    fn path(&self) -> Path {
        Path(self.frames.iter().map(|frame| frame.part.clone()).collect())
    }

    /// The object that a new key with this indentation belongs to.
    fn owner(&self, indent: usize) -> Path {
        let frames = self.frames.iter().take_while(|frame| frame.indent < indent);
        Path(frames.map(|frame| frame.part.clone()).collect())
    }
}

/// A key and what is behind its colon.
fn field(content: &str) -> Option<(&str, &str)> {
    let (key, value) = match content.strip_suffix(':') {
        Some(key) if !key.contains(": ") => (key, ""),
        _ => content.split_once(": ")?,
    };
    let key = key.trim().trim_matches(['"', '\'']);
    (!key.is_empty() && !key.starts_with(['{', '['])).then(|| (key, value.trim()))
}

/// Every place of a document, in order.
pub fn places(text: &str) -> Vec<Place> {
    let mut reader = Reader::default();
    text.lines().enumerate().flat_map(|(number, line)| reader.line(number, line)).collect()
}

/// The place that is nearest to a path: itself, or the field that it would be in.
pub fn nearest<'p>(places: &'p [Place], path: &Path) -> Option<&'p Place> {
    (1..=path.0.len()).rev().find_map(|length| places.iter().find(|place| place.path.0[..] == path.0[..length]))
}

/// What is being typed at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typing {
    /// A key of the object at this path; the keys it has are known.
    Key { owner: Path, begun: String, taken: Vec<String> },
    /// The value of the field at this path.
    Value { path: Path, begun: String },
}

/// What is being typed at `column` of `line` of a document.
pub fn typing(text: &str, line: usize, column: usize) -> Typing {
    let lines: Vec<&str> = text.lines().collect();
    let mut reader = Reader::default();
    for (number, line) in lines.iter().take(line).enumerate() {
        reader.line(number, line);
    }
    let before: String = lines.get(line).copied().unwrap_or_default().chars().take(column).collect();
    let mut indent = before.chars().take_while(|letter| *letter == ' ').count();
    let mut content = before[indent..].to_owned();
    while content == "-" || content.starts_with("- ") {
        reader.element(indent);
        let rest = content[1..].trim_start_matches(' ').to_owned();
        indent += content.chars().count() - rest.chars().count();
        content = rest;
    }
    if let Some((key, begun)) = content.split_once(':') {
        reader.key(indent, key.trim());
        return Typing::Value { path: reader.path(), begun: begun.trim().to_owned() };
    }
    let owner = reader.owner(indent.max(1) * usize::from(indent > 0));
    if owner.0.last().is_some_and(|last| matches!(last, Part::Key(_))) && before.trim_start().starts_with("- ") {
        return Typing::Value { path: owner, begun: content };
    }
    let others = places(text);
    let taken = others
        .iter()
        .filter(|place| place.line != line)
        .filter_map(|place| match place.path.0.split_last() {
            Some((Part::Key(key), rest)) if *rest == owner.0[..] => Some(key.clone()),
            _ => None,
        })
        .collect();
    Typing::Key { owner, begun: content, taken }
}

/// `spec.containers[0].image`, `.spec.x` or `spec.template["a.b"]` as a path.
pub fn parse(text: &str) -> Path {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']').unwrap_or((after, ""));
            parts.push(match inside.parse() {
                Ok(index) => Part::Index(index),
                Err(_) => Part::Key(inside.trim_matches('"').to_owned()),
            });
            rest = after.trim_start_matches('.');
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        parts.push(Part::Key(rest[..end].to_owned()));
        rest = rest[end..].trim_start_matches('.');
    }
    Path(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: a\n    image: x\n    command:\n    - sh\n  - name: b\n    ports:\n      - containerPort: 80\n        na\n  restartPolicy: N\n";

    #[test]
    fn each_field_has_its_line() {
        let places = places(POD);
        let line = |path: &str| nearest(&places, &parse(path)).map(|place| place.line);
        for (path, expected) in [
            ("kind", 1),
            ("metadata.name", 3),
            ("spec.containers[0].image", 7),
            ("spec.containers[0].command[0]", 9),
            ("spec.containers[1].name", 10),
            ("spec.containers[1].ports[0].containerPort", 12),
            ("spec.restartPolicy", 14),
            ("spec.containers[1].image", 10),
            ("spec.nothing", 4),
        ] {
            assert_eq!(line(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_typed_belongs_to_an_object() {
        let key = |line, column| match typing(POD, line, column) {
            Typing::Key { owner, begun, taken } => (owner.to_string(), begun, taken),
            other => panic!("{other:?}"),
        };
        assert_eq!(key(13, 10), ("spec.containers[1].ports[0]".into(), "na".into(), vec!["containerPort".into()]));
        assert_eq!(key(15, 0).0, "");
        assert!(key(15, 0).2.contains(&"metadata".to_owned()));
        assert_eq!(typing(POD, 14, 18), Typing::Value { path: parse("spec.restartPolicy"), begun: "N".into() });
        assert_eq!(key(6, 4).0, "spec.containers[0]");
        let text = "spec:\n  ";
        assert_eq!(typing(text, 1, 2), Typing::Key { owner: parse("spec"), begun: String::new(), taken: vec![] });
    }

    #[test]
    fn a_block_of_text_has_no_fields() {
        let places = places("data:\n  a: |\n    x: 1\n    y:\n  b: 2\n");
        assert_eq!(places.iter().map(|place| place.path.to_string()).collect::<Vec<_>>(), ["data", "data.a", "data.b"]);
    }
}
