//! Runs a template over an object, as `text/template` does.

use serde_json::Value;

use super::super::super::failure::quote;
use super::super::go_value;
use super::operand::{self, Found, Operand};
use super::{Command, Done, Fault, Node, Pipeline, Place, Template, Term, Word, functions};

/// The text of a template for an object.
///
/// # Errors
/// What it wrote until it failed, and why it did.
pub(super) fn run(template: &Template, object: &Value) -> Result<String, Fault> {
    let top = Some(Operand::read(object.clone()));
    let variables = vec![("$".into(), top.clone())];
    let mut run = Run { template, name: "output", place: None, variables, out: String::new() };
    match run.nodes(&template.nodes, &top) {
        Ok(_) => Ok(run.out),
        Err(why) => Err(Fault { begun: run.out, why }),
    }
}

enum Flow {
    Next,
    Break,
    Continue,
}

struct Run<'a> {
    template: &'a Template,
    /// The name of the template that runs: `output`, or a defined one's.
    name: &'a str,
    /// What is being looked at: a fault is told to be there.
    place: Option<&'a Place>,
    variables: Vec<(String, Found)>,
    out: String,
}

impl<'a> Run<'a> {
    fn fault<T>(&self, words: impl AsRef<str>) -> Done<T> {
        let words = words.as_ref();
        let Some(Place { at, text }) = self.place else { return Err(format!("template: {}: {words}", self.name)) };
        let before = &self.template.text[..*at];
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(*at, |newline| at - newline - 1);
        Err(format!("template: output:{line}:{column}: executing {} at <{text}>: {words}", quote(self.name)))
    }

    fn nodes(&mut self, nodes: &'a [Node], here: &Found) -> Done<Flow> {
        for node in nodes {
            match self.node(node, here)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'a Node, here: &Found) -> Done<Flow> {
        let known = self.variables.len();
        let flow = match node {
            Node::Text(text) => {
                self.out.push_str(text);
                return Ok(Flow::Next);
            }
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, here)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&value.map_or_else(|| "<no value>".to_owned(), |one| go_value(&one.value)));
                }
                return Ok(Flow::Next);
            }
            Node::If(condition, body, otherwise) => {
                let holds = operand::truth(&self.pipeline(condition, here)?);
                self.nodes(if holds { body } else { otherwise }, here)?
            }
            Node::With(pipeline, body, otherwise) => {
                let value = self.pipeline(pipeline, here)?;
                if operand::truth(&value) { self.nodes(body, &value)? } else { self.nodes(otherwise, here)? }
            }
            Node::Range(pipeline, body, otherwise) => self.range(pipeline, body, otherwise, here)?,
            Node::Call(place, name, argument) => {
                self.called(place, name, argument.as_ref(), here)?;
                return Ok(Flow::Next);
            }
            Node::Break => Flow::Break,
            Node::Continue => Flow::Continue,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn called(&mut self, place: &'a Place, name: &'a str, argument: Option<&'a Pipeline>, here: &Found) -> Done<()> {
        self.place = Some(place);
        let Some(body) = self.template.defined.get(name) else {
            return self.fault(format!("template {} not defined", quote(name)));
        };
        let value = match argument {
            Some(pipeline) => self.pipeline(pipeline, here)?,
            None => None,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".into(), value.clone())]);
        let outer_name = std::mem::replace(&mut self.name, name);
        self.nodes(body, &value)?;
        (self.variables, self.name) = (outer, outer_name);
        Ok(())
    }

    fn range(&mut self, pipeline: &'a Pipeline, body: &'a [Node], otherwise: &'a [Node], here: &Found) -> Done<Flow> {
        let value = self.pipeline(pipeline, here)?;
        let known = self.variables.len();
        let given = pipeline.variables.len();
        let items: Vec<(Found, Found)> = match value.map(|one| one.value) {
            Some(Value::Array(items)) => {
                let at = |(at, item): (usize, Value)| (Some(Operand::made(at.into())), Some(Operand::inside(item)));
                items.into_iter().enumerate().map(at).collect()
            }
            Some(Value::Object(map)) => {
                let mut entries: Vec<(String, Value)> = map.into_iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                let entry =
                    |(key, item): (String, Value)| (Some(Operand::made(key.into())), Some(Operand::inside(item)));
                entries.into_iter().map(entry).collect()
            }
            Some(Value::Number(number)) if number.is_i64() => {
                if given > 1 {
                    return self.fault(format!("can't use {number} to iterate over more than one variable"));
                }
                (0..number.as_i64().unwrap_or(0)).map(|n| (None, Some(Operand::made(n.into())))).collect()
            }
            None => Vec::new(),
            Some(other) => return self.fault(format!("range can't iterate over {}", go_value(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, here);
        }
        for (key, item) in items {
            match (pipeline.variables.as_slice(), pipeline.assigns) {
                ([], _) => {}
                ([value], true) => self.assign(value, item.clone())?,
                ([index, value, ..], true) => {
                    self.assign(index, key)?;
                    self.assign(value, item.clone())?;
                }
                ([_], false) => self.variables[known - 1].1 = item.clone(),
                (_, false) => {
                    self.variables[known - 1].1 = item.clone();
                    self.variables[known - 2].1 = key;
                }
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(known);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn assign(&mut self, name: &str, value: Found) -> Done<()> {
        let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) else {
            return self.fault(format!("undefined variable: {name}"));
        };
        *slot = value;
        Ok(())
    }

    /// The pipeline's value; `None` for one that is not there.
    fn pipeline(&mut self, pipeline: &'a Pipeline, here: &Found) -> Done<Found> {
        self.place = Some(&pipeline.place);
        let mut value: Option<Found> = None;
        for command in &pipeline.commands {
            value = Some(operand::bare(self.command(command, here, value)?));
        }
        let value = value.flatten();
        for name in &pipeline.variables {
            if pipeline.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    /// A command's value; `piped`: that of the command before it.
    fn command(&mut self, command: &'a Command, here: &Found, piped: Option<Found>) -> Done<Found> {
        let Some((first, rest)) = command.words.split_first() else { return Ok(None) };
        let given = !rest.is_empty() || piped.is_some();
        match &first.term {
            Term::Function(name) => self.function(name, &first.place, &command.place, rest, (here, piped)),
            Term::Field(path) | Term::Variable(_, path) | Term::Chain(_, path) if given && !path.is_empty() => {
                self.with_arguments(first, here)
            }
            _ => {
                if !matches!(first.term, Term::Pipe(_)) {
                    self.place = Some(&first.place);
                }
                if given {
                    return self.fault(format!("can't give argument to non-function {}", first.place.text));
                }
                if matches!(first.term, Term::Nil) {
                    return self.fault("nil is not a command");
                }
                self.term(first, here)
            }
        }
    }

    /// A field that is given arguments as if it were a function, which no field is: why it fails.
    fn with_arguments(&mut self, word: &'a Word, here: &Found) -> Done<Found> {
        let (start, path) = self.start(word, here)?;
        let Some((last, before)) = path.split_last() else { return Ok(None) };
        let receiver = self.fields(start, before)?;
        match &receiver {
            Some(one) if one.value.is_object() => self.fault(format!("{last} is not a method but has arguments")),
            _ => self.fields(receiver, std::slice::from_ref(last)),
        }
    }

    /// Where a field's path begins, and the path.
    fn start(&mut self, word: &'a Word, here: &Found) -> Done<(Found, &'a [String])> {
        self.place = Some(&word.place);
        Ok(match &word.term {
            Term::Field(path) => (here.clone(), path),
            Term::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                (found.and_then(|(_, value)| value.clone()), path)
            }
            Term::Chain(inner, path) => {
                if matches!(inner.term, Term::Nil) {
                    return self.fault(format!("indirection through explicit nil in {}", word.place.text));
                }
                (self.term(inner, here)?, path)
            }
            _ => (None, &[]),
        })
    }

    /// What a word stands for.
    fn term(&mut self, word: &'a Word, here: &Found) -> Done<Found> {
        self.place = Some(&word.place);
        match &word.term {
            Term::Literal(value) => Ok(Some(Operand::made(value.clone()))),
            Term::Dot => Ok(here.clone()),
            Term::Nil => Ok(None),
            Term::Pipe(pipeline) => self.pipeline(pipeline, here),
            Term::Function(name) => self.function(name, &word.place, &word.place, &[], (here, None)),
            Term::Field(_) | Term::Variable(..) | Term::Chain(..) => {
                let (start, path) = self.start(word, here)?;
                self.fields(start, path)
            }
        }
    }

    /// Calls a function that stands at `place` in the command at `whole`; `given`: the value here, and the one piped.
    fn function(
        &mut self,
        name: &str,
        place: &'a Place,
        whole: &'a Place,
        words: &'a [Word],
        (here, piped): (&Found, Option<Found>),
    ) -> Done<Found> {
        self.place = Some(place);
        let Some(taken) = functions::taken_by(name) else {
            return self.fault(format!("{} is not a defined function", quote(name)));
        };
        if let Some(words) = taken.misfit(name, words.len(), piped.is_some()) {
            return self.fault(words);
        }
        if matches!(name, "and" | "or") {
            let mut last = None;
            for word in words {
                last = self.term(word, here)?;
                if operand::truth(&last) == (name == "or") {
                    return Ok(last);
                }
            }
            return Ok(piped.unwrap_or(last));
        }
        let mut arguments = Vec::new();
        for word in words {
            let first_text = taken.text_first && arguments.is_empty();
            match &word.term {
                Term::Literal(value) if first_text && !value.is_string() => {
                    self.place = Some(&word.place);
                    return self.fault(format!("expected string; found {}", word.place.text));
                }
                Term::Nil if first_text => {
                    self.place = Some(&word.place);
                    return self.fault("cannot assign nil to string");
                }
                _ => {}
            }
            let value = self.term(word, here)?;
            if first_text {
                self.must_be_text(&value)?;
            }
            arguments.push(value);
        }
        if let Some(value) = piped {
            if taken.text_first && arguments.is_empty() {
                self.must_be_text(&value)?;
            }
            arguments.push(value);
        }
        let called = match arguments.first().map(|one| operand::bare(one.clone())) {
            // What is called is told by its words, or by its text where it was piped.
            Some(Some(one)) if name == "call" => {
                let kind = one.inner_type_name();
                let piped = one.value.as_str().map_or_else(|| format!("<{kind} Value>"), str::to_owned);
                let shown = words.first().map_or(piped, |word| word.place.text.clone());
                Err(format!("non-function {shown} of type {kind}"))
            }
            _ => functions::call(name, &arguments),
        };
        match called {
            Ok(value) => Ok(value),
            Err(why) => {
                self.place = Some(whole);
                self.fault(format!("error calling {name}: {why}"))
            }
        }
    }

    fn must_be_text(&self, value: &Found) -> Done<()> {
        match value {
            None => self.fault("invalid value; expected string"),
            Some(one) if one.value.is_string() => Ok(()),
            Some(one) => {
                let kind = if one.value.is_null() { one.type_name() } else { one.inner_type_name() };
                self.fault(format!("wrong type for value; expected string; got {kind}"))
            }
        }
    }

    fn fields(&self, start: Found, path: &[String]) -> Done<Found> {
        let mut value = start;
        for field in path {
            let missing_is_error = self.template.missing_is_error;
            value = match value {
                None if missing_is_error => return self.fault(format!("nil data; no entry for key {}", quote(field))),
                None => None,
                Some(Operand { value: Value::Object(mut map), .. }) => match map.shift_remove(field) {
                    Some(found) => Some(Operand::inside(found)),
                    None if missing_is_error => {
                        return self.fault(format!("map has no entry for key {}", quote(field)));
                    }
                    None => None,
                },
                Some(Operand { value: Value::Null, .. }) => {
                    return self.fault(format!("nil pointer evaluating interface {{}}.{field}"));
                }
                Some(other) => {
                    return self.fault(format!("can't evaluate field {field} in type {}", other.type_name()));
                }
            };
        }
        Ok(value)
    }
}
