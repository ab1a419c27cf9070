//! `jq`: filters for JSON, by the crates of jaq.
//!
//! Without what would look at the machine or end the process: `env` is empty, `halt` ends the filter. A
//! filter runs on the blocking pool, and stops at its next value when its reader has gone.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data};
use jaq_json::write::{Pp, write};
use jaq_json::{Val, read};
use tokio::sync::mpsc;

use super::super::pipes::{Ended, Fault, read_all};
use super::Call;

/// How values are printed, and how inputs are taken.
#[derive(Clone, Copy)]
struct Form {
    raw: bool,
    joined: bool,
    compact: bool,
    sorted: bool,
    slurp: bool,
    nothing: bool,
    lines: bool,
}

/// `jq`
pub async fn jq(call: &Call) -> Ended {
    let long = [
        ("raw-output", 'r'),
        ("compact-output", 'c'),
        ("exit-status", 'e'),
        ("slurp", 's'),
        ("sort-keys", 'S'),
        ("null-input", 'n'),
        ("raw-input", 'R'),
        ("join-output", 'j'),
    ];
    let mut arguments = Vec::new();
    let mut variables = Vec::new();
    let mut words = call.arguments.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.len()) {
            ("--arg" | "--argjson", 2..) => {
                let name = format!("${}", words.next().cloned().unwrap_or_default());
                variables.push((name, words.next().cloned().unwrap_or_default(), word == "--argjson"));
            }
            _ => arguments.push(word.clone()),
        }
    }
    let given = Call { arguments, context: call.context.clone() }.given("rcesSnRjM", &long)?;
    let (filter, files) = match given.words.split_first() {
        Some((filter, files)) => (filter.clone(), files.to_vec()),
        None => (".".to_owned(), Vec::new()),
    };
    let form = Form {
        raw: given.is('r') || given.is('j'),
        joined: given.is('j'),
        compact: given.is('c'),
        sorted: given.is('S'),
        slurp: given.is('s'),
        nothing: given.is('n'),
        lines: given.is('R'),
    };
    let mut text = Vec::new();
    if !form.nothing {
        for (_, input) in call.inputs(&files)? {
            text.extend(read_all(&input).await?);
        }
    }
    let (sender, mut values) = mpsc::channel::<Vec<u8>>(16);
    let tasks = call.context.world.tasks.clone();
    let filtered = tasks.blocking(move || run(&filter, &text, &variables, form, &sender));
    // Whoever reads has gone when this ends early; then the filter ends at its next value.
    let shown = async move {
        while let Some(value) = values.recv().await {
            call.context.out.write(value).await?;
        }
        Ok::<(), Fault>(())
    };
    let (ended, shown) = futures::join!(filtered, shown);
    shown?;
    Ok(i32::from(!ended? && given.is('e')))
}

/// Runs a filter over a text's values; whether the last value that came out is neither null nor false.
fn run(
    filter: &str,
    text: &[u8],
    variables: &[(String, String, bool)],
    form: Form,
    out: &mpsc::Sender<Vec<u8>>,
) -> Result<bool, Fault> {
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
    let modules = Loader::new(defs).load(&arena, File { code: filter, path: () }).map_err(|_| wrong())?;
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
            if out.blocking_send(printed(&value, form)).is_err() {
                return Err(Fault::Gone);
            }
            last = !matches!(value, Val::Null | Val::Bool(false));
        }
    }
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
