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
        /// What a new one is given: permissions, user, group. Another one by the same name is another folder.
        made: (u32, u32, u32),
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
    /// What was given to the build under this name, and is in no layer and no key of one.
    Secret {
        /// The name.
        id: String,
        /// Whether the command cannot do without.
        required: bool,
        /// The file's permissions.
        mode: u32,
        /// The variable that has it.
        variable: Option<String>,
        /// Whether there is a file that has it.
        file: bool,
    },
}

/// What a new folder is given when nothing else is said.
pub const MADE: (u32, u32, u32) = (0o755, 0, 0);

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
        "cache" => &["id", "sharing", "mode", "uid", "gid"],
        "bind" => &["from", "source", "src"],
        "tmpfs" => &[],
        "secret" => &["id", "required", "mode", "env"],
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
    if kind == "secret" {
        return secret(&find, target);
    }
    let target = target.ok_or_else(|| format!("--mount=type={kind} needs a target: --mount=type={kind},target=/…"))?;
    let writes = kind != "bind";
    let writable = said(&["rw", "readwrite"]).or(said(&["ro", "readonly"]).map(|it| !it)).unwrap_or(writes);
    let kind = match kind.as_str() {
        "cache" => {
            let number = |name: &str, radix: u32, else_is: u32| match find(&[name]) {
                Some(text) => u32::from_str_radix(&text, radix).map_err(|_| format!("{name}={text} is no number")),
                None => Ok(else_is),
            };
            let made = (number("mode", 8, MADE.0)? & 0o7777, number("uid", 10, MADE.1)?, number("gid", 10, MADE.2)?);
            Kind::Cache { id: find(&["id"]).unwrap_or_else(|| target.clone()), made }
        }
        "bind" => Kind::Bind { from: find(&["from"]), source: find(&["source", "src"]).unwrap_or_default() },
        _ => Kind::Empty,
    };
    Ok(Mount { kind, target, writable })
}

/// A secret: a file that only its owner reads, or a variable, or both. Source: the Dockerfile reference, "RUN
/// --mount=type=secret".
fn secret(find: &dyn Fn(&[&str]) -> Option<String>, target: Option<String>) -> Result<Mount, String> {
    let own = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = find(&["id"]).or_else(|| target.as_ref().map(own)).filter(|id| !id.is_empty());
    let id = id.ok_or("--mount=type=secret needs an id: --mount=type=secret,id=…")?;
    let mode = match find(&["mode"]) {
        Some(text) => u32::from_str_radix(&text, 8).map_err(|_| format!("mode={text} is no permission: mode=0400"))?,
        None => 0o400,
    };
    let required = find(&["required"]).is_some_and(|value| value == "true");
    let variable = find(&["env"]);
    let file = target.is_some() || variable.is_none();
    let target = target.unwrap_or_else(|| format!("/run/secrets/{id}"));
    Ok(Mount { kind: Kind::Secret { id, required, mode, variable, file }, target, writable: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let secret = |id: &str, required, mode, variable: Option<&str>, file| Kind::Secret {
            id: id.into(),
            required,
            mode,
            variable: variable.map(str::to_owned),
            file,
        };
        let cache = |id: &str| Kind::Cache { id: id.into(), made: MADE };
        let owned = |id: &str, made| Kind::Cache { id: id.into(), made };
        let bind =
            |from: Option<&str>, source: &str| Kind::Bind { from: from.map(str::to_owned), source: source.into() };
        for (text, kind, target, writable) in [
            ("type=cache,target=/root/.cache/pip", cache("/root/.cache/pip"), "/root/.cache/pip", true),
            ("type=cache,id=pip,dst=/c,sharing=locked,readonly", cache("pip"), "/c", false),
            ("type=cache,target=/c,mode=0770,uid=7,gid=8", owned("/c", (0o770, 7, 8)), "/c", true),
            ("type=bind,source=a.txt,target=a.txt", bind(None, "a.txt"), "a.txt", false),
            ("target=.,from=build,rw", bind(Some("build"), ""), ".", true),
            ("type=tmpfs,target=/tmp", Kind::Empty, "/tmp", true),
            ("type=secret,id=aws,target=/root/.aws", secret("aws", false, 0o400, None, true), "/root/.aws", false),
            (
                "type=secret,id=t,env=TOKEN,required",
                secret("t", true, 0o400, Some("TOKEN"), false),
                "/run/secrets/t",
                false,
            ),
            ("type=secret,dst=/a/key,mode=0444", secret("key", false, 0o444, None, true), "/a/key", false),
        ] {
            assert_eq!(read(&split(text)).unwrap(), Mount { kind, target: target.into(), writable }, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (text, words) in [
            ("type=cache", "needs a target"),
            (
                "type=cache,target=/c,from=a",
                "has no from here: tutor knows target, id, sharing, mode, uid, gid, readonly",
            ),
            ("type=cache,target=/c,mode=rw", "mode=rw is no number"),
            ("type=secret", "needs an id"),
            ("type=secret,id=key,mode=rw", "is no permission"),
            ("type=ssh", "no keys"),
            ("type=disk,target=/x", "tutor knows bind, cache, tmpfs"),
        ] {
            let why = read(&split(text)).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
