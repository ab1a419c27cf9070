//! The filter itself, in the process that `jq` starts for it.
//!
//! In: what is asked ([`Asked`]) and a text of JSON. Out: the values, printed. Without what would look at the
//! machine or end the process: `env` is empty, `halt` ends the filter.

use std::io::{self, Write};

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data};
use jaq_json::write::{Pp, write};
use jaq_json::{Val, read};
use serde::{Deserialize, Serialize};

/// A filter and how its values come in and go out.
#[derive(Debug, Deserialize, Serialize)]
pub struct Asked {
    /// The program.
    pub filter: String,
    /// `--arg` and, where it is JSON, `--argjson`.
    pub variables: Vec<(String, String, bool)>,
    /// The flags.
    pub form: Form,
}

/// How values are printed, and how inputs are taken.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Form {
    /// Strings without quotes.
    pub raw: bool,
    /// No line ends.
    pub joined: bool,
    /// On one line.
    pub compact: bool,
    /// Keys in order.
    pub sorted: bool,
    /// All inputs as one array.
    pub slurp: bool,
    /// No input.
    pub nothing: bool,
    /// Inputs are lines of text.
    pub lines: bool,
}

/// Why a filter ended early.
#[derive(Debug)]
pub enum Fault {
    /// What it has to say.
    Said(String),
    /// Nobody reads its values.
    Gone(io::Error),
}

/// Runs a filter over a text's values; whether the last value that came out is neither null nor false.
///
/// # Errors
/// [`Fault`]
pub fn run(asked: &Asked, text: &[u8], out: &mut dyn Write) -> Result<bool, Fault> {
    let Asked { filter, variables, form } = asked;
    let form = *form;
    let said = |why: String| Fault::Said(why);
    let parsed = |text: &str| read::parse_single(text.as_bytes()).map_err(|fault| said(format!("{text}: {fault}")));
    let values = variables.iter().map(|(_, value, json)| match json {
        true => parsed(value),
        false => Ok(Val::from(value.clone())),
    });
    let values = values.collect::<Result<Vec<Val>, Fault>>()?;
    let arena = Arena::default();
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let natives = jaq_core::funs::<data::JustLut<Val>>().chain(jaq_std::funs()).chain(jaq_json::funs());
    // The environment here would be the playground's own.
    let natives = natives.filter(|(name, ..)| *name != "env");
    let wrong = || said(format!("{filter:?} is no filter; try: jq '.items[].metadata.name'"));
    let modules = Loader::new(defs).load(&arena, File { code: filter.as_str(), path: () }).map_err(|_| wrong())?;
    let names = variables.iter().map(|(name, ..)| name.as_str());
    let compiler = Compiler::default().with_funs(natives).with_global_vars(names);
    let compiled = compiler.compile(modules).map_err(|faults| {
        let unknown = faults.iter().flat_map(|(_, faults)| faults).map(|fault| fault.0.to_string());
        let unknown: Vec<String> = unknown.take(3).collect();
        if unknown.is_empty() {
            wrong()
        } else {
            said(format!("the filter names what is not there: {}", unknown.join(", ")))
        }
    })?;
    let mut last = false;
    for input in inputs(text, form)? {
        let context = Ctx::<data::JustLut<Val>>::new(&compiled.lut, Vars::new(values.clone()));
        for value in compiled.id.run((context, input)) {
            let value = match value {
                Ok(value) => value,
                Err(exception) => match exception.get_err() {
                    Ok(error) => return Err(said(error.to_string())),
                    Err(_) => return Ok(last),
                },
            };
            out.write_all(&printed(&value, form)).map_err(Fault::Gone)?;
            last = !matches!(value, Val::Null | Val::Bool(false));
        }
    }
    out.flush().map_err(Fault::Gone)?;
    Ok(last)
}

fn inputs(text: &[u8], form: Form) -> Result<Vec<Val>, Fault> {
    if form.nothing {
        return Ok(vec![Val::Null]);
    }
    let values: Vec<Val> = if form.lines {
        let text = String::from_utf8_lossy(text);
        if form.slurp {
            return Ok(vec![Val::from(text.into_owned())]);
        }
        text.lines().map(|line| Val::from(line.to_owned())).collect()
    } else {
        let all: Result<Vec<Val>, _> = read::parse_many(text).collect();
        all.map_err(|fault| Fault::Said(format!("the input is no JSON: {fault}")))?
    };
    Ok(if form.slurp { vec![values.into_iter().collect()] } else { values })
}

fn printed(value: &Val, form: Form) -> Vec<u8> {
    let mut text = Vec::new();
    match value {
        Val::TStr(bytes) | Val::BStr(bytes) if form.raw => text.extend_from_slice(bytes),
        value => {
            let indent = (!form.compact).then(|| "  ".to_owned());
            let pretty = Pp { indent, sort_keys: form.sorted, sep_space: !form.compact, styles: Default::default() };
            // A vector takes whatever is written to it.
            let _ = write(&mut text, &pretty, 0, value);
        }
    }
    if !form.joined {
        text.push(b'\n');
    }
    text
}
