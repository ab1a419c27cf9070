//! `RUN --mount`: files that a command sees and the image does not keep.
//!
//! In: the options of one flag, variables put in. Out: what is mounted, and where. Pure. What tutor cannot do is refused in
//! words; no option is left out in silence. Source: the Dockerfile reference, "RUN --mount".

/// The options of one `--mount`, as they were written.
pub type Options = Vec<(String, String)>;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: Kind,
    /// Where, as it was written.
    pub target: String,
    /// The command may write there.
    pub writable: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder that the next build finds as this one left it.
    Cache {
        /// Its name; builds that say the same one share it.
        id: String,
    },
    /// A file or folder of the context, of a stage or an image. What is written to it is thrown away.
    Bind {
        /// The stage or image.
        from: Option<String>,
        /// The path there.
        source: String,
    },
    /// An empty folder, thrown away afterwards.
    Empty,
}

/// Splits what stands behind `--mount=`.
pub fn split(text: &str) -> Options {
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) => (name.trim().to_ascii_lowercase(), value.trim_matches('"').to_owned()),
        None => (part.trim().to_ascii_lowercase(), "true".to_owned()),
    };
    text.split(',').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Reads the options.
///
/// # Errors
/// What is wrong with them, or cannot be done here.
pub fn read(options: &[(String, String)]) -> Result<Mount, String> {
    let find = |names: &[&str]| {
        let found = options.iter().rfind(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.clone())
    };
    let said = |names: &[&str]| find(names).map(|value| value == "true");
    let kind = find(&["type"]).unwrap_or_else(|| "bind".to_owned());
    let own: &[&str] = match kind.as_str() {
        // One build runs at a time, so nobody has to wait for a folder.
        "cache" => &["id", "sharing"],
        "bind" => &["from", "source", "src"],
        "tmpfs" => &[],
        "secret" => return Err("a secret would have to be given to the build: tutor takes none".to_owned()),
        "ssh" => return Err("tutor passes no keys to a build".to_owned()),
        other => return Err(format!("--mount=type={other} is not known here: tutor knows bind, cache, tmpfs")),
    };
    let all = ["type", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite"];
    if let Some((name, _)) =
        options.iter().find(|(name, _)| !all.contains(&name.as_str()) && !own.contains(&name.as_str()))
    {
        let known: Vec<&str> = all[1..2].iter().chain(own).chain(&["readonly"]).copied().collect();
        return Err(format!("--mount=type={kind} has no {name} here: tutor knows {}", known.join(", ")));
    }
    let target = find(&["target", "dst", "destination"]).filter(|target| !target.is_empty());
    let target = target.ok_or_else(|| format!("--mount=type={kind} needs a target: --mount=type={kind},target=/…"))?;
    let writes = kind != "bind";
    let writable = said(&["rw", "readwrite"]).or(said(&["ro", "readonly"]).map(|it| !it)).unwrap_or(writes);
    let kind = match kind.as_str() {
        "cache" => Kind::Cache { id: find(&["id"]).unwrap_or_else(|| target.clone()) },
        "bind" => Kind::Bind { from: find(&["from"]), source: find(&["source", "src"]).unwrap_or_default() },
        _ => Kind::Empty,
    };
    Ok(Mount { kind, target, writable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let cache = |id: &str| Kind::Cache { id: id.into() };
        let bind =
            |from: Option<&str>, source: &str| Kind::Bind { from: from.map(str::to_owned), source: source.into() };
        for (text, kind, target, writable) in [
            ("type=cache,target=/root/.cache/pip", cache("/root/.cache/pip"), "/root/.cache/pip", true),
            ("type=cache,id=pip,dst=/c,sharing=locked,readonly", cache("pip"), "/c", false),
            ("type=bind,source=a.txt,target=a.txt", bind(None, "a.txt"), "a.txt", false),
            ("target=.,from=build,rw", bind(Some("build"), ""), ".", true),
            ("type=tmpfs,target=/tmp", Kind::Empty, "/tmp", true),
        ] {
            assert_eq!(read(&split(text)).unwrap(), Mount { kind, target: target.into(), writable }, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (text, words) in [
            ("type=cache", "needs a target"),
            ("type=cache,target=/c,uid=7", "has no uid here: tutor knows target, id, sharing, readonly"),
            ("type=secret,id=key", "tutor takes none"),
            ("type=ssh", "no keys"),
            ("type=disk,target=/x", "tutor knows bind, cache, tmpfs"),
        ] {
            let why = read(&split(text)).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
