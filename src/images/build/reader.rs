//! A Dockerfile's text as logical lines: comments gone, continued lines joined, heredocs taken in.
//!
//! In: text. Out: [`Line`]s, each with the number of its first line, or what is wrong with the text. What a line means is decided by
//! `instruction`. Pure. Source: the Dockerfile reference, "Format", "Parser directives", "Here-Documents".

use super::fault::Fault;

/// A Dockerfile is at most so long.
const MOST_BYTES: usize = 1 << 20;

/// The lines of a file, and the character that escapes.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// `\`, unless the directive `# escape=` says otherwise.
    pub escape: char,
    /// The lines that are instructions.
    pub lines: Vec<Line>,
}

/// One instruction, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it begins, from 1.
    pub number: usize,
    /// All of it, joined.
    pub text: String,
    /// The documents that follow it.
    pub documents: Vec<Document>,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its end mark, which also names it: `EOF`.
    pub name: String,
    /// Its lines.
    pub body: String,
    /// False when its mark was quoted: variables stay as they are.
    pub expands: bool,
}

/// Splits a Dockerfile.
///
/// # Errors
/// A directive that makes no sense, a here-document without an end, a file without end.
pub fn read(text: &str) -> Result<Text, Fault> {
    if text.len() > MOST_BYTES {
        return Err(Fault::new(1, "the file is too long", format!("a Dockerfile has at most {MOST_BYTES} bytes")));
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r')).enumerate().peekable();
    let mut escape = '\\';
    while let Some((key, value)) = lines.peek().and_then(|(_, line)| directive(line)) {
        let number = lines.next().map_or(1, |(at, _)| at + 1);
        if key == "escape" {
            escape = match value {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    let why = format!("{value:?} cannot escape: it is \\ or `");
                    return Err(Fault::new(number, "the directive escape makes no sense", why));
                }
            };
        }
    }
    let mut found = Vec::new();
    while let Some((at, line)) = lines.next() {
        if is_blank(line) {
            continue;
        }
        let mut joined = String::new();
        let mut part = line.trim_start();
        loop {
            let Some(begun) = part.trim_end().strip_suffix(escape) else {
                joined.push_str(part.trim_end());
                break;
            };
            joined.push_str(begun);
            // Comments and empty lines between continued lines are dropped.
            while lines.next_if(|(_, next)| is_blank(next)).is_some() {}
            match lines.next() {
                Some((_, next)) => part = next,
                None => break,
            }
        }
        let mut line = Line { number: at + 1, text: joined.trim_end().to_owned(), documents: Vec::new() };
        for (name, dash, expands) in marks(&line.text) {
            let mut body = String::new();
            loop {
                let Some((_, next)) = lines.next() else {
                    let why = format!("no line is {name}");
                    return Err(Fault::new(line.number, format!("the document <<{name} has no end"), why)
                        .hint(format!("end it with a line that is {name} and nothing else")));
                };
                let next = if dash { next.trim_start_matches('\t') } else { next };
                if next == name {
                    break;
                }
                body.push_str(next);
                body.push('\n');
            }
            line.documents.push(Document { name, body, expands });
        }
        found.push(line);
    }
    Ok(Text { escape, lines: found })
}

/// `# key=value` with a key that is known.
fn directive(line: &str) -> Option<(&'static str, &str)> {
    let (key, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let known = ["escape", "syntax", "check"].into_iter().find(|known| key.trim().eq_ignore_ascii_case(known))?;
    Some((known, value.trim()))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The here-documents an instruction announces: their marks, whether tabs are taken off, whether variables count.
fn marks(text: &str) -> Vec<(String, bool, bool)> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if word.eq_ignore_ascii_case("ONBUILD") {
        return marks(rest.trim_start());
    }
    if !["RUN", "COPY", "ADD"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
        return Vec::new();
    }
    // A number in front says which stream of the command it is.
    let mark = |word: &str| {
        let after = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (dash, after) = after.strip_prefix('-').map_or((false, after), |rest| (true, rest));
        let bare = after.trim_matches(['"', '\'']);
        (!bare.is_empty() && !bare.contains('<')).then(|| (bare.to_owned(), dash, bare.len() == after.len()))
    };
    rest.split_whitespace().filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, String)> {
        read(text).unwrap().lines.into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn continued_lines_are_joined_and_comments_dropped() {
        let text = "# a comment\nFROM a\n\nRUN one \\\n  # between\n\n  two \\  \n  three\r\nCMD x";
        assert_eq!(lines(text), [(2, "FROM a".into()), (4, "RUN one   two   three".into()), (9, "CMD x".to_owned())]);
        assert_eq!(lines("RUN one \\"), [(1, "RUN one".to_owned())]);
    }

    #[test]
    fn another_character_may_escape() {
        let text = read("# escape=`\nRUN dir c:\\\nRUN a `\nb").unwrap();
        assert_eq!((text.escape, text.lines.len(), text.lines[1].text.as_str()), ('`', 2, "RUN a b"));
        assert!(read("# escape=x\nFROM a").unwrap_err().to_string().contains("1"));
        // After the first line that is none, it is a comment.
        assert_eq!(read("FROM a\n# escape=`\n").unwrap().escape, '\\');
    }

    #[test]
    fn documents_belong_to_their_instruction() {
        assert!(read("RUN <<E\nx").unwrap_err().to_string().contains("<<E has no end"));
        assert_eq!(lines("RUN echo $((1<<2)) <<<x"), [(1, "RUN echo $((1<<2)) <<<x".to_owned())]);
        let lines =
            read("COPY <<a.txt <<-\"B\" /to/\none $x\na.txt\n\ttwo\n\tB\nRUN <<E\n# kept\nE\nCMD y").unwrap().lines;
        let document = |line: usize, at: usize| lines[line].documents[at].clone();
        assert_eq!(document(0, 0), Document { name: "a.txt".into(), body: "one $x\n".into(), expands: true });
        assert_eq!(document(0, 1), Document { name: "B".into(), body: "two\n".into(), expands: false });
        assert_eq!((document(1, 0).body.as_str(), lines[2].text.as_str()), ("# kept\n", "CMD y"));
        assert_eq!(lines[2].number, 9);
    }
}
