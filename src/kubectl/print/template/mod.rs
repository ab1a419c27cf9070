//! Go templates: `-o go-template='{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}'`.
//!
//! In: a template and an object. Out: text. The language is that of Go's `text/template` as far as JSON
//! reaches: fields, variables, pipelines, `if`, `with`, `range`, `define`, and its functions.

use std::collections::HashMap;

use serde_json::Value;

use super::super::failure::{Failure, Result};

mod functions;
mod parse;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
    defined: HashMap<String, Vec<Node>>,
    missing_is_error: bool,
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Print(Pipeline),
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Call(String, Option<Pipeline>),
    Break,
    Continue,
}

/// Commands, each given the one before's value last; maybe kept in variables.
#[derive(Clone, Debug, Default)]
struct Pipeline {
    variables: Vec<String>,
    assigns: bool,
    commands: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
enum Term {
    Literal(Value),
    /// The value here, and the fields behind it.
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Inner(Box<Pipeline>, Vec<String>),
    Function(String),
}

enum Flow {
    Next,
    Break,
    Continue,
}

struct Run<'a> {
    template: &'a Template,
    variables: Vec<(String, Value)>,
    out: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, missing_is_error: bool) -> Result<Template> {
        let (nodes, defined) = parse::parse(text)
            .map_err(|why| Failure::new(format!("error parsing template {text}, template: output:{why}\n")))?;
        Ok(Template { text: text.to_owned(), nodes, defined, missing_is_error })
    }

    /// The text for an object.
    ///
    /// # Errors
    /// When a function or a field does not fit its value.
    pub fn print(&self, object: &Value) -> Result<String> {
        let mut run = Run { template: self, variables: vec![("$".into(), object.clone())], out: String::new() };
        match run.nodes(&self.nodes, object) {
            Ok(_) => Ok(run.out),
            Err(why) => {
                let shown = super::json_line(object);
                Err(Failure::new(format!(
                    "error executing template {}: template: output:1:{why}\n\ttemplate was:\n\t\t{}\n\traw data was:\n\t\t{shown}\n\tobject given to template engine was:\n\t\t{}\n\n",
                    super::super::failure::quote(&self.text),
                    self.text,
                    super::go_value(object),
                )))
            }
        }
    }
}

type Done<T> = std::result::Result<T, String>;

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], here: &Value) -> Done<Flow> {
        for node in nodes {
            match self.node(node, here)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, here: &Value) -> Done<Flow> {
        let scope = self.variables.len();
        let flow = match node {
            Node::Text(text) => {
                self.out.push_str(text);
                Flow::Next
            }
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, here)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&match value {
                        None => "<no value>".to_owned(),
                        Some(value) => functions::shown(&value),
                    });
                }
                return Ok(Flow::Next);
            }
            Node::If(branches, otherwise) => {
                let mut taken = otherwise;
                for (condition, body) in branches {
                    if functions::truth(self.pipeline(condition, here)?.as_ref()) {
                        taken = body;
                        break;
                    }
                }
                self.nodes(taken, here)?
            }
            Node::With(pipeline, body, otherwise) => {
                let value = self.pipeline(pipeline, here)?;
                match value {
                    Some(value) if functions::truth(Some(&value)) => self.nodes(body, &value)?,
                    _ => self.nodes(otherwise, here)?,
                }
            }
            Node::Range(pipeline, body, otherwise) => self.range(pipeline, body, otherwise, here)?,
            Node::Call(name, argument) => {
                let value = match argument {
                    Some(pipeline) => self.pipeline(pipeline, here)?.unwrap_or(Value::Null),
                    None => Value::Null,
                };
                let Some(body) = self.template.defined.get(name) else {
                    return Err(format!("template {name:?} not defined"));
                };
                let outer = std::mem::replace(&mut self.variables, vec![("$".into(), value.clone())]);
                self.nodes(body, &value)?;
                self.variables = outer;
                Flow::Next
            }
            Node::Break => Flow::Break,
            Node::Continue => Flow::Continue,
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn range(&mut self, pipeline: &Pipeline, body: &[Node], otherwise: &[Node], here: &Value) -> Done<Flow> {
        let plain = Pipeline { variables: Vec::new(), ..pipeline.clone() };
        let value = self.pipeline(&plain, here)?.unwrap_or(Value::Null);
        let items: Vec<(Value, Value)> = match value {
            Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect(),
            Value::Object(map) => {
                let mut entries: Vec<(String, Value)> = map.into_iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries.into_iter().map(|(key, item)| (Value::from(key), item)).collect()
            }
            Value::Number(number) => (0..number.as_i64().unwrap_or(0)).map(|n| (n.into(), n.into())).collect(),
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", super::go_value(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, here);
        }
        for (key, item) in items {
            let scope = self.variables.len();
            match pipeline.variables.as_slice() {
                [] => {}
                [value] => self.variables.push((value.clone(), item.clone())),
                [index, value, ..] => {
                    self.variables.push((index.clone(), key));
                    self.variables.push((value.clone(), item.clone()));
                }
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(scope);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// The pipeline's value; `None` for a field that is not there.
    fn pipeline(&mut self, pipeline: &Pipeline, here: &Value) -> Done<Option<Value>> {
        let mut value: Option<Option<Value>> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, here, value)?);
        }
        let value = value.flatten();
        for name in &pipeline.variables {
            let kept = value.clone().unwrap_or(Value::Null);
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            match known {
                Some((_, slot)) if pipeline.assigns => *slot = kept,
                _ => self.variables.push((name.clone(), kept)),
            }
        }
        Ok(value)
    }

    fn command(&mut self, terms: &[Term], here: &Value, piped: Option<Option<Value>>) -> Done<Option<Value>> {
        let Some((first, rest)) = terms.split_first() else { return Err("missing value for command".into()) };
        let Term::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".into());
            }
            return self.term(first, here);
        };
        if matches!(name.as_str(), "and" | "or") {
            let mut last = None;
            for term in rest {
                last = self.term(term, here)?;
                if functions::truth(last.as_ref()) == (name == "or") {
                    return Ok(last);
                }
            }
            return Ok(piped.unwrap_or(last));
        }
        let mut arguments = Vec::new();
        for term in rest {
            arguments.push(self.term(term, here)?.unwrap_or(Value::Null));
        }
        arguments.extend(piped.map(|value| value.unwrap_or(Value::Null)));
        functions::call(name, &arguments).map(Some)
    }

    fn term(&mut self, term: &Term, here: &Value) -> Done<Option<Value>> {
        match term {
            Term::Literal(value) => Ok(Some(value.clone())),
            Term::Field(path) => self.fields(Some(here.clone()), path),
            Term::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let Some((_, value)) = found else { return Err(format!("undefined variable \"{name}\"")) };
                self.fields(Some(value.clone()), path)
            }
            Term::Inner(pipeline, path) => {
                let value = self.pipeline(pipeline, here)?;
                self.fields(value, path)
            }
            Term::Function(name) => functions::call(name, &[]).map(Some),
        }
    }

    fn fields(&self, value: Option<Value>, path: &[String]) -> Done<Option<Value>> {
        let mut value = value;
        for field in path {
            value = match value {
                Some(Value::Object(map)) => match map.get(field) {
                    Some(found) => Some(found.clone()),
                    None if self.template.missing_is_error => {
                        return Err(format!("map has no entry for key \"{field}\""));
                    }
                    None => None,
                },
                None | Some(Value::Null) => None,
                Some(other) => {
                    let kind = match other {
                        Value::Array(_) => "[]interface {}",
                        Value::String(_) => "string",
                        Value::Bool(_) => "bool",
                        _ => "int64",
                    };
                    return Err(format!("can't evaluate field {field} in type {kind}"));
                }
            };
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_print_as_go_does() {
        let object = json!({"items": [{"n": "a", "c": 1}, {"n": "b", "c": 2}], "m": {"k": "v", "a": true}, "e": []});
        let table = [
            ("{{range .items}}{{.n}}={{.c}} {{end}}", "a=1 b=2 "),
            ("{{range $i, $e := .items}}{{if $i}}, {{end}}{{$e.n}}{{end}}", "a, b"),
            ("{{range .e}}x{{else}}none{{end}}", "none"),
            ("{{len .items}} {{index .m \"k\"}} {{.missing}}", "2 v <no value>"),
            ("{{- if and .m.a (eq .m.k \"v\") -}} yes {{- else -}} no {{- end}}", "yes"),
            ("{{range $k, $v := .m}}{{$k}}:{{$v}};{{end}}", "a:true;k:v;"),
            ("{{printf \"%s-%d|%5s|%-4s|%q\" .m.k 7 \"x\" \"y\" \"z\"}}", "v-7|    x|y   |\"z\""),
            ("{{with .m}}{{.k}}{{end}}{{/* note */}}{{ \"a\\tb\" }}", "va\tb"),
            ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .m.k}}", "<v>"),
            ("{{.m}} {{.items}}", "map[a:true k:v] [map[c:1 n:a] map[c:2 n:b]]"),
            ("{{if gt (len .items) 1}}many{{else if true}}few{{end}}", "many"),
            ("{{.m.k | printf \"%s!\" | print}}", "v!"),
        ];
        for (text, expected) in table {
            let template = Template::parse(text, false).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            assert_eq!(template.print(&object).unwrap(), expected, "{text}");
        }
        assert!(Template::parse("{{range .a}}", false).is_err());
        assert!(Template::parse("{{.m.x}}", true).unwrap().print(&object).is_err());
    }
}
