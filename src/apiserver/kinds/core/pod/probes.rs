//! What is wrong with a container's probes and lifecycle hooks, and the handlers they share.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{FieldError, check, names};

/// The kinds of handler a probe may have.
const OF_PROBES: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc"];

/// The kinds of handler a hook may have.
const OF_HOOKS: &[&str] = &["exec", "httpGet", "tcpSocket", "sleep"];

fn handler(handler: &Value, kinds: &[&str], path: &str, grace: Option<i64>) -> Vec<FieldError> {
    let mut set = kinds.iter().filter(|kind| handler.has(kind));
    let Some(kind) = set.next() else {
        return vec![FieldError::required(path, "must specify a handler type")];
    };
    let own = handler.at(kind);
    let at = format!("{path}.{kind}");
    let mut errors = match *kind {
        "exec" if own.items("command").is_empty() => vec![FieldError::required(format!("{at}.command"), "")],
        "exec" => Vec::new(),
        "httpGet" => http_get(own, &at),
        "tcpSocket" => port_or_name(own.at("port"), &format!("{at}.port")),
        "grpc" => port_or_name(own.at("port"), &format!("{at}.port")),
        _ => sleep(own, grace, &at).into_iter().collect(),
    };
    let detail = "may not specify more than 1 handler type";
    errors.extend(set.map(|kind| FieldError::forbidden(format!("{path}.{kind}"), detail)));
    errors
}

fn http_get(action: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = check::required(action, &["path"], path);
    errors.extend(port_or_name(action.at("port"), &format!("{path}.port")));
    errors.extend(super::spec::supported(action, "scheme", path, &["HTTP", "HTTPS"]));
    for header in action.items("httpHeaders") {
        let name = header.text("name");
        errors.extend(check::faults(format!("{path}.httpHeaders"), name, names::http_header_name(name)));
    }
    errors
}

fn sleep(action: &Value, grace: Option<i64>, path: &str) -> Option<FieldError> {
    let (seconds, grace) = (action.int("seconds").unwrap_or(0), grace?);
    let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
    (!(0..=grace).contains(&seconds)).then(|| FieldError::invalid(path, seconds, detail))
}

/// What is wrong with a port that is a number or the name of one.
pub fn port_or_name(port: &Value, path: &str) -> Vec<FieldError> {
    match port {
        Value::String(name) => check::faults(path, name, names::port_name(name)).collect(),
        other => {
            let number = other.as_i64().unwrap_or(0);
            names::port_number(number).into_iter().map(|fault| FieldError::invalid(path, number, fault)).collect()
        }
    }
}

const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

fn stop_signal(signal: &str, os: &str, path: &str) -> Option<FieldError> {
    let known = match os {
        "" => return Some(FieldError::forbidden(path, "may not be set for containers with empty `spec.os.name`")),
        "windows" => &["SIGKILL", "SIGTERM"][..],
        "linux" => SIGNALS,
        _ => return None,
    };
    (!known.contains(&signal)).then(|| FieldError::not_supported(path, signal, known))
}

/// What is wrong with `lifecycle`: its hooks. `os` is the Pod's system where it names one.
pub fn lifecycle(lifecycle: &Value, path: &str, grace: Option<i64>, os: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = ["postStart", "preStop"]
        .into_iter()
        .filter(|which| lifecycle.has(which))
        .flat_map(|which| handler(lifecycle.at(which), OF_HOOKS, &format!("{path}.{which}"), grace))
        .collect();
    if lifecycle.has("stopSignal") {
        errors.extend(stop_signal(lifecycle.text("stopSignal"), os, &format!("{path}.stopSignal")));
    }
    errors
}

/// What is wrong with a probe; `which` is its field, such as `livenessProbe`.
pub fn probe(probe: &Value, path: &str, which: &str) -> Vec<FieldError> {
    if probe.is_null() {
        return Vec::new();
    }
    let mut errors = handler(probe, OF_PROBES, path, None);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        errors.extend(non_negative(probe.int(field).unwrap_or(0), &format!("{path}.{field}")));
    }
    if let Some(grace) = probe.int("terminationGracePeriodSeconds") {
        let at = format!("{path}.terminationGracePeriodSeconds");
        if grace <= 0 {
            errors.push(FieldError::invalid(at.as_str(), grace, "must be greater than 0"));
        }
        if which == "readinessProbe" {
            errors.push(FieldError::invalid(at, grace, "must not be set for readinessProbes"));
        }
    }
    let successes = probe.int("successThreshold").unwrap_or(1);
    if which != "readinessProbe" && successes != 1 {
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), successes, "must be 1"));
    }
    errors
}
