//! Carries out the stages of a Dockerfile, one instruction after another.
//!
//! In: [`Stages`]. Out: the image in the store. A stage's [`State`] is its configuration so far, its layers, and the
//! key of the last one: a step's key is made of the key below it and of all that the step depends on, so that
//! a change anywhere leaves only what is above it to be done again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::cache::{Cache, Outcome, key};
use super::fault::Fault;
use super::ignore::Ignore;
use super::instruction::{self, Instruction, Words};
use super::layer::Entries;
use super::reader::{self, Line};
use super::stages::{Base, Stages};
use super::view::View;
use super::words::Expander;
use super::{Cached, Progress, Report, Request, Runner, meaning};
use crate::images::manifest::{
    Descriptor, History, ImageFile, MANIFEST_MAX, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, architecture,
};
use crate::images::name::ImageName;
use crate::images::pull::Registries;
use crate::images::store::{Store, Stored};
use crate::registry::{Digest, Written};

mod files;
mod run;

/// Where programs are looked for when an image does not say. Source: Docker's default.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What reads a line when an image does not say.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Arguments that every RUN sees without an ARG, and no key has. Source: the Dockerfile reference, "Predefined ARGs".
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// A build under way.
pub struct Builder<'a> {
    registries: &'a Registries,
    store: &'a Store,
    runner: &'a dyn Runner,
    request: &'a Request,
    report: Report<'a>,
    ignore: Ignore,
    stages: Stages,
    done: BTreeMap<usize, State>,
    step: usize,
    /// Steps that no line of the Dockerfile says: those that images left for whoever builds on them.
    triggers: usize,
    /// `--build-arg`s that an ARG asked for.
    asked: BTreeSet<String>,
}

/// A stage so far.
#[derive(Clone, Debug)]
struct State {
    file: ImageFile,
    layers: Vec<Descriptor>,
    key: Digest,
    /// ARGs that were declared.
    arguments: BTreeMap<String, String>,
    /// This stage, and not its base, said what to start.
    own_cmd: bool,
}

impl<'a> Builder<'a> {
    /// A build of these stages.
    pub fn new(
        registries: &'a Registries,
        runner: &'a dyn Runner,
        request: &'a Request,
        report: Report<'a>,
        ignore: Ignore,
        stages: Stages,
    ) -> Self {
        let (done, asked) = (BTreeMap::new(), BTreeSet::new());
        let store = registries.store();
        Builder { registries, store, runner, request, report, ignore, stages, done, step: 0, triggers: 0, asked }
    }

    /// Builds what is needed, and gives the wanted stage its name.
    pub async fn run(&mut self) -> Result<Stored, Fault> {
        for at in self.stages.needed.clone() {
            let state = self.stage(at).await?;
            self.done.insert(at, state);
        }
        for (name, _) in &self.request.arguments {
            let is_known = self.asked.contains(name) || self.stages.globals.contains_key(name) || is_proxy(name);
            if !is_known {
                (self.report)(Progress::Warning(&format!("no ARG asks for --build-arg {name}")));
            }
        }
        let state = &self.done[&self.stages.target];
        self.record(state).map_err(|error| {
            Fault::new(
                self.stages.list[self.stages.target].line.number,
                "the image cannot be written",
                error.to_string(),
            )
        })
    }

    fn record(&self, state: &State) -> Result<Stored, crate::error::Error> {
        let failed = |error: io::Error| crate::error::Error::new("the store cannot be written", error.to_string());
        let json = |error: serde_json::Error| failed(io::Error::other(error));
        let write = |bytes: Vec<u8>| self.store.content.write(bytes.as_slice(), None).map_err(failed);
        let config = write(serde_json::to_vec(&state.file).map_err(json)?)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            config: Some(described(OCI_CONFIG, &config)),
            layers: state.layers.clone(),
            manifests: Vec::new(),
        };
        let manifest = write(serde_json::to_vec(&manifest).map_err(json)?)?;
        self.store.record(&self.request.name, &manifest.digest)
    }

    async fn stage(&mut self, at: usize) -> Result<State, Fault> {
        let (line, base) = (self.stages.list[at].line.clone(), self.stages.list[at].base.clone());
        self.begin(&line.text, false);
        let mut state = self.base(&base, line.number).await?;
        state.own_cmd = false;
        self.pull_triggers(&mut state, at, line.number).await?;
        for number in 0..self.stages.list[at].steps.len() {
            let (line, instruction) = self.stages.list[at].steps[number].clone();
            self.carry_out(&mut state, at, &line, &instruction).await?;
        }
        Ok(state)
    }

    /// Carries out what the image below left for whoever builds on it; the next one finds nothing left.
    async fn pull_triggers(&mut self, state: &mut State, at: usize, number: usize) -> Result<(), Fault> {
        let mut steps = Vec::new();
        for trigger in std::mem::take(&mut state.file.config.on_build) {
            // As its own Dockerfile had it, whatever escapes here.
            for line in reader::read(&trigger).map_err(|fault| fault.at(number))?.lines {
                let line = Line { number, ..line };
                let instruction = instruction::read(&line, '\\')?;
                steps.push((line, instruction));
            }
        }
        self.triggers += steps.len();
        for (line, instruction) in steps {
            self.carry_out(state, at, &line, &instruction).await?;
        }
        Ok(())
    }

    /// Says that a step begins.
    fn begin(&mut self, text: &str, cached: bool) {
        self.step += 1;
        let total: usize = self.stages.needed.iter().map(|at| 1 + self.stages.list[*at].steps.len()).sum();
        let total = total + self.triggers;
        (self.report)(Progress::Step { number: self.step, total, text, cached });
    }

    /// Builds a stage that nothing in the Dockerfile needs: an image's own instruction asks for it.
    fn late(&mut self, stage: usize) -> BoxFuture<'_, Result<State, Fault>> {
        self.stages.needed.insert(stage);
        async move {
            let state = self.stage(stage).await?;
            self.done.insert(stage, state.clone());
            Ok(state)
        }
        .boxed()
    }

    async fn base(&mut self, base: &Base, number: usize) -> Result<State, Fault> {
        match base {
            Base::Stage(stage) => match self.done.get(stage) {
                Some(state) => Ok(state.clone()),
                None => self.late(*stage).await,
            },
            Base::Scratch => {
                let mut file =
                    ImageFile { architecture: architecture().into(), os: "linux".into(), ..ImageFile::default() };
                file.rootfs.kind = "layers".to_owned();
                let (layers, arguments) = (Vec::new(), BTreeMap::new());
                Ok(State { file, layers, key: key(&["scratch"]), arguments, own_cmd: false })
            }
            Base::Image(name) => {
                let fault = |error| Fault::from_error(number, error);
                let parsed = ImageName::parse(name).map_err(|why| {
                    Fault::new(number, format!("{name} is no image's name"), why).hint("write it as REPOSITORY:TAG")
                })?;
                let image = match self.registries.find(&parsed) {
                    Some(image) => image,
                    None => self.registries.pull(&parsed, None).await.map_err(|error| {
                        fault(error)
                            .hint("see which images are here: tutor image ls")
                            .hint("or begin with one of the course's: FROM tutor/shell:1")
                    })?,
                };
                let file = self.store.config(&image).map_err(fault)?;
                let unreadable = |why: String| Fault::new(number, format!("{name} is damaged"), why);
                let digest = Digest::parse(&image.manifest).ok_or_else(|| unreadable("no digest".to_owned()))?;
                let bytes = self.store.content.read(&digest, MANIFEST_MAX).map_err(|it| unreadable(it.to_string()))?;
                let layers = Manifest::parse(&bytes).map_err(unreadable)?.layers;
                let key = key(&["image", &image.layers.join(" ")]);
                Ok(State { file, layers, key, arguments: BTreeMap::new(), own_cmd: false })
            }
        }
    }

    async fn carry_out(
        &mut self,
        state: &mut State,
        at: usize,
        line: &Line,
        instruction: &Instruction,
    ) -> Result<(), Fault> {
        let number = line.number;
        match instruction {
            Instruction::Run(run) => return self.run_step(state, at, line, run).await,
            Instruction::Copy(copy) => return self.copy_step(state, at, line, copy).await,
            Instruction::Workdir(to) => {
                let to = self.expand(state, number, to)?;
                return self.workdir(state, line, &to);
            }
            Instruction::Arg(arguments) => self.declare(state, number, arguments)?,
            instruction => self.configure(state, number, instruction)?,
        }
        self.begin(&line.text, false);
        state.add_history(&line.text, None);
        Ok(())
    }

    /// An ARG: the value given, else its default, else what the ARG of this name before FROM says.
    fn declare(&mut self, state: &mut State, number: usize, all: &[(String, Option<String>)]) -> Result<(), Fault> {
        for (name, default) in all {
            self.asked.insert(name.clone());
            let given = self.request.arguments.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.clone());
            let value = match (given, default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.expand(state, number, default)?),
                (None, None) => self.stages.globals.get(name).cloned(),
            };
            state.arguments.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(())
    }

    fn configure(&self, state: &mut State, number: usize, instruction: &Instruction) -> Result<(), Fault> {
        let wrong = |why: String| Fault::new(number, "the instruction makes no sense", why);
        let expand = |state: &State, word: &str| self.expand(state, number, word);
        match instruction {
            Instruction::Env(pairs) => {
                // All values are those from before this line. Source: the Dockerfile reference.
                let before = state.clone();
                for (name, value) in pairs {
                    let (name, value) = (expand(&before, name)?, expand(&before, value)?);
                    let (start, env) = (format!("{name}="), &mut state.file.config.env);
                    // Another value takes the place of the former.
                    match env.iter_mut().find(|known| known.starts_with(&start)) {
                        Some(known) => *known = format!("{start}{value}"),
                        None => env.push(format!("{start}{value}")),
                    }
                }
            }
            Instruction::Label(pairs) => {
                for (name, value) in pairs {
                    let (name, value) = (expand(state, name)?, expand(state, value)?);
                    state.file.config.labels.insert(name, value);
                }
            }
            Instruction::User(user) => state.file.config.user = expand(state, user)?,
            Instruction::Cmd(words) => {
                state.file.config.cmd = state.words(words);
                state.own_cmd = true;
            }
            Instruction::Entrypoint(words) => {
                state.file.config.entrypoint = state.words(words);
                if !state.own_cmd {
                    state.file.config.cmd.clear();
                }
            }
            Instruction::Expose(words) => {
                for word in words {
                    let ports = meaning::ports(&expand(state, word)?).map_err(wrong)?;
                    state.file.config.exposed_ports.extend(ports.into_iter().map(|port| (port, json!({}))));
                }
            }
            Instruction::Volume(paths) => {
                for path in paths {
                    let path = expand(state, path)?;
                    state.file.config.volumes.insert(path, json!({}));
                }
            }
            Instruction::StopSignal(signal) => state.file.config.stop_signal = expand(state, signal)?,
            Instruction::Healthcheck(check) => {
                state.file.config.healthcheck = Some(meaning::health(check.as_ref()).map_err(wrong)?);
            }
            Instruction::Shell(words) => state.file.config.shell = words.clone(),
            Instruction::Onbuild(later) => state.file.config.on_build.push(later.clone()),
            Instruction::Maintainer(name) => {
                let plain = name.trim_matches('"');
                let instead = format!("LABEL org.opencontainers.image.authors=\"{plain}\"");
                (self.report)(Progress::Warning(&format!("Docker has given MAINTAINER up; write {instead}")));
                state.file.author = Some(name.clone());
            }
            // Each is carried out elsewhere, and a FROM begins a stage.
            Instruction::From { .. }
            | Instruction::Arg(_)
            | Instruction::Workdir(_)
            | Instruction::Copy(_)
            | Instruction::Run(_) => {}
        }
        Ok(())
    }

    fn expand(&self, state: &State, number: usize, word: &str) -> Result<String, Fault> {
        self.expanded(state, number, |expander| expander.word(word))
    }

    fn expanded(
        &self,
        state: &State,
        number: usize,
        how: impl FnOnce(&Expander<'_>) -> Result<String, String>,
    ) -> Result<String, Fault> {
        let value = |name: &str| state.value(name);
        let expander = Expander { escape: self.stages.escape, value: &value };
        how(&expander).map_err(|why| Fault::new(number, "a variable cannot be put in", why))
    }

    /// The files of a stage so far.
    fn view(&self, state: &State, number: usize) -> Result<View, Fault> {
        let digests: Vec<String> = state.layers.iter().map(|layer| layer.digest.clone()).collect();
        let layers = self.store.unpack_each(&digests, &state.file.rootfs.diff_ids);
        layers
            .map(|layers| View::new(layers).owned(self.store.owners(&digests)))
            .map_err(|error| Fault::new(number, "the layers below cannot be read", error.to_string()))
    }

    /// A layer of these entries, written unless it is there.
    fn add_layer(&mut self, state: &mut State, line: &Line, entries: &Entries) -> Result<(), Fault> {
        let failed = |error: io::Error| Fault::new(line.number, "the layer cannot be written", error.to_string());
        if entries.is_empty() {
            self.begin(&line.text, false);
            state.add_history(&line.text, None);
            return Ok(());
        }
        let digest = entries.digest().map_err(failed)?;
        let key = key(&[&state.key.to_string(), "files", &digest.to_string()]);
        let known = self.known(&key).and_then(|outcome| outcome.layer);
        self.begin(&line.text, known.is_some());
        let written = match known {
            Some(written) => written,
            None => {
                let written = entries.write(self.store).map_err(failed)?;
                Cache::of(self.store).put(&key, Some(&written)).map_err(failed)?;
                written
            }
        };
        state.key = key;
        state.add_history(&line.text, Some(&written));
        Ok(())
    }

    fn known(&self, key: &Digest) -> Option<Outcome> {
        Cache::of(self.store).find(key).filter(|_| self.request.cache == Cached::Use)
    }
}

impl State {
    fn add_history(&mut self, text: &str, layer: Option<&Written>) {
        let created_by = Some(text.split_whitespace().collect::<Vec<_>>().join(" "));
        self.file.history.push(History { created_by, empty_layer: layer.is_none(), ..History::default() });
        if let Some(layer) = layer {
            self.file.rootfs.diff_ids.push(layer.digest.to_string());
            self.layers.push(described(OCI_LAYER, layer));
        }
    }

    /// The environment comes before what was given to the build.
    fn value(&self, name: &str) -> Option<String> {
        let env = self.file.config.env.iter().find_map(|known| known.strip_prefix(&format!("{name}=")));
        env.map(str::to_owned).or_else(|| self.arguments.get(name).cloned())
    }

    /// What a RUN's process has in its environment.
    fn environment(&self) -> Vec<(String, String)> {
        let mut all = self.arguments.clone();
        let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        all.extend(self.file.config.env.iter().filter_map(pair));
        all.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        all.into_iter().collect()
    }

    fn words(&self, words: &Words) -> Vec<String> {
        match words {
            Words::Exec(words) => words.clone(),
            Words::Shell(line) => {
                let shell = &self.file.config.shell;
                let shell = if shell.is_empty() { SHELL.map(str::to_owned).into() } else { shell.clone() };
                shell.into_iter().chain([line.clone()]).collect()
            }
        }
    }

    /// A path from the folder that WORKDIR names. A slash at its end stays.
    fn absolute(&self, path: &str) -> String {
        let base = match self.file.config.working_dir.as_str() {
            "" => "/",
            folder => folder,
        };
        let joined = Path::new(base).join(path).display().to_string();
        match path {
            "." | "./" => format!("{}/", joined.trim_end_matches(['.', '/'])),
            _ => joined,
        }
    }
}

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|known| *known == name || known.to_uppercase() == name)
}

fn described(media_type: &str, written: &Written) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: written.digest.to_string(),
        size: written.size,
        ..Descriptor::default()
    }
}
