//! Versions like `1.2.3-rc.1+build`, as CEL compares them.
//!
//! Source: `k8s.io/apiserver/pkg/cel/library/semverlib.go`, semver.org 2.0.

use std::cmp::Ordering;

/// A version.
#[derive(Clone, Debug)]
pub struct Semver {
    /// Major, minor, patch.
    pub numbers: [i64; 3],
    before: Vec<String>,
}

/// Reads a version. `lax` lets it begin with `v`, leave out minor and patch, and have leading zeros.
///
/// # Errors
/// What is wrong with it, in the words of Go's semver library.
pub fn read(text: &str, lax: bool) -> Result<Semver, String> {
    if text.is_empty() && !lax {
        return Err("Version string empty".to_owned());
    }
    let text = if lax { text.trim().trim_start_matches('v') } else { text };
    let mut parts: Vec<&str> = text.splitn(3, '.').collect();
    if parts.len() != 3 {
        if !lax || parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            let what = if lax {
                "short version cannot contain PreRelease/Build meta data"
            } else {
                "No Major.Minor.Patch elements found"
            };
            return Err(what.to_owned());
        }
        parts.resize(3, "0");
    }
    let (rest, build) = parts[2].split_once('+').map_or((parts[2], None), |(rest, build)| (rest, Some(build)));
    let (patch, before) = rest.split_once('-').map_or((rest, None), |(rest, before)| (rest, Some(before)));
    let mut numbers = [0; 3];
    for ((number, part), name) in numbers.iter_mut().zip([parts[0], parts[1], patch]).zip(["major", "minor", "patch"]) {
        *number = number_of(part, name, lax)?;
    }
    let before = identifiers(before, "Prerelease", "Prerelease")?;
    if let Some(part) = before.iter().find(|part| part.len() > 1 && part.starts_with('0') && is_number(part)) {
        return Err(format!("Numeric PreRelease version must not contain leading zeroes {part:?}"));
    }
    identifiers(build, "Build meta data", "Build meta data")?;
    Ok(Semver { numbers, before })
}

fn number_of(part: &str, name: &str, lax: bool) -> Result<i64, String> {
    if part.is_empty() || !is_number(part) {
        return Err(format!("Invalid character(s) found in {name} number {part:?}"));
    }
    if part.len() > 1 && part.starts_with('0') && !lax {
        let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        return Err(format!("{name} number must not contain leading zeroes {part:?}"));
    }
    part.parse().map_err(|_| format!("strconv.ParseUint: parsing {part:?}: value out of range"))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn identifiers(text: Option<&str>, empty: &str, wrong: &str) -> Result<Vec<String>, String> {
    let Some(text) = text else { return Ok(Vec::new()) };
    text.split('.')
        .map(|part| {
            if part.is_empty() {
                return Err(format!("{empty} is empty"));
            }
            if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(format!("Invalid character(s) found in {} {part:?}", wrong.to_lowercase()));
            }
            Ok(part.to_owned())
        })
        .collect()
}

/// What a version was built from does not count.
impl PartialEq for Semver {
    fn eq(&self, other: &Semver) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Semver {}

impl Ord for Semver {
    fn cmp(&self, other: &Semver) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.before.iter().zip(&other.before).map(|(a, b)| match (is_number(a), is_number(b)) {
                    (true, true) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    (false, false) => a.cmp(b),
                });
                pairs.into_iter().find(|order| order.is_ne()).unwrap_or(self.before.len().cmp(&other.before.len()))
            }
        })
    }
}

impl PartialOrd for Semver {
    fn partial_cmp(&self, other: &Semver) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_in_the_order_of_semver_org() {
        let sorted = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-2.x", "1.0.0-rc.1", "1.0.0", "1.0.1"];
        let read = |text| read(text, false).unwrap();
        assert!(read(sorted[0]) < read(sorted[1]) && read(sorted[1]) < read(sorted[2]));
        assert!(
            read(sorted[3]) < read(sorted[0]) && read(sorted[4]) < read(sorted[5]) && read(sorted[5]) < read(sorted[6])
        );
    }

    #[test]
    fn a_version_has_three_numbers_unless_one_is_lax() {
        assert_eq!(read("1h", false).unwrap_err(), "No Major.Minor.Patch elements found");
        assert!(read("1.2", false).is_err() && read("v1.02", true).is_ok_and(|version| version.numbers == [1, 2, 0]));
    }
}
