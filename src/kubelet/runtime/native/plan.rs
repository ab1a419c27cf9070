//! From what the kubelet asks for to what a process is told: the last place where anything is decided.
//!
//! In: a [`ContainerConfig`], its image, where its volumes are. Out: a [`Plan`]. Pure.
//! Chapter: `book/src/inside/runtime.md`.

use super::images::Unpacked;
use super::messages::{Files, Plan};
use crate::api::capabilities;
use crate::kubelet::runtime::config::{ContainerConfig, Seccomp, Security};

/// Source: containerd's default for containers, as far as the user may.
const OPEN_FILES: u64 = 1_048_576;

/// The container's own process. `files` are those of the Pod; the image's own are added.
///
/// # Errors
/// Why it cannot be made, in words for its status.
pub fn first_process(config: &ContainerConfig, image: &Unpacked, files: Files) -> Result<Plan, String> {
    let mut plan = process(config, image)?;
    plan.args = arguments(config, image);
    if plan.args.is_empty() {
        return Err("no command specified".to_owned());
    }
    plan.terminal = config.tty.then_some((0, 0));
    plan.files = Some(Files {
        layers: image.layers.clone(),
        mounts: image.mounts.iter().cloned().chain(files.mounts).collect(),
        read_only: config.security.read_only_root_filesystem && !config.security.privileged,
        ..files
    });
    Ok(plan)
}

/// A command beside it.
///
/// # Errors
/// As for [`first_process`].
pub fn joining_process(config: &ContainerConfig, image: &Unpacked, args: &[String], tty: bool) -> Result<Plan, String> {
    let mut plan = process(config, image)?;
    plan.args = args.to_vec();
    plan.terminal = tty.then_some((0, 0));
    Ok(plan)
}

/// What every process of a container has in common.
fn process(config: &ContainerConfig, image: &Unpacked) -> Result<Plan, String> {
    let security = &config.security;
    let number = |number: i64| u32::try_from(number).map_err(|_| format!("{number} is no user or group"));
    let user = match security.user {
        Some(user) => number(user)?.to_string(),
        None => image.image.user.clone(),
    };
    let seccomp = match &security.seccomp {
        Seccomp::RuntimeDefault => true,
        Seccomp::Unconfined => false,
        Seccomp::Localhost(profile) => {
            return Err(format!("cannot load seccomp profile \"{profile}\": this runtime has its default alone"));
        }
    };
    let mut env = image.env.clone();
    for (name, value) in &config.env {
        env.retain(|(known, _)| known != name);
        env.push((name.clone(), value.clone()));
    }
    let working_dir = if config.working_dir.is_empty() { &image.working_dir } else { &config.working_dir };
    Ok(Plan {
        env,
        working_dir: working_dir.clone(),
        user,
        gid: security.group.map(number).transpose()?,
        groups: security.supplemental_groups.iter().map(|group| number(*group)).collect::<Result<_, _>>()?,
        capabilities: capabilities(security),
        privileged: security.privileged,
        unmasked: security.unmasked_proc,
        seccomp,
        rlimits: [("NOFILE".to_owned(), (OPEN_FILES, OPEN_FILES))].into(),
        oom_score_adj: config.resources.oom_score_adj,
        ..Plan::default()
    })
}

/// A command replaces both of the image's parts, arguments only the second.
fn arguments(config: &ContainerConfig, image: &Unpacked) -> Vec<String> {
    let (program, args) = match (config.command.is_empty(), config.args.is_empty()) {
        (false, _) => (&config.command, &config.args),
        (true, false) => (&image.entrypoint, &config.args),
        (true, true) => (&image.entrypoint, &image.cmd),
    };
    program.iter().chain(args).cloned().collect()
}

/// The default set, without what is dropped, with what is added. Source: kubelet and containerd
/// `WithCapabilities`: additions win.
fn capabilities(security: &Security) -> Vec<String> {
    let plain = |name: &String| name.to_uppercase().trim_start_matches("CAP_").to_owned();
    let dropped: Vec<String> = security.capabilities_drop.iter().map(plain).collect();
    let added: Vec<String> = security.capabilities_add.iter().map(plain).collect();
    let all = |list: &[String]| list.iter().any(|name| name == "ALL");
    let mut keep: Vec<String> = match all(&added) {
        true => super::inside::privileges::all_capabilities(),
        false if all(&dropped) => Vec::new(),
        false => capabilities::DEFAULT.map(str::to_owned).into(),
    };
    keep.retain(|name| !dropped.contains(name));
    keep.extend(added.into_iter().filter(|name| name != "ALL"));
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::runtime::Image;

    fn image() -> Unpacked {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Unpacked {
            image: Image { name: "i".into(), id: String::new(), size_bytes: 0, user: "web".into() },
            layers: Vec::new(),
            mounts: Vec::new(),
            entrypoint: words(&["serve"]),
            cmd: words(&["--port", "80"]),
            env: vec![("A".into(), "image".into()), ("B".into(), "image".into())],
            working_dir: "/srv".into(),
            stop_signal: String::new(),
        }
    }

    #[test]
    fn what_the_pod_says_comes_over_what_the_image_says() {
        let config = ContainerConfig { env: vec![("A".into(), "pod".into())], ..ContainerConfig::default() };
        let plan = first_process(&config, &image(), Files::default()).unwrap();
        assert_eq!(plan.env, [("B".into(), "image".into()), ("A".into(), "pod".into())]);
        assert_eq!((plan.user.as_str(), plan.working_dir.as_str()), ("web", "/srv"));
        for (command, args, expected) in [
            (vec![], vec![], vec!["serve", "--port", "80"]),
            (vec![], vec!["x"], vec!["serve", "x"]),
            (vec!["sh"], vec![], vec!["sh"]),
            (vec!["sh"], vec!["-c"], vec!["sh", "-c"]),
        ] {
            let words = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
            let config = ContainerConfig { command: words(command), args: words(args), ..ContainerConfig::default() };
            assert_eq!(first_process(&config, &image(), Files::default()).unwrap().args, expected);
        }
    }

    #[test]
    fn capabilities_are_dropped_and_added() {
        let kept = |add: &[&str], drop: &[&str]| {
            let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
            capabilities(&Security {
                capabilities_add: words(add),
                capabilities_drop: words(drop),
                ..Security::default()
            })
        };
        assert_eq!(kept(&["NET_BIND_SERVICE"], &["ALL"]), ["NET_BIND_SERVICE"]);
        assert!(!kept(&[], &["CHOWN"]).contains(&"CHOWN".to_owned()));
        assert!(kept(&["CAP_SYS_TIME"], &[]).contains(&"SYS_TIME".to_owned()));
        assert!(kept(&["ALL"], &["SYS_ADMIN"]).len() > 30);
    }
}
