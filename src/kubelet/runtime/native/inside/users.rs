//! Who a container's process runs as: numbers, or names of the image's own `/etc/passwd`.
//!
//! Called inside the container's tree, so `/etc/passwd` is the image's. Pure but for reading it.
//! Source: OCI image specification, `User`. Chapter: `book/src/inside/runtime.md`.

use std::fs;

use super::super::messages::Plan;

/// A user as the kernel and programs know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// For `$HOME`.
    pub home: String,
}

/// Finds out.
///
/// # Errors
/// A name that the image does not know, in runc's words.
pub fn identify(plan: &Plan) -> Result<Identity, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    look_up(plan, &read("/etc/passwd"), &read("/etc/group"))
}

fn look_up(plan: &Plan, passwd: &str, group: &str) -> Result<Identity, String> {
    let (user, group_name) = plan.user.split_once(':').unwrap_or((&plan.user, ""));
    let user = if user.is_empty() { "0" } else { user };
    let entry = lines(passwd).find(|fields| fields[0] == user || fields[2] == user);
    let uid = match (user.parse(), &entry) {
        (Ok(uid), _) => uid,
        (Err(_), Some(fields)) => fields[2].parse().unwrap_or_default(),
        (Err(_), None) => return Err(format!("unable to find user {user}: no matching entries in passwd file")),
    };
    let own = entry.as_ref().and_then(|fields| fields[3].parse().ok()).unwrap_or(0);
    let named = match group_name {
        "" => own,
        number if number.parse::<u32>().is_ok() => number.parse().unwrap_or_default(),
        name => {
            let entry = lines(group).find(|fields| fields[0] == name);
            let number = entry.and_then(|fields| fields[2].parse().ok());
            number.ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))?
        }
    };
    let home = entry.and_then(|fields| fields.get(5).map(|home| (*home).to_owned()));
    let home = home.filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned());
    Ok(Identity { uid, gid: plan.gid.unwrap_or(named), groups: plan.groups.clone(), home })
}

/// The entries of such a file, those that are whole.
fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_or_names() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/srv:/bin/sh\n";
        let group = "root:x:0:\nstaff:x:50:web\n";
        for (user, expected) in [
            ("", Ok((0, 0, "/root"))),
            ("1000", Ok((1000, 0, "/"))),
            ("1000:7", Ok((1000, 7, "/"))),
            ("web", Ok((101, 102, "/srv"))),
            ("101", Ok((101, 102, "/srv"))),
            ("web:staff", Ok((101, 50, "/srv"))),
            ("nobody", Err("unable to find user nobody: no matching entries in passwd file")),
        ] {
            let plan = Plan { user: user.to_owned(), ..Plan::default() };
            let found = look_up(&plan, passwd, group);
            let found = found.as_ref().map(|who| (who.uid, who.gid, who.home.as_str())).map_err(String::as_str);
            assert_eq!(found, expected, "{user:?}");
        }
    }
}
