//! How the small shell's text is read: words, separators, loops and conditions.
//!
//! In: text. Out: a tree that `shell` plays. Pure; what makes no sense is read as words.

/// A piece of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub(super) enum Node {
    Command { words: Vec<String>, into: Option<(String, Writing)>, then: Then },
    Loop { over: Over, body: Vec<Node> },
    If { condition: Vec<Node>, yes: Vec<Node>, no: Vec<Node> },
}

/// What a loop goes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    While(Vec<Node>),
    Until(Vec<Node>),
    Words { name: String, words: Vec<String> },
}

/// `>` or `>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    New,
    Append,
}

/// What follows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Always,
    IfTrue,
    IfFalse,
    Pipe,
}

/// Stands for a `$` that is not to be expanded.
const LITERAL_DOLLAR: char = '\u{1}';
/// Longer ones first. `2>&1` is one only where a word does not end in that 2.
const SEPARATORS: [&str; 10] = ["2>&1", ">&1", ">&2", "&&", "||", ">>", ";", "|", ">", "&"];

/// Standard input, as a file that is read once.
pub(super) const STDIN: &str = "/dev/stdin";
/// Where complaints go.
pub(super) const STDERR: &str = "/dev/stderr";

/// Protects a word's `$` from expansion.
pub(super) fn quote(word: &str) -> String {
    word.replace('$', LITERAL_DOLLAR.encode_utf8(&mut [0; 4]))
}

/// Undoes [`quote`].
pub(super) fn unquote(word: &str) -> String {
    word.replace(LITERAL_DOLLAR, "$")
}

/// Reads a script.
pub(super) fn parse(text: &str) -> Vec<Node> {
    let mut tokens = tokens(text);
    tokens.reverse();
    block(&mut tokens, &[])
}

/// Splits `(…)…` or `{…}…` behind the bracket that closes the first one: what is inside, and the rest. `None` when it
/// begins with no bracket, or nothing closes it.
pub(super) fn enclosed(text: &str) -> Option<(&str, &str)> {
    let (open, close) = match text.chars().next()? {
        '(' => ('(', ')'),
        '{' => ('{', '}'),
        _ => return None,
    };
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == open) - i32::from(c == close);
        if depth == 0 {
            return Some((&text[1..at], &text[at + 1..]));
        }
    }
    None
}

fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut word, mut in_word) = (Vec::new(), String::new(), false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let separator = SEPARATORS
            .iter()
            .find(|separator| rest.starts_with(**separator) && !(in_word && separator.starts_with('2')));
        if c.is_whitespace() || separator.is_some() {
            if in_word {
                tokens.push(std::mem::take(&mut word));
                in_word = false;
            }
            if let Some(separator) = separator {
                tokens.push((*separator).to_owned());
            } else if c == '\n' {
                tokens.push(";".to_owned());
            }
            rest = &rest[separator.map_or(c.len_utf8(), |separator| separator.len())..];
            continue;
        }
        in_word = true;
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\'' => {
                let (inside, after) = after.split_once('\'').unwrap_or((after, ""));
                word.push_str(&quote(inside));
                after
            }
            '"' => {
                let (inside, after) = after.split_once('"').unwrap_or((after, ""));
                word.push_str(inside);
                after
            }
            '$' if after.starts_with(['(', '{']) => {
                let (_, left) = enclosed(after).unwrap_or((after, ""));
                word.push_str(&rest[..rest.len() - left.len()]);
                left
            }
            '\\' => {
                let escaped = after.chars().next();
                word.extend(escaped);
                &after[escaped.map_or(0, char::len_utf8)..]
            }
            _ => {
                word.push(c);
                after
            }
        };
    }
    if in_word {
        tokens.push(word);
    }
    tokens
}

/// Parses up to one of `ends`. A single end is taken; of several, the one that was met stays, so that
/// the caller can see which it was. `tokens` is a stack, next one last.
fn block(tokens: &mut Vec<String>, ends: &[&str]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.pop() {
        match token.as_str() {
            end if ends.contains(&end) => {
                if ends.len() > 1 {
                    tokens.push(token);
                }
                break;
            }
            ";" | "&" => {}
            "while" | "until" => {
                let condition = block(tokens, &["do"]);
                let body = block(tokens, &["done"]);
                let over = if token == "while" { Over::While(condition) } else { Over::Until(condition) };
                nodes.push(Node::Loop { over, body });
            }
            "for" => {
                let name = tokens.pop().unwrap_or_default();
                let mut words = Vec::new();
                while let Some(word) = tokens.pop().filter(|word| word != "do") {
                    words.push(word);
                }
                let words = words.into_iter().filter(|word| word != "in" && word != ";").collect();
                nodes.push(Node::Loop { over: Over::Words { name, words }, body: block(tokens, &["done"]) });
            }
            "if" => {
                let condition = block(tokens, &["then"]);
                let yes = block(tokens, &["else", "fi"]);
                let no = match tokens.pop().as_deref() {
                    Some("else") => block(tokens, &["fi"]),
                    _ => Vec::new(),
                };
                nodes.push(Node::If { condition, yes, no });
            }
            _ => {
                tokens.push(token);
                nodes.push(command(tokens));
            }
        }
    }
    nodes
}

fn command(tokens: &mut Vec<String>) -> Node {
    let (mut words, mut into) = (Vec::new(), None);
    let mut then = Then::Always;
    while let Some(token) = tokens.pop() {
        match token.as_str() {
            ";" | "&" => break,
            "&&" => then = Then::IfTrue,
            "||" => then = Then::IfFalse,
            "|" => then = Then::Pipe,
            ">&2" => {
                into = Some((STDERR.to_owned(), Writing::Append));
                continue;
            }
            // Both streams reach the reader as they are.
            ">&1" | "2>&1" => continue,
            ">" | ">>" => {
                let writing = if token == ">" { Writing::New } else { Writing::Append };
                into = tokens.pop().map(|path| (path, writing));
                continue;
            }
            "{" | "}" => continue,
            _ => {
                words.push(token);
                continue;
            }
        }
        break;
    }
    Node::Command { words, into, then }
}
