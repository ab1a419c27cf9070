//! Carries out a RUN: its key, what it sees, what it leaves.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::super::cache::{Cache, key};
use super::super::copy::{self, Names, Source, Target};
use super::super::fault::Fault;
use super::super::ignore::Ignore;
use super::super::instruction::{Run, SCRIPT};
use super::super::layer::Entries;
use super::super::mounts::{self, Kind, Mount, Options};
use super::super::reader::Line;
use super::super::view::View;
use super::super::{Command, Kept, Mounted, Network, Progress, Ran, Secret, changes, stages};
use super::{Builder, State, is_proxy};
use crate::images::owners;
use crate::images::packed::plain;
use crate::images::store::Scratch;
use crate::images::unpack::{Limits, unpack};
use crate::registry::{Digest, Written};

/// Where a file or folder to be mounted is put together.
const PLACE: &str = "it";

/// A mount, and for one of files what they are.
struct Seen {
    mount: Mount,
    files: Option<Entries>,
}

/// What a RUN starts.
struct Process<'a> {
    args: Vec<String>,
    env: Vec<(String, String)>,
    network: Network,
    /// The file that it starts, if that is in the Dockerfile.
    script: Option<&'a str>,
}

impl Builder<'_> {
    pub(super) async fn run_step(&mut self, state: &mut State, at: usize, line: &Line, run: &Run) -> Result<(), Fault> {
        let failed = |error: io::Error| Fault::new(line.number, "the layer cannot be written", error.to_string());
        let args = state.words(&run.words);
        let env = state.environment();
        let said: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let config = &state.file.config;
        let mut parts = vec![state.key.to_string(), "run".to_owned(), args.join("\0"), said.join("\0")];
        parts.extend([config.user.clone(), config.working_dir.clone()]);
        let seen = self.seen(state, at, line.number, &run.mounts).await?;
        for Seen { mount, files } in &seen {
            let files = files.as_ref().map(Entries::digest).transpose().map_err(failed)?;
            parts.push(format!("{mount:?} {}", files.map(|digest| digest.to_string()).unwrap_or_default()));
        }
        let network = self.network_of(run, line.number)?;
        parts.extend(run.script.clone());
        let key = key(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        let known = self.known(&key);
        self.begin(&line.text, known.is_some());
        let layer = match known {
            Some(outcome) => outcome.layer,
            None => {
                let process = Process { args, env, network, script: run.script.as_deref() };
                let written = self.run_anew(state, line, process, &seen).await?;
                Cache::of(self.store).put(&key, written.as_ref()).map_err(failed)?;
                written
            }
        };
        state.key = key;
        state.add_history(&line.text, layer.as_ref());
        Ok(())
    }

    /// What this RUN reaches: less than the build, or the same.
    fn network_of(&self, run: &Run, number: usize) -> Result<Network, Fault> {
        match run.network.as_deref() {
            Some("none") => Ok(Network::None),
            None | Some("default") => Ok(self.request.network),
            Some("host") if self.request.network == Network::Host => Ok(Network::Host),
            Some("host") => {
                Err(Fault::new(number, "the RUN would reach this computer", "who builds has to permit that")
                    .hint("tutor image build --network host …"))
            }
            Some(other) => {
                Err(Fault::new(number, "RUN cannot be read", format!("--network={other} is not known here"))
                    .hint("it is none, default or host"))
            }
        }
    }

    /// The layer that the command leaves; none when it changed nothing.
    async fn run_anew(
        &self,
        state: &State,
        line: &Line,
        Process { args, env, network, script }: Process<'_>,
        seen: &[Seen],
    ) -> Result<Option<Written>, Fault> {
        let failed = |error: io::Error| Fault::new(line.number, "the layer cannot be written", error.to_string());
        let view = self.view(state, line.number)?;
        let digests: Vec<String> = state.layers.iter().map(|layer| layer.digest.clone()).collect();
        let layers = self.store.lay_out(&digests, &state.file.rootfs.diff_ids).map_err(failed)?;
        if layers.is_empty() {
            return Err(Fault::new(line.number, "nothing can run", "FROM scratch has no programs")
                .hint("begin with an image that has a shell: FROM tutor/shell:1"));
        }
        let scratch = Scratch::new(&self.store.folder("uploads")).map_err(failed)?;
        let changes = scratch.path().join("changes");
        let mut mounts = self.lay_out(state, seen, scratch.path()).map_err(failed)?;
        let env = self.with_secrets(self.with_proxies(env), seen, line.number)?;
        if let Some(script) = script {
            mounts.push(written(script, scratch.path()).map_err(failed)?);
        }
        let targets: Vec<PathBuf> = mounts.iter().map(|mount| mount.target.clone()).collect();
        let (working_dir, user) = (state.file.config.working_dir.clone(), state.file.config.user.clone());
        let told = args.join(" ");
        let to = changes.clone();
        let command = Command { layers, args, env, working_dir, user, network, mounts, changes: to };
        let report = self.report;
        let ran = self.runner.run(command, &move |text| report(Progress::Said(text))).await;
        let Ran { code, kept } = ran.map_err(|error| Fault::from_error(line.number, error))?;
        if code != 0 {
            return Err(Fault::new(line.number, format!("the command ended with exit code {code}"), told).hint(
                match network {
                    Network::None => "what it printed is above; with --network none a RUN reaches nobody",
                    _ => "what it printed is above; a RUN reaches others by the proxy that http_proxy names, and no name server",
                },
            ));
        }
        for target in &targets {
            take_away(&changes, target, &view);
        }
        let entries = match kept {
            Kept::Changes => changes::entries(&changes, &view),
            Kept::Whole => changes::between(&changes, &view),
        };
        let entries = entries.map_err(failed)?;
        if entries.is_empty() {
            return Ok(None);
        }
        entries.write(self.store).map(Some).map_err(failed)
    }

    /// What is mounted, and the files of it that are copied.
    async fn seen(&mut self, state: &State, at: usize, number: usize, all: &[Options]) -> Result<Vec<Seen>, Fault> {
        let wrong = |why: String| Fault::new(number, "the RUN sees no such files", why);
        let mut seen = Vec::new();
        for options in all {
            let expand = |(name, value): &(String, String)| Ok((name.clone(), self.expand(state, number, value)?));
            let options = options.iter().map(expand).collect::<Result<Options, Fault>>()?;
            let mount = mounts::read(&options).map_err(|why| Fault::new(number, "RUN cannot be read", why))?;
            let Kind::Bind { from, source } = &mount.kind else {
                seen.push(Seen { mount, files: None });
                continue;
            };
            let (view, called) = match from {
                None => (View::of(&self.request.context), "the context".to_owned()),
                Some(from) => {
                    let base = stages::source(from, at, &self.stages.list, number)?;
                    let other = self.base(&base, number).await?;
                    (self.view(&other, number)?, format!("the files of {from}"))
                }
            };
            let none = Ignore::default();
            let ignore = if from.is_none() { &self.ignore } else { &none };
            let source = if source.is_empty() { "." } else { source };
            let (empty, to) = (View::new(Vec::new()), format!("/{PLACE}"));
            let exclude = Ignore::default();
            let target = Target {
                view: &empty,
                to: &to,
                owner: None,
                mode: None,
                scratch: None,
                exclude: &exclude,
                names: Names::Alone,
            };
            let source_files = Source { view: &view, ignore, called };
            let files = copy::entries(&source_files, &[source.to_owned()], Vec::new(), &target);
            let files = files.map_err(|(why, hint)| {
                let fault = wrong(why);
                if hint.is_empty() { fault } else { fault.hint(hint) }
            })?;
            seen.push(Seen { mount, files: Some(files) });
        }
        Ok(seen)
    }

    /// Makes what is mounted, in a folder that is thrown away; what is kept for the next build is elsewhere.
    fn lay_out(&self, state: &State, seen: &[Seen], scratch: &Path) -> io::Result<Vec<Mounted>> {
        let lay_out = |(number, Seen { mount, files }): (usize, &Seen)| {
            let own = scratch.join(format!("mount-{number}"));
            if let Kind::Secret { id, mode, file, .. } = &mount.kind {
                let Some(secret) = self.secret(id).filter(|_| *file) else { return Ok(None) };
                // First nobody else's, then what is in it.
                let created = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&own)?;
                { &created }.write_all(&secret.content)?;
                created.set_permissions(Permissions::from_mode(*mode))?;
                let target = clean(&state.absolute(&mount.target));
                return Ok(Some(Mounted { source: own, target, read_only: true }));
            }
            let source = match (&mount.kind, files) {
                (_, Some(files)) => {
                    fs::create_dir_all(&own)?;
                    let layer = files.write(self.store)?;
                    let limits = Limits::of_packed(layer.size);
                    unpack(plain(File::open(self.store.content.path(&layer.digest))?)?, &own, limits)?;
                    own.join(PLACE)
                }
                (Kind::Cache { id, made }, None) => self.kept(id, *made)?,
                (_, None) => {
                    fs::create_dir_all(&own)?;
                    fs::set_permissions(&own, Permissions::from_mode(0o1777))?;
                    own
                }
            };
            let target = clean(&state.absolute(&mount.target));
            Ok(Some(Mounted { source, target, read_only: !mount.writable }))
        };
        seen.iter().enumerate().filter_map(|seen| lay_out(seen).transpose()).collect()
    }

    /// A folder that the next build finds as this one left it.
    fn kept(&self, id: &str, made: (u32, u32, u32)) -> io::Result<PathBuf> {
        let name = if made == mounts::MADE { id.to_owned() } else { format!("{id} {made:?}") };
        let kept = self.store.folder("build-mounts").join(Digest::of(name.as_bytes()).hex());
        if !kept.exists() {
            let (mode, user, group) = made;
            fs::create_dir_all(&kept)?;
            owners::give(&kept, (user, group))?;
            fs::set_permissions(&kept, Permissions::from_mode(mode))?;
        }
        Ok(kept)
    }

    fn secret(&self, id: &str) -> Option<&Secret> {
        self.request.secrets.iter().rfind(|secret| secret.id == id)
    }

    /// The environment, and the proxies that were given to the build.
    fn with_proxies(&self, mut env: Vec<(String, String)>) -> Vec<(String, String)> {
        for (name, value) in self.request.arguments.iter().filter(|(name, _)| is_proxy(name)) {
            if !env.iter().any(|(known, _)| known == name) {
                env.push((name.clone(), value.clone()));
            }
        }
        env
    }

    /// The environment, and the secrets that are asked for as variables.
    fn with_secrets(
        &self,
        mut env: Vec<(String, String)>,
        seen: &[Seen],
        number: usize,
    ) -> Result<Vec<(String, String)>, Fault> {
        for Seen { mount, .. } in seen {
            let Kind::Secret { id, required, variable, .. } = &mount.kind else { continue };
            match (self.secret(id), variable) {
                (None, _) if *required => {
                    return Err(Fault::new(
                        number,
                        format!("the RUN needs the secret {id}"),
                        "the build was given none",
                    )
                    .hint(format!("tutor image build --secret id={id},src=FILE …")));
                }
                (Some(secret), Some(variable)) => {
                    env.retain(|(known, _)| known != variable);
                    env.push((variable.clone(), String::from_utf8_lossy(&secret.content).into_owned()));
                }
                _ => {}
            }
        }
        Ok(env)
    }
}

/// A script as a file that can be started.
fn written(script: &str, scratch: &Path) -> io::Result<Mounted> {
    let source = scratch.join("script");
    fs::write(&source, script)?;
    fs::set_permissions(&source, Permissions::from_mode(0o755))?;
    Ok(Mounted { source, target: SCRIPT.into(), read_only: true })
}

/// A path without `.` and `..`.
pub(super) fn clean(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => _ = clean.pop(),
            _ => {}
        }
    }
    clean
}

/// Takes away what was only made to mount something on: the image below does not have it, and there is nothing in it.
fn take_away(changes: &Path, target: &Path, below: &View) {
    let inside = target.strip_prefix("/").unwrap_or(target);
    for path in inside.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        if below.look(path).is_some() {
            return;
        }
        let made = changes.join(path);
        // What has something in it stays.
        let gone = match fs::symlink_metadata(&made) {
            Ok(there) if there.is_dir() => fs::remove_dir(&made),
            Ok(there) if there.is_file() && there.len() == 0 => fs::remove_file(&made),
            _ => return,
        };
        if gone.is_err() {
            return;
        }
    }
}
