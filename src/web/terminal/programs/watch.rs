//! `watch`: runs a command again and again, and shows its latest answer in place of the one before.

use std::time::Duration;

use super::super::clean::Cleaner;
use super::super::pipes::{Chunk, Ended, Fault, input, pipe, read_all};
use super::super::syntax;
use super::Call;
use super::small::seconds;

/// The longest picture.
const LONGEST: usize = 32 * 1024;
/// The shortest time between two pictures.
const SHORTEST: Duration = Duration::from_millis(200);

/// `watch`
pub async fn watch(call: &Call) -> Ended {
    let mut words = &call.arguments[..];
    let (mut every, mut title) = (Duration::from_secs(2), true);
    while let Some((flag, rest)) = words.split_first().filter(|(flag, _)| flag.starts_with('-')) {
        words = rest;
        match flag.as_str() {
            "-n" | "--interval" => {
                let (text, rest) = words.split_first().ok_or_else(|| Fault::Said("-n needs a number".into()))?;
                (every, words) = (seconds(text)?, rest);
            }
            "-t" | "--no-title" => title = false,
            "-d" | "--differences" => {}
            flag => match flag.strip_prefix("-n") {
                Some(text) => every = seconds(text)?,
                None => return Err(Fault::Said(format!("{flag} is not built in"))),
            },
        }
    }
    if words.is_empty() {
        return Err(Fault::Said("a command is missing: watch kubectl get pods".into()));
    }
    let command = words.join(" ");
    // One word is a line of its own, with pipes; several are a command as it stands.
    let line = match words {
        [line] => line.clone(),
        words => words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" "),
    };
    let script = syntax::parse(&line).map_err(|_| Fault::Said(format!("{line:?} is no command")))?;
    loop {
        let (out, inside) = pipe();
        let mut here = call.context.clone();
        (here.err, here.out, here.shown) = (out.clone(), out, false);
        (here.stdin, here.typed) = (input(Vec::new()), false);
        let script = &script;
        let (_, bytes) = futures::join!(async move { here.run(script).await }, read_all(&inside));
        let bytes = bytes?;
        let mut text = Cleaner::default().clean(&bytes[..bytes.len().min(LONGEST)]);
        if title {
            let now = call.context.world.clock.now().strftime("%H:%M:%S UTC").to_string();
            text = format!("Every {} s: {command}    {now}\n\n{text}", every.as_secs_f64());
        }
        call.context.out.send(Chunk::Frame(text)).await?;
        call.context.world.clock.sleep(every.max(SHORTEST)).await;
    }
}
