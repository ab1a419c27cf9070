//! Random flags: command lines made of both kubectls' own flag tables, valid and not, told in the same
//! words by both. `TUTOR_LONG=1` tries many more; `TUTOR_SEED=N` begins elsewhere.

use std::collections::BTreeMap;
use std::process::Command;

use regex::Regex;

use crate::kubectl_differential::Pair;
use crate::served::{Served, ended, with_kubectl};

/// Commands, and words with which each of them does something.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "get",
        &["pods", "deploy web", "deploy/web", "cm", "nodes", "svc,deploy", "sa default", "nothing", "-f web.yaml", ""],
    ),
    ("describe", &["deploy web", "cm", "sa default", "nothing"]),
    ("create", &["-f folder/a.yaml", "", "-f web.yaml"]),
    ("create deployment", &["x --image=a", "x", ""]),
    ("create configmap", &["x --from-literal=a=b", "x"]),
    ("create secret generic", &["x --from-literal=a=b"]),
    ("create role", &["x --verb=get --resource=pods", "x"]),
    ("create rolebinding", &["x --clusterrole=view --user=u"]),
    ("create service clusterip", &["x --tcp=80"]),
    ("create service nodeport", &["x --tcp=80:8080"]),
    ("create job", &["x --image=a"]),
    ("create cronjob", &["x --image=a --schedule='* * * * *'"]),
    ("create ingress", &["x --rule=a/b=c:80"]),
    ("create quota", &["x --hard=pods=1"]),
    ("create poddisruptionbudget", &["x --selector=a=b --min-available=1"]),
    ("create serviceaccount", &["x"]),
    ("create namespace", &["{ns}-x"]),
    ("create token", &["missing"]),
    ("create secret docker-registry", &["x --docker-username=a --docker-password=b"]),
    ("apply", &["-f folder", "-f web.yaml", "-f folder/a.yaml", ""]),
    ("apply view-last-applied", &["deploy web", "cm/folder-a"]),
    ("diff", &["-f web.yaml", "-f folder/a.yaml"]),
    ("replace", &["-f folder/a.yaml", "-f missing.yaml"]),
    ("patch", &["deploy web -p {}", "deploy web"]),
    ("delete", &["cm missing", "cm folder-b", "-f folder/b.json", "sa x", ""]),
    ("run", &["x --image=a", "x"]),
    ("expose", &["deploy web", "deploy web --name=y --port=81"]),
    ("set env", &["deploy/web A=1", "deploy/web --list"]),
    ("set image", &["deploy/web web=tutor/web:2"]),
    ("set resources", &["deploy web --limits=cpu=1"]),
    ("set serviceaccount", &["deploy web default"]),
    ("set subject", &["rolebinding x --user=a"]),
    ("label", &["deploy web a=b", "cm --all c=d", "deploy web a-"]),
    ("annotate", &["deploy web a=b", "cm --all c=d"]),
    ("scale", &["deploy web --replicas=2", "deploy web"]),
    ("autoscale", &["deploy web --max=3"]),
    ("rollout status", &["deploy/web"]),
    ("rollout history", &["deploy/web", "deploy"]),
    ("rollout pause", &["deploy/web"]),
    ("rollout resume", &["deploy/web"]),
    ("rollout restart", &["deploy/web"]),
    ("wait", &["deploy/web --for=condition=Available", "cm/missing --for=delete", "sa/default --for=create"]),
    ("logs", &["missing", ""]),
    ("exec", &["missing -- ls", ""]),
    ("events", &["--for=deploy/nothing"]),
    ("explain", &["pods", "deploy.spec", "nothing"]),
    ("auth can-i", &["get pods", "create"]),
    ("auth whoami", &[""]),
    ("auth reconcile", &["-f web.yaml"]),
    ("cordon", &["missing"]),
    ("drain", &["missing"]),
    ("taint", &["node missing a=b:NoSchedule", "node missing"]),
    ("top node", &[""]),
    ("top pod", &[""]),
    ("certificate approve", &["missing"]),
    ("cluster-info", &[""]),
    ("api-resources", &[""]),
    ("api-versions", &[""]),
    ("version", &[""]),
    ("config view", &[""]),
    ("config get-contexts", &[""]),
    ("config get-clusters", &[""]),
    ("config set-cluster", &["b --kubeconfig={home}/d"]),
    ("config set-credentials", &["c --kubeconfig={home}/d"]),
    ("config set-context", &["c --kubeconfig={home}/d"]),
    ("config use-context", &["c --kubeconfig={home}/d"]),
    ("cp", &["missing:/x {home}/y"]),
    ("kustomize", &["kust/over", "missing"]),
    ("debug", &["missing --image=a"]),
    ("attach", &["missing"]),
    ("port-forward", &["missing 1:2"]),
];

/// Flags that are left out: with them a command does not end, reaches outside of the test's folder, asks
/// a person, or says what the other run cannot say.
const LEFT_OUT: &[&str] = &[
    "watch",
    "watch-only",
    "follow",
    "interactive",
    "edit",
    "stdin",
    "tty",
    "attach",
    "rm",
    "leave-stdin-open",
    "v",
    "vmodule",
    "profile",
    "profile-output",
    "log-flush-frequency",
    "cache-dir",
    "kuberc",
    "server",
    "proxy-url",
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tls-server-name",
    "kubeconfig",
    "raw",
    "help",
    "pod-running-timeout",
    "output-watch-events",
    "request-timeout",
    "disable-compression",
    "match-server-version",
    "windows-line-endings",
    "as-user-extra",
    "password",
    "username",
    "insecure-skip-tls-verify",
    "token",
    "output-directory",
    "prune",
    "prune-allowlist",
    "applyset",
    "show-managed-fields",
    "force",
    "template",
    "overrides",
    "prefix",
    "load-restrictor",
    "helm-command",
    "enable-helm",
    "mount",
    "network",
    "show-events",
    "concurrency",
    "kustomize",
    "recursive",
    "server-side",
    "custom",
    "resource-version",
    "exec-env",
    "embed-certs",
    "chunk-size",
];

/// Values that say something to these flags; others get any.
const VALUES: &[(&str, &[&str])] = &[
    ("output", &["yaml", "json", "name", "wide", "jsonpath={.metadata.name}", "nothing", "kyaml"]),
    ("selector", &["app=web", "a=b", "'a in (b'", "'!x'", "'a in (b,c)'"]),
    ("field-selector", &["metadata.name=web", "x=y", "x"]),
    ("sort-by", &[".metadata.name", "x"]),
    ("dry-run", &["client", "server", "none", "x", "true", "''"]),
    ("cascade", &["background", "orphan", "foreground", "x"]),
    ("namespace", &["{ns}", "missing"]),
    ("as", &["somebody"]),
    ("as-group", &["team"]),
    ("filename", &["folder/a.yaml", "missing.yaml"]),
    ("validate", &["strict", "warn", "ignore", "x"]),
    ("subresource", &["status", "scale", "x"]),
    ("type", &["merge", "json", "strategic", "x"]),
    ("for", &["delete", "condition=Ready", "x"]),
    ("image", &["a", "b:1", "B!"]),
    ("port", &["80", "x"]),
    ("restart", &["Never", "Always", "x"]),
    ("timeout", &["1s", "0", "x", "5"]),
    ("api-version", &["apps/v1", "v1", "x"]),
    ("types", &["Normal", "x"]),
];

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % count as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// True in so many of a hundred cases.
    fn in_a_hundred(&mut self, cases: usize) -> bool {
        self.below(100) < cases
    }
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    Number,
    Time,
    Text,
}

/// A flag's letter, and what it takes.
type Table = BTreeMap<String, (Option<char>, Takes)>;

/// The flags that a `--help` tells, the real one's form and ours.
fn told(help: &str, table: &mut Table) {
    let real = Regex::new(r"^    (?:-(\S), )?\s*--([\w-]+)=(.*?):?$").unwrap();
    let ours = Regex::new(r"^  (?:-(\S), |    )--([\w-]+)(\[=TEXT\]| N| TIME| KEY=VALUE| TEXT)?(?:  |$)").unwrap();
    let time = Regex::new(r"^[\dhms]+s$").unwrap();
    for line in help.lines() {
        let (found, takes) = if let Some(found) = real.captures(line) {
            let takes = match &found[3] {
                "true" | "false" => Takes::Nothing,
                default if default.parse::<i64>().is_ok() => Takes::Number,
                default if time.is_match(default) => Takes::Time,
                _ => Takes::Text,
            };
            (found, takes)
        } else if let Some(found) = ours.captures(line) {
            let takes = match found.get(3).map(|takes| takes.as_str()) {
                None => Takes::Nothing,
                Some(" N") => Takes::Number,
                Some(" TIME") => Takes::Time,
                Some(_) => Takes::Text,
            };
            (found, takes)
        } else {
            continue;
        };
        let letter = found.get(1).and_then(|letter| letter.as_str().chars().next());
        if !LEFT_OUT.contains(&&found[2]) {
            table.insert(found[2].to_owned(), (letter, takes));
        }
    }
}

/// The flags of a command, by both programs' own tables.
fn table(play: &Served, words: &str) -> Table {
    let mut table = Table::new();
    for (program, first) in [(play.program(), None), (env!("CARGO_BIN_EXE_tutor").into(), Some("kubectl"))] {
        let mut command = Command::new(program);
        command.args(first).args(words.split(' ')).stdin(std::process::Stdio::piped());
        let command = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        told(&ended(command, "").out, &mut table);
    }
    table
}

fn value(dice: &mut Dice, name: &str, takes: Takes) -> String {
    let known = VALUES.iter().find(|(known, _)| *known == name).map(|(_, values)| *values);
    let values: &[&str] = known.unwrap_or(match takes {
        Takes::Nothing => &["true", "false", "maybe", "1", "''"],
        Takes::Number => &["0", "1", "-1", "3", "x", "1.5"],
        Takes::Time => &["0s", "1s", "5", "x", "1m"],
        Takes::Text => &["x", "''", "a=b", "web", "1", "a,b"],
    });
    (*dice.of(values)).to_owned()
}

/// One flag, in one of the forms in which it may be written, or a little wrong.
fn flag(dice: &mut Dice, table: &Table) -> Option<String> {
    let names: Vec<&String> = table.keys().collect();
    if names.is_empty() {
        return None;
    }
    let name = *dice.of(&names);
    let (letter, takes) = table[name];
    let value = value(dice, name, takes);
    let name = if dice.in_a_hundred(5) { format!("{name}x") } else { name.clone() };
    let form = dice.below(100);
    Some(match (letter, takes) {
        (_, Takes::Nothing) if form < 60 => format!("--{name}"),
        (Some(letter), Takes::Nothing) if form < 75 => format!("-{letter}"),
        (_, Takes::Nothing) => format!("--{name}={value}"),
        (Some(letter), _) if form < 30 => format!("-{letter} {value}"),
        _ if form < 70 => format!("--{name}={value}"),
        _ => format!("--{name} {value}"),
    })
}

#[test]
fn the_same_flags_go_with_every_command() {
    let Some(play) = with_kubectl() else { return };
    let names = |command: &mut Command| {
        let command = command.arg("options").stdin(std::process::Stdio::piped());
        let command = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let printed = ended(command, "");
        assert_eq!(printed.code, 0, "{printed:?}");
        let flag = Regex::new(r"(?m)^ +(?:-(\w), )?--([a-z-]+)").unwrap();
        let named = |found: regex::Captures<'_>| {
            let letter = found.get(1).map_or("", |letter| letter.as_str());
            (found[2].to_owned(), letter.to_owned())
        };
        flag.captures_iter(&printed.out).map(named).collect::<BTreeMap<_, _>>()
    };
    let real = names(&mut Command::new(play.program()));
    let ours = names(Command::new(env!("CARGO_BIN_EXE_tutor")).arg("kubectl"));
    assert!(real.len() > 20, "{real:?}");
    assert_eq!(real, ours);
}

#[test]
fn random_flags_are_told_in_the_same_words() {
    let Some(play) = with_kubectl() else { return };
    let long = std::env::var_os("TUTOR_LONG").is_some();
    let count = if long { 2000 } else { 60 };
    let seed = std::env::var("TUTOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let pair = Pair::of(&play);
    for line in ["apply -f web.yaml", "apply -f folder", "rollout status deploy/web --timeout=60s"] {
        assert_eq!(pair.difference(line), None);
    }
    let mut dice = Dice(seed);
    let mut tables = BTreeMap::new();
    let every = table(&play, "options");
    let mut faults = Vec::new();
    for _ in 0..count {
        let (command, beginnings) = dice.of(COMMANDS);
        let own = tables.entry(*command).or_insert_with(|| table(&play, &format!("{command} --help")));
        let beginning = *dice.of(beginnings);
        let (beginning, ending) = match beginning.split_once("-- ") {
            Some((beginning, ending)) => (beginning, format!(" -- {ending}")),
            None => (beginning, String::new()),
        };
        let mut line = format!("{command} {}", beginning.trim()).trim().to_owned();
        for _ in 0..=dice.below(3) {
            let table = if own.is_empty() || dice.in_a_hundred(10) { &every } else { &*own };
            if let Some(flag) = flag(&mut dice, table) {
                line = format!("{line} {flag}");
            }
        }
        faults.extend(pair.difference(&format!("{line}{ending}")));
    }
    assert!(faults.is_empty(), "{} of {count} lines differ (seed {seed}):\n{}", faults.len(), faults.join("\n"));
}
