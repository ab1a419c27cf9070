//! What single words of a Dockerfile mean: ports, times, owners, permissions.
//!
//! Pure but for reading a stage's `/etc/passwd`. Source: the Dockerfile reference; Docker's image
//! configuration.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::instruction::{Check, Words};
use super::view::View;

/// `80` and `80/udp`, `8000-8002`: as `80/tcp`, one each.
///
/// # Errors
/// When it is no port.
pub fn ports(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{text} is no port: write 80, 80/udp or 8000-8010");
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first == 0 || last < first || !["tcp", "udp", "sctp"].contains(&&*protocol) {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// `30s`, `1m30s`, `1.5h` in nanoseconds.
///
/// # Errors
/// When it is no time.
pub fn nanoseconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text} is no time: write 30s or 1m30s");
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit_end = rest[end..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |at| end + at);
        let unit = match &rest[end..unit_end] {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    if text.is_empty() || total < 0.0 { Err(wrong()) } else { Ok(total as i64) }
}

/// A health check as Docker's configuration has it.
///
/// # Errors
/// A time or a number that is none.
pub fn health(check: Option<&Check>) -> Result<Value, String> {
    let Some(check) = check else { return Ok(json!({"Test": ["NONE"]})) };
    let mut test = match &check.command {
        Words::Exec(words) => {
            let words: Vec<&str> = ["CMD"].into_iter().chain(words.iter().map(String::as_str)).collect();
            json!({ "Test": words })
        }
        Words::Shell(line) => json!({"Test": ["CMD-SHELL", line]}),
    };
    for (flag, value) in &check.flags {
        match flag.as_str() {
            "retries" => {
                test["Retries"] = json!(value.parse::<u32>().map_err(|_| format!("{value} is no number of retries"))?);
            }
            "interval" => test["Interval"] = json!(nanoseconds(value)?),
            "timeout" => test["Timeout"] = json!(nanoseconds(value)?),
            "start-period" => test["StartPeriod"] = json!(nanoseconds(value)?),
            _ => test["StartInterval"] = json!(nanoseconds(value)?),
        }
    }
    Ok(test)
}

/// `user:group`, numbers or names that the image knows; a user without a group has the group of its number.
///
/// # Errors
/// A name that the image does not know.
pub fn owner(text: &str, view: &View) -> Result<(u32, u32), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let user_number = number(user, "etc/passwd", view)?;
    let group_number = if group.is_empty() { user_number } else { number(group, "etc/group", view)? };
    Ok((user_number, group_number))
}

fn number(name: &str, file: &str, view: &View) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let seen = view.resolve(Path::new(file)).ok().and_then(|path| view.look(&path));
    let text = seen.and_then(|seen| fs::read_to_string(seen.real).ok()).unwrap_or_default();
    let mut entries = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields.first() == Some(&name));
    let number = entry.and_then(|fields| fields.get(2).and_then(|number| number.parse().ok()));
    number.ok_or_else(|| format!("the image's /{file} knows no {name}: give its number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_docker_means_by_them() {
        assert_eq!(ports("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("53-54/UDP").unwrap(), ["53/udp", "54/udp"]);
        assert!(ports("0").is_err() && ports("80/x").is_err() && ports("9-8").is_err());
        assert_eq!(nanoseconds("1m30s"), Ok(90_000_000_000));
        assert_eq!(nanoseconds("500ms"), Ok(500_000_000));
        assert!(nanoseconds("30").is_err() && nanoseconds("").is_err());
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "web:x:101:102::/:/bin/sh\n").unwrap();
        let view = View::of(root.path());
        assert_eq!((owner("web", &view), owner("7:8", &view)), (Ok((101, 101)), Ok((7, 8))));
        assert!(owner("db", &view).unwrap_err().contains("knows no db"));
    }
}
