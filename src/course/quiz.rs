//! The book's questions: predict before you look, and say why after.
//!
//! In: fenced blocks of the book's pages. Out: the questions, and each block as text that reads well
//! without a script: the question, its choices, and the answer to unfold. An author writes
//!
//! ````markdown
//! ```quiz predict four-members
//! You have three members and add a fourth. Is that safer?
//! - [ ] Yes: two may fail now.
//! - [x] No: one may fail, as before.
//!
//! Four members need three for a majority.
//! ```
//! ````
//!
//! The page's script makes a form of it. What is right is asked here, so a page and a progress file
//! cannot disagree. Chapter: `book/src/inside/page.md`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::book;
use super::progress::{Progress, ProgressFile};
use crate::error::{Error, Result};

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asked before something is shown.
    Predict,
    /// Asked when it has been seen.
    Why,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiz {
    /// Its name in the progress file, unique in the book.
    pub id: String,
    /// What it is for.
    pub kind: Kind,
    /// One line of Markdown.
    pub question: String,
    /// The choices, each one line of Markdown.
    pub choices: Vec<String>,
    /// The index of the right one.
    pub right: usize,
    /// Why it is right: Markdown.
    pub because: String,
}

/// What a reader answered, as far as the question still has that choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The index of the choice.
    pub choice: usize,
    /// Whether it is the right one.
    pub right: bool,
}

impl Quiz {
    /// Reads a block: the words after `quiz`, and the lines inside.
    fn parse(words: &str, lines: &[&str]) -> Result<Quiz, String> {
        let (kind, id) = words.trim().split_once(' ').ok_or("a quiz is `quiz predict NAME` or `quiz why NAME`")?;
        let kind = match kind {
            "predict" => Kind::Predict,
            "why" => Kind::Why,
            other => return Err(format!("a quiz is predict or why, not {other}")),
        };
        let is_choice = |line: &&str| line.starts_with("- [");
        let (asked, rest) = lines.split_at(lines.iter().position(is_choice).unwrap_or(lines.len()));
        let (choices, because) = rest.split_at(rest.iter().position(|line| !is_choice(line)).unwrap_or(rest.len()));
        let right: Vec<usize> = (0..choices.len()).filter(|at| choices[*at].starts_with("- [x] ")).collect();
        let quiz = Quiz {
            id: id.trim().to_owned(),
            kind,
            question: asked.join(" ").trim().to_owned(),
            choices: choices.iter().filter_map(|line| line.get(6..)).map(|text| text.trim().to_owned()).collect(),
            right: right.first().copied().unwrap_or_default(),
            because: because.join("\n").trim().to_owned(),
        };
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if quiz.question.is_empty() || quiz.because.is_empty() {
            Err(format!("quiz {id} needs a question and an explanation"))
        } else if !quiz.id.chars().all(name) {
            Err(format!("quiz {id}: a name has small letters, digits and dashes"))
        } else if choices.len() < 2 || right.len() != 1 {
            Err(format!(
                "quiz {id} has {} choices, of which {} are right; it needs one of two or more",
                choices.len(),
                right.len()
            ))
        } else {
            Ok(quiz)
        }
    }

    /// The question as a reader without a script sees it: Markdown and HTML, and the blank line that ends HTML.
    fn text(&self) -> String {
        let (class, lead) = match self.kind {
            Kind::Predict => ("predict", "Predict: "),
            Kind::Why => ("why", ""),
        };
        let choices: String = self.choices.iter().map(|choice| format!("- {choice}\n")).collect();
        format!(
            "<details class=\"{class}\" data-quiz=\"{}\" id=\"quiz-{}\"><summary>{lead}{}</summary>\n\n{choices}\n**Answer:** {}\n\n{}\n\n</details>\n\n",
            self.id,
            self.id,
            inline(&self.question),
            self.choices[self.right],
            self.because,
        )
    }

    /// What `progress` says of it.
    pub fn answered(&self, progress: &Progress) -> Option<Answered> {
        let given = progress.answers.get(&self.id)?;
        let choice = self.choices.iter().position(|choice| choice == given)?;
        Some(Answered { choice, right: choice == self.right })
    }
}

/// One line of Markdown as HTML.
fn inline(markdown: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(markdown));
    let html = html.trim_end();
    html.strip_prefix("<p>").and_then(|html| html.strip_suffix("</p>")).unwrap_or(html).to_owned()
}

/// A page with its blocks as text for everybody, and the questions in them.
///
/// # Errors
/// When a block is not a question, with its line.
pub fn read_page(markdown: &str) -> Result<(String, Vec<Quiz>), String> {
    let (mut text, mut found) = (String::with_capacity(markdown.len()), Vec::new());
    let mut lines = markdown.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(words) = line.strip_prefix("```quiz ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let inside: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let quiz = Quiz::parse(words, &inside).map_err(|why| format!("line {}: {why}", at + 1))?;
        text.push_str(&quiz.text());
        found.push(quiz);
    }
    Ok((text, found))
}

/// Every question of the book, by name.
///
/// # Errors
/// When a block is not a question, or two have one name.
pub fn all() -> Result<&'static BTreeMap<String, Quiz>> {
    static ALL: OnceLock<Result<BTreeMap<String, Quiz>, String>> = OnceLock::new();
    let read = || {
        let mut all = BTreeMap::new();
        for (page, markdown) in book::sources() {
            let (_, found) = read_page(markdown).map_err(|why| format!("{page}: {why}"))?;
            for quiz in found {
                if let Some(other) = all.insert(quiz.id.clone(), quiz) {
                    return Err(format!("{page}: two questions are called {}", other.id));
                }
            }
        }
        Ok(all)
    };
    ALL.get_or_init(read).as_ref().map_err(|why| Error::new("the book's questions cannot be read", why.clone()))
}

/// Notes an answer and says whether it is right.
///
/// # Errors
/// When there is no such question or choice, or the progress file cannot be written.
pub fn answer(file: &ProgressFile, id: &str, choice: usize) -> Result<bool> {
    let quiz = all()?.get(id).ok_or_else(|| Error::new(format!("the book asks no question {id}"), ""))?;
    let given = quiz
        .choices
        .get(choice)
        .ok_or_else(|| Error::new(format!("{id} has no choice {choice}"), format!("it has {}", quiz.choices.len())))?;
    file.change(|progress| progress.answers.insert(id.to_owned(), given.clone()))?;
    Ok(choice == quiz.right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n```quiz predict how-many\nIs `a < b` *now*?\n- [ ] No.\n- [x] Yes.\n\nBecause *so*.\n```\n\nAfter.\n";

    #[test]
    fn a_block_becomes_text_for_everybody() {
        let (text, found) = read_page(PAGE).unwrap();
        assert!(
            text.contains("<summary>Predict: Is <code>a &lt; b</code> <em>now</em>?</summary>\n\n- No.\n- Yes.\n"),
            "{text}"
        );
        assert!(text.contains("**Answer:** Yes.\n\nBecause *so*.\n\n</details>\n\n\nAfter."), "{text}");
        assert_eq!((found[0].id.as_str(), found[0].right, found[0].choices.len()), ("how-many", 1, 2));
    }

    #[test]
    fn a_block_that_is_no_question_is_told_with_its_line() {
        for (good, bad, expected) in [
            ("predict how-many", "guess how-many", "line 3: a quiz is predict or why"),
            ("- [x] Yes.", "- [ ] Yes.", "2 choices, of which 0 are right"),
            ("- [ ] No.\n", "", "1 choices"),
            ("Because *so*.", "", "needs a question and an explanation"),
            ("how-many", "How many", "small letters"),
        ] {
            let error = read_page(&PAGE.replace(good, bad)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_answer_is_kept_by_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = ProgressFile::new(folder.path());
        let (id, quiz) = all().unwrap().first_key_value().unwrap();
        assert!(answer(&file, id, quiz.right).unwrap());
        let kept = quiz.answered(&file.read().unwrap());
        assert_eq!(kept, Some(Answered { choice: quiz.right, right: true }));
        assert!(answer(&file, id, 99).is_err() && answer(&file, "nobody-asked", 0).is_err());
        let changed = Quiz { choices: vec!["another".into()], ..quiz.clone() };
        assert_eq!(changed.answered(&file.read().unwrap()), None, "a choice that was taken out answers nothing");
    }
}
