//! `--chmod`: permissions as a number, or as a change to those that a file has.
//!
//! In: `755`, `u=rwX,go=rX`, `+x`. Out: a [`Mode`] that turns what a file had into what it gets. Pure. Source: the
//! Dockerfile reference, "COPY --chmod"; chmod(1). Who is not named is everybody: no umask is in a build.

/// Permissions to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These.
    Set(u32),
    /// Those it had, changed by one after the other.
    Change(Vec<Change>),
}

/// One change: for whom, how, what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    who: Vec<char>,
    how: char,
    what: String,
}

const EVERYBODY: [char; 3] = ['u', 'g', 'o'];

impl Mode {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no permission.
    pub fn read(text: &str) -> Result<Mode, String> {
        let wrong = || format!("--chmod={text} is no permission: write --chmod=755 or --chmod=u=rwX,go=rX");
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Mode::Set).ok_or_else(wrong);
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let at = clause.find(['+', '-', '=']).ok_or_else(wrong)?;
            let (who, mut rest) = clause.split_at(at);
            if !who.chars().all(|letter| "ugoa".contains(letter)) {
                return Err(wrong());
            }
            let all = who.is_empty() || who.contains('a');
            let who: Vec<char> = if all { EVERYBODY.into() } else { who.chars().collect() };
            while let Some(how) = rest.chars().next() {
                let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
                let what = &rest[1..end];
                let of_another = matches!(what, "u" | "g" | "o");
                if !of_another && !what.chars().all(|letter| "rwxXst".contains(letter)) {
                    return Err(wrong());
                }
                changes.push(Change { who: who.clone(), how, what: what.to_owned() });
                rest = &rest[end..];
            }
        }
        Ok(Mode::Change(changes))
    }

    /// What a file or folder with these permissions gets.
    pub fn apply(&self, had: u32, folder: bool) -> u32 {
        match self {
            Mode::Set(mode) => *mode,
            Mode::Change(changes) => changes.iter().fold(had, |had, change| change.apply(had, folder)),
        }
    }
}

impl Change {
    fn apply(&self, had: u32, folder: bool) -> u32 {
        let mut mode = had;
        for who in &self.who {
            let shift = shift(*who);
            let special = match who {
                'u' => 0o4000,
                'g' => 0o2000,
                _ => 0,
            };
            let bits = self.what.chars().fold(0, |bits, letter| {
                bits | match letter {
                    'r' => 4 << shift,
                    'w' => 2 << shift,
                    'x' => 1 << shift,
                    'X' if folder || had & 0o111 != 0 => 1 << shift,
                    's' => special,
                    't' => 0o1000,
                    'u' | 'g' | 'o' => ((had >> self::shift(letter)) & 7) << shift,
                    _ => 0,
                }
            });
            match self.how {
                '+' => mode |= bits,
                '-' => mode &= !bits,
                _ => mode = (mode & !((7 << shift) | special)) | bits,
            }
        }
        mode
    }
}

/// Where the three bits of somebody are.
fn shift(who: char) -> u32 {
    match who {
        'u' => 6,
        'g' => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_given_as_chmod_gives_them() {
        for (text, had, folder, gets) in [
            ("755", 0o644, false, 0o755),
            ("0644", 0o755, false, 0o644),
            ("+x", 0o644, false, 0o755),
            ("u+x", 0o644, false, 0o744),
            ("go-rwx", 0o755, false, 0o700),
            ("a=r", 0o755, false, 0o444),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("u+rw-x", 0o500, false, 0o600),
            ("u+s,+t", 0o755, false, 0o5755),
            ("o=", 0o755, false, 0o750),
        ] {
            assert_eq!(Mode::read(text).unwrap().apply(had, folder), gets, "{text} of {had:o}");
        }
        for wrong in ["8", "77777", "x", "u+y", "z+x", "", "u"] {
            assert!(Mode::read(wrong).unwrap_err().contains("is no permission"), "{wrong}");
        }
    }
}
