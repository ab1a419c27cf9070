//! Go templates: `-o go-template='{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}'`.
//!
//! In: a template and an object. Out: text, or where and why the template failed, in Go's words. The
//! language is that of Go's `text/template` as far as JSON reaches: fields, variables, pipelines, `if`,
//! `with`, `range`, `define`, and its functions. Source: pkg.go.dev/text/template.

use std::collections::HashMap;

use serde_json::Value;

use super::super::failure::{Failure, Result, quote};

mod functions;
mod lex;
mod operand;
mod parse;
mod run;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    nodes: Body,
    defined: HashMap<String, Body>,
    missing_is_error: bool,
}

/// Why a template failed.
#[derive(Debug)]
pub struct Fault {
    /// What it had written by then.
    pub begun: String,
    /// `template: output:1:7: executing "output" at <.a.b>: …`
    pub why: String,
}

type Body = Vec<Node>;

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Print(Pipeline),
    If(Pipeline, Body, Body),
    With(Pipeline, Body, Body),
    Range(Pipeline, Body, Body),
    Call(Place, String, Option<Pipeline>),
    Break,
    Continue,
}

/// Where a part of the template begins, and how Go writes it when it fails there.
#[derive(Clone, Debug)]
struct Place {
    at: usize,
    text: String,
}

/// Commands, each given the one before's value last; maybe kept in variables.
#[derive(Clone, Debug)]
struct Pipeline {
    place: Place,
    variables: Vec<String>,
    assigns: bool,
    commands: Vec<Command>,
}

#[derive(Clone, Debug)]
struct Command {
    place: Place,
    words: Vec<Word>,
}

#[derive(Clone, Debug)]
struct Word {
    place: Place,
    term: Term,
}

#[derive(Clone, Debug)]
enum Term {
    Literal(Value),
    Dot,
    Nil,
    /// The value here, and the fields behind it.
    Field(Vec<String>),
    Variable(String, Vec<String>),
    /// Fields of what a pipeline or a function gives.
    Chain(Box<Word>, Vec<String>),
    Pipe(Box<Pipeline>),
    Function(String),
}

impl Word {
    /// As it stands in a command.
    fn shown(&self) -> String {
        match self.term {
            Term::Pipe(_) => format!("({})", self.place.text),
            _ => self.place.text.clone(),
        }
    }
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
    pub fn print(&self, object: &Value) -> std::result::Result<String, Fault> {
        run::run(self, object)
    }

    /// What kubectl writes of a fault: to standard output all that may help, and the failure.
    pub fn explained(&self, fault: &Fault, raw: &str, object: &Value) -> (String, Failure) {
        let Fault { begun, why } = fault;
        let text = format!(
            "{begun}Error executing template: {why}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{}\n\traw data was:\n\t\t{raw}\n\tobject given to template engine was:\n\t\t{}\n\n",
            self.text,
            super::go_value(object),
        );
        (text, Failure::new(format!("error executing template {}: {why}", quote(&self.text))))
    }
}

type Done<T> = std::result::Result<T, String>;

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

    #[test]
    fn what_fails_is_told_where_it_fails() {
        let object = json!({"kind": "Pod", "m": {"k": "v", "n": null}, "l": [1]});
        let at = |place: &str, shown: &str, words: &str| {
            format!("template: output:{place}: executing \"output\" at <{shown}>: {words}")
        };
        let table = [
            ("{{.m.k.x}}", at("1:4", ".m.k.x", "can't evaluate field x in type interface {}")),
            ("a\n {{ (.kind).x}}", at("2:5", ".kind", "can't evaluate field x in type string")),
            ("{{.m.n.x}}", at("1:4", ".m.n.x", "nil pointer evaluating interface {}.x")),
            ("{{len .x}}", at("1:2", "len .x", "error calling len: reflect: call of reflect.Value.Type on zero Value")),
            ("{{len .m.n}}", at("1:2", "len .m.n", "error calling len: len of nil pointer")),
            ("{{.kind | len | len}}", at("1:16", "len", "error calling len: len of type int")),
            ("{{len}}", at("1:2", "len", "wrong number of args for len: want 1 got 0")),
            ("{{index .l 7}}", at("1:2", "index .l 7", "error calling index: index out of range: 7")),
            (
                "{{lt .kind 1}}",
                at("1:2", "lt .kind 1", "error calling lt: incompatible types for comparison: string and int"),
            ),
            ("{{.kind 1}}", at("1:2", ".kind", "kind is not a method but has arguments")),
            ("{{printf .l}}", at("1:9", ".l", "wrong type for value; expected string; got []interface {}")),
            ("{{range .kind}}{{end}}", at("1:8", ".kind", "range can't iterate over Pod")),
            ("{{template \"t\"}}", at("1:11", "{{template \"t\"}}", "template \"t\" not defined")),
        ];
        for (text, expected) in table {
            assert_eq!(Template::parse(text, false).unwrap().print(&object).unwrap_err().why, expected, "{text}");
        }
        let table = [
            ("{{if}}", "1: missing value for if"),
            ("x\n{{end}}", "2: unexpected {{end}}"),
            ("{{range .a}}", "1: unexpected EOF"),
            ("{{.a", "1: unclosed action"),
            ("{{\n.a", "2: unclosed action started at output:1"),
            ("{{(.a}}", "1: unclosed left paren"),
            ("{{.a)}}", "1: unexpected right paren"),
            ("{{foo}}", "1: function \"foo\" not defined"),
            ("{{$x}}", "1: undefined variable \"$x\""),
            ("{{.a | 1}}", "1: non executable command in pipeline stage 2"),
            ("{{if .a}}{{else}}{{else}}{{end}}", "1: expected end; found {{else}}"),
            ("{{break}}", "1: {{break}} outside {{range}}"),
            ("{{.a@}}", "1: bad character U+0040 '@'"),
            ("{{1x}}", "1: bad number syntax: \"1x\""),
            ("{{\"a}}", "1: unterminated quoted string"),
            ("{{range range}}", "1: unexpected <range> in range"),
        ];
        for (text, why) in table {
            let words = Template::parse(text, false).unwrap_err().words();
            assert_eq!(words, format!("error parsing template {text}, template: output:{why}\n"));
        }
    }
}
