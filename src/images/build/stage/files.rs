//! Carries out what brings files: COPY, ADD and WORKDIR.

use std::path::Path;

use super::super::copy::{self, Given, Names, Source, Target};
use super::super::fault::Fault;
use super::super::ignore::Ignore;
use super::super::instruction::{Copy, is_repository, is_url};
use super::super::layer::{Entries, Kind};
use super::super::mode::Mode;
use super::super::reader::Line;
use super::super::view::View;
use super::super::{Network, meaning, stages};
use super::run::clean;
use super::{Builder, State};
use crate::images::fetch::Reach;
use crate::images::store::Scratch;
use crate::registry::Digest;

impl Builder<'_> {
    /// Goes to a folder, which the user of the image owns when it is made. Source: BuildKit, as the reference is silent.
    pub(super) fn workdir(&mut self, state: &mut State, line: &Line, to: &str) -> Result<(), Fault> {
        let to = clean(&state.absolute(to)).display().to_string();
        let view = self.view(state, line.number)?;
        let failed = |why: String| Fault::new(line.number, "the folder cannot be made", why);
        let place = view.resolve(Path::new(&to)).map_err(|error| failed(error.to_string()))?;
        state.file.config.working_dir = to;
        let mut entries = Entries::default();
        let is_there = place.as_os_str().is_empty() || view.look(&place).is_some_and(|seen| seen.metadata.is_dir());
        if !is_there {
            let owner = match state.file.config.user.as_str() {
                "" => (0, 0),
                user => meaning::owner(user, &view).map_err(failed)?,
            };
            entries.put_folders(&place, &view, owner).map_err(|error| failed(error.to_string()))?;
        }
        self.add_layer(state, line, &entries)
    }

    pub(super) async fn copy_step(
        &mut self,
        state: &mut State,
        at: usize,
        line: &Line,
        copy: &Copy,
    ) -> Result<(), Fault> {
        let number = line.number;
        let (view, called) = match &copy.from {
            None => (View::of(&self.request.context), "the context".to_owned()),
            Some(from) => {
                let from = self.expand(state, number, from)?;
                let base = stages::source(&from, at, &self.stages.list, number)?;
                let other = self.base(&base, number).await?;
                (self.view(&other, number)?, format!("the files of {from}"))
            }
        };
        let below = self.view(state, number)?;
        let wrong = |why: String| Fault::new(number, "the files cannot be copied", why);
        let sources: Vec<String> =
            copy.sources.iter().map(|source| self.expand(state, number, source)).collect::<Result<_, _>>()?;
        let mut given = self.documents(state, number, copy)?;
        let to = state.absolute(&self.expand(state, number, &copy.to)?);
        let (fetched, sources): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|source| copy.adds && (is_url(source) || is_repository(source)));
        for url in &fetched {
            given.push(self.fetched(state, number, copy, url, &to).await?);
        }
        if let (Some(_), [source, ..]) = (&copy.checksum, &sources[..]) {
            return Err(wrong(format!("--checksum is for what is fetched, and {source} is in the context")));
        }
        let chown = copy.chown.as_ref().map(|text| self.expand(state, number, text)).transpose()?;
        let owner = chown.map(|text| meaning::owner(&text, &below)).transpose().map_err(wrong)?;
        let chmod = copy.chmod.as_ref().map(|text| self.expand(state, number, text)).transpose()?;
        let mode = chmod.map(|text| Mode::read(&text)).transpose().map_err(wrong)?;
        let exclude: Vec<String> =
            copy.exclude.iter().map(|pattern| self.expand(state, number, pattern)).collect::<Result<_, _>>()?;
        let exclude = Ignore::read(&exclude.join("\n"));
        let scratch = Scratch::new(&self.store.folder("uploads")).map_err(|error| wrong(error.to_string()))?;
        let none = Ignore::default();
        let ignore = if copy.from.is_none() { &self.ignore } else { &none };
        let source = Source { view: &view, ignore, called };
        let scratch = (copy.adds && copy.unpack != Some(false)).then(|| scratch.path());
        let names = if copy.parents { Names::WithFolders } else { Names::Alone };
        let target = Target { view: &below, to: &to, owner, mode: mode.as_ref(), scratch, exclude: &exclude, names };
        let entries = copy::entries(&source, &sources, given, &target).map_err(|(why, hint)| {
            let fault = wrong(why);
            if hint.is_empty() { fault } else { fault.hint(hint) }
        })?;
        self.add_layer(state, line, &entries)
    }

    /// The here-documents as files.
    fn documents(&self, state: &State, number: usize, copy: &Copy) -> Result<Vec<Given>, Fault> {
        let mut given = Vec::new();
        for document in &copy.documents {
            let body = match document.expands {
                true => self.expanded(state, number, |expander| expander.document(&document.body))?,
                false => document.body.clone(),
            };
            let (name, kind) = (document.name.clone(), Kind::Text(body));
            given.push(Given { name, kind, mode: 0o644, unpacks: false });
        }
        Ok(given)
    }

    /// A file from the web. Source: the Dockerfile reference, "Adding files from a URL".
    async fn fetched(&self, state: &State, number: usize, copy: &Copy, url: &str, to: &str) -> Result<Given, Fault> {
        let wrong = |why: String| Fault::new(number, format!("{url} cannot be added"), why);
        if is_repository(url) {
            let address = url.split('#').next().unwrap_or(url);
            return Err(wrong("tutor clones no repositories".to_owned())
                .hint(format!("clone it into the folder that you build, then COPY it: git clone {address}"))
                .hint("or take its archive, where it offers one: ADD --unpack=true https://… TO"));
        }
        let checksum = copy.checksum.as_ref().map(|text| self.expand(state, number, text)).transpose()?;
        let digest = |text: String| {
            let digest = Digest::parse(&text).filter(|_| text.starts_with("sha256:"));
            digest.ok_or_else(|| wrong(format!("--checksum={text} is no checksum: write sha256: and 64 digits")))
        };
        let expected = checksum.map(digest).transpose()?;
        let path = url.split(['?', '#']).next().unwrap_or(url).splitn(4, '/').nth(3).unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if name.is_empty() && to.ends_with('/') {
            return Err(
                wrong("the address names no file".to_owned()).hint(format!("say what to call it: ADD {url} {to}NAME"))
            );
        }
        let reach = match self.request.network {
            Network::Default => Reach::Others,
            Network::Host => Reach::All,
            Network::None => {
                return Err(wrong("with --network none a build reaches nobody".to_owned())
                    .hint("fetch it into the folder that you build, then COPY it"));
            }
        };
        let written = self.registries.fetch(url, expected.as_ref(), reach).await.map_err(|why| {
            wrong(why).hint(
                "where this machine is not online, fetch it elsewhere into the folder that you build, then COPY it",
            )
        })?;
        let kind = Kind::File(self.store.content.path(&written.digest));
        Ok(Given { name, kind, mode: 0o600, unpacks: copy.unpack == Some(true) })
    }
}
