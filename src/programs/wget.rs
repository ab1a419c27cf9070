//! `wget`: fetches a URL.

use std::io::Write;
use std::time::Duration;

use super::{complain, http, print};

/// `wget [-q] [-O FILE|-] [-S] [-T SECONDS] [--header H] [--post-data D] [--spider] URL`
pub(super) fn main(arguments: &[String]) -> i32 {
    let (mut quiet, mut spider, mut output, mut url) = (false, false, None, None);
    let (mut limit, mut headers, mut body) = (Duration::from_secs(900), Vec::new(), None);
    let mut words = arguments[1..].iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-q" => quiet = true,
            "-qO-" => (quiet, output) = (true, Some("-")),
            "-O-" => output = Some("-"),
            "-O" | "-qO" => {
                quiet |= word == "-qO";
                output = words.next();
            }
            "--spider" => spider = true,
            "-T" => limit = seconds(words.next()).unwrap_or(limit),
            "--header" => headers.extend(words.next().map(str::to_owned)),
            "--post-data" => body = words.next(),
            word if word.starts_with("--timeout=") => limit = seconds(word.split('=').nth(1)).unwrap_or(limit),
            word if word.starts_with("--header=") => headers.push(word["--header=".len()..].to_owned()),
            word if word.starts_with("--post-data=") => body = Some(&word["--post-data=".len()..]),
            word if word.starts_with("-T") => limit = seconds(Some(&word[2..])).unwrap_or(limit),
            word if word.starts_with('-') => {}
            word => url = Some(word),
        }
    }
    let Some(url) = url else { return complain("wget", "usage: wget [-q] [-O FILE] [-T SECONDS] URL") };
    let method = if body.is_some() { "POST" } else { "GET" };
    let (status, content) = match http::ask(method, url, &headers, body.unwrap_or_default().as_bytes(), limit) {
        Ok(answered) => answered,
        Err(why) => return complain("wget", &why),
    };
    if status >= 400 {
        return complain("wget", &format!("server returned error: HTTP/1.1 {status}"));
    }
    if spider {
        return if quiet { 0 } else { i32::from(print("remote file exists\n").is_err()) };
    }
    let path = http::split_url(url).map(|(_, _, path)| path).unwrap_or_default();
    let name = path.split('?').next().and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
    let file = output.or(name).unwrap_or("index.html");
    let done = match file {
        "-" => std::io::stdout().write_all(&content),
        file => std::fs::write(file, &content),
    };
    match done {
        Ok(()) => {
            if !quiet && file != "-" {
                complain("wget", &format!("'{file}' saved"));
            }
            0
        }
        Err(error) => complain("wget", &format!("{file}: {}", super::plain(&error))),
    }
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    text?.parse().ok().map(Duration::from_secs)
}
