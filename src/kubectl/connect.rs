//! The cluster of a session: a client, the namespace, and what the cluster serves.

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OnceCell;

use super::failure::{Failure, Result, quote};
use super::flags::Flags;
use super::http::Api;
use super::http::dial::{self, Dials};
use super::kubeconfig::{Chosen, Kubeconfig};
use super::kuberc::Plugins;
use super::mapping::Mapper;
use super::session::{Reach, Session};

/// A cluster, as one call of kubectl sees it.
pub struct Cluster {
    /// The way to its API server.
    pub api: Api,
    /// The namespace in use.
    pub namespace: String,
    /// Whether a flag named the namespace: manifests may then name no other.
    pub namespace_enforced: bool,
    mapper: OnceCell<Mapper>,
}

/// The namespace that flags or the kubeconfig name, and whether a flag did.
///
/// # Errors
/// When the kubeconfig cannot be read.
pub fn namespace(session: &Session, flags: &Flags) -> Result<(String, bool)> {
    let named = flags.some("namespace").filter(|named| !named.is_empty());
    if let (Some(named), false) = (named, flags.client_first) {
        return Ok((named.to_owned(), true));
    }
    let own = match &session.target.client {
        Some(client) if uses_client(flags) => client.default_namespace().to_owned(),
        _ => Kubeconfig::load(session, flags)?.chosen(flags)?.namespace,
    };
    if let Some(named) = named {
        return Ok((named.to_owned(), true));
    }
    Ok((if own.is_empty() { "default".to_owned() } else { own }, false))
}

/// Whether a command asks for its client before it asks for its namespace. It shows only in the words
/// about a context, cluster or user that is not there.
pub fn asks_client_first(path: &str) -> bool {
    const FIRST: [&str; 21] = [
        "create",
        "diff",
        "replace",
        "run",
        "expose",
        "set env",
        "autoscale",
        "wait",
        "explain",
        "auth can-i",
        "auth whoami",
        "cordon",
        "uncordon",
        "drain",
        "top node",
        "certificate",
        "cluster-info",
        "api-resources",
        "api-versions",
        "version",
        "apply",
    ];
    let words = path.strip_prefix("kubectl ").unwrap_or_default();
    let under = |name: &str| words.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    words != "create token" && !words.starts_with("apply ") && FIRST.iter().any(|name| under(name))
}

/// Fails where a flag names a context, cluster or user that is not there, or a group without a user.
///
/// # Errors
/// In client-go's words.
pub fn check(session: &Session, flags: &Flags) -> Result {
    namespace(session, flags)?;
    impersonation(session, flags).map(|_| ())
}

/// Whether the session's own client serves: no flag asks for another cluster or user.
fn uses_client(flags: &Flags) -> bool {
    const OTHER: [&str; 6] = ["kubeconfig", "context", "cluster", "user", "server", "token"];
    !OTHER.iter().any(|flag| flags.given(flag))
}

impl Cluster {
    /// Connects as the session and the flags say. Nothing is sent yet.
    ///
    /// # Errors
    /// When the kubeconfig is unusable or names no cluster.
    pub async fn connect(session: &Session, flags: &Flags) -> Result<Cluster> {
        let (namespace, namespace_enforced) = namespace(session, flags)?;
        let headers = impersonation(session, flags)?;
        let dials = Dials::default();
        let (client, server) = match &session.target.client {
            Some(client) if uses_client(flags) => (client.clone(), "https://playground".to_owned()),
            _ => over_https(session, flags, &headers, &dials).await?,
        };
        // Over HTTPS the client itself carries them, also on connections that change their protocol.
        let own = session.target.client.is_some() && uses_client(flags);
        let headers = if own { headers } else { HeaderMap::new() };
        let timeout = match flags.text("request-timeout") {
            "" | "0" => 0.0,
            text => match text.parse::<u32>() {
                Ok(seconds) => f64::from(seconds),
                Err(_) => super::flags::parse_duration(text).map_err(|_| Failure::new(
                    "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
                ))?,
            },
        };
        let timeout = std::time::Duration::from_secs_f64(timeout.max(0.0));
        let api = Api::new(client, headers, server, session.console.clone(), session.clock);
        let api = api.with(flags.int("v"), session.environment.process, timeout).noted(dials);
        if !own {
            let paths = super::kubeconfig::paths(session, flags);
            let there = paths.iter().filter(|path| session.files.kind(path).is_some());
            api.log_kubeconfigs(there.map(std::path::PathBuf::as_path));
        }
        Ok(Cluster { api, namespace, namespace_enforced, mapper: OnceCell::new() })
    }

    /// What the cluster serves; asked once.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn mapper(&self) -> Result<&Mapper> {
        self.mapper.get_or_try_init(|| Mapper::discover(&self.api)).await
    }
}

async fn over_https(
    session: &Session,
    flags: &Flags,
    headers: &HeaderMap,
    dials: &Dials,
) -> Result<(kube::Client, String)> {
    let mut chosen = Kubeconfig::load(session, flags)?.chosen(flags)?;
    chosen.apply_flags(flags);
    let mut server = chosen.cluster.get("server").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    if !server.is_empty() && !server.contains("://") {
        server = format!("http://{server}");
        chosen.cluster["server"] = server.as_str().into();
    }
    if server.is_empty() {
        let words = "error: no cluster to talk to\n  why: no playground runs, and no kubeconfig names a cluster\n   do: start the playground: tutor serve";
        return Err(Failure::Plain(words.to_owned()));
    }
    within_reach(&session.target.reach, &chosen, &server)?;
    allowed(session, &flags.plugins, &chosen)?;
    let unusable = |why: String| Failure::new(format!("unable to use the kubeconfig: {why}"));
    let options = kube::config::KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(chosen.to_kube()?, &options)
        .await
        .map_err(|fault| unusable(fault.to_string()))?;
    // A watch or a log may be silent for hours; --request-timeout is ours to keep.
    config.read_timeout = None;
    // What is refused is told at once, and asked again when the server says so.
    config.default_retry = false;
    config.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    // What a proxy does with a connection cannot be seen from here.
    let client = if flags.int("v") >= 9 && config.proxy_url.is_none() {
        dial::client(&config, session.clock, dials)
    } else {
        kube::Client::try_from(config)
    };
    Ok((client.map_err(|fault| unusable(fault.to_string()))?, server))
}

/// Refuses to run a program to log in that the preferences do not allow.
fn allowed(session: &Session, plugins: &Plugins, chosen: &Chosen) -> Result {
    let Some(program) = chosen.user.pointer("/exec/command").and_then(serde_json::Value::as_str) else { return Ok(()) };
    let on_path = |name: &str| {
        let folders = std::env::split_paths(session.variable("PATH"));
        let mut files = folders.map(|folder| folder.join(name)).filter(|path| path.is_file());
        if name.contains('/') { Some(std::path::PathBuf::from(name)) } else { files.next() }
    };
    let why = match plugins {
        Plugins::All => return Ok(()),
        Plugins::Only(names) if names.iter().any(|name| name == program || on_path(name) == on_path(program)) => {
            return Ok(());
        }
        Plugins::None => format!("plugin {} not allowed: policy set to \"DenyAll\"", quote(program)),
        Plugins::Only(_) => {
            let path = on_path(program).unwrap_or_else(|| program.into());
            let path = quote(&path.to_string_lossy());
            format!("plugin path {path} is not permitted by the credential plugin allowlist")
        }
    };
    Err(Failure::Unreachable(format!("Unable to connect to the server: getting credentials: {why}")))
}

/// Refuses a server or a way to log in that the session does not reach: a program to run, a file to read.
fn within_reach(reach: &Reach, chosen: &Chosen, server: &str) -> Result {
    let Reach::Only(own) = reach else { return Ok(()) };
    if server.trim_end_matches('/') != own.trim_end_matches('/') {
        return Err(Failure::new(format!("kubectl talks to the playground here ({own}), and to no other server")));
    }
    let is_set = |part: &serde_json::Value, field: &str| part.get(field).is_some_and(|value| !value.is_null());
    let user = ["exec", "auth-provider", "tokenFile", "client-certificate", "client-key"];
    let cluster = ["certificate-authority", "proxy-url"];
    let outside = user.iter().find(|field| is_set(&chosen.user, field));
    match outside.or(cluster.iter().find(|field| is_set(&chosen.cluster, field))) {
        Some(field) => {
            Err(Failure::new(format!("{field} of a kubeconfig is not used here: it reaches out of the playground")))
        }
        None => Ok(()),
    }
}

/// `--as`, `--as-group`, `--as-uid`, `--as-user-extra`, as headers.
fn impersonation(session: &Session, flags: &Flags) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|fault| Failure::new(fault.to_string()))?;
        let value = HeaderValue::from_str(value).map_err(|fault| Failure::new(fault.to_string()))?;
        headers.append(name, value);
        Ok::<(), Failure>(())
    };
    if let Some(user) = flags.some("as").filter(|user| !user.is_empty()) {
        add("impersonate-user", user)?;
    } else if flags.given("as-group") || !flags.global("as-uid").is_empty() {
        let user = match &session.target.client {
            Some(_) if uses_client(flags) => String::new(),
            _ => Kubeconfig::load(session, flags)?.chosen(flags)?.user_name,
        };
        let words = format!("requesting uid, groups or user-extra for {user} without impersonating a user");
        return Err(Failure::new(words));
    }
    if let Some(uid) = flags.some("as-uid").filter(|uid| !uid.is_empty()) {
        add("impersonate-uid", uid)?;
    }
    for group in flags.all("as-group") {
        add("impersonate-group", group)?;
    }
    for pair in flags.all("as-user-extra") {
        if let Some((key, value)) = pair.split_once('=') {
            add(&format!("impersonate-extra-{}", key.to_lowercase()), value)?;
        }
    }
    Ok(headers)
}
