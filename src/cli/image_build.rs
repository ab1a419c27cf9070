//! `tutor image build`: an image from a Dockerfile.

use std::io::Write;
use std::path::{Path, PathBuf};

use owo_colors::{OwoColorize, Stream};

use super::image::Desk;
use super::{Outcome, closed_output};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images::build::{Cached, Network, Progress, Request, Secret};
use crate::images::{ImageName, Registries, Store};
use crate::state::StateDir;
use crate::tasks::TaskGroup;

#[derive(Debug, clap::Args)]
pub struct Build {
    /// The image's name [default: the folder's]
    #[arg(long = "tag", short = 't', value_name = "NAME")]
    name: Option<String>,
    /// The Dockerfile [default: DIR/Dockerfile]
    #[arg(long, short)]
    file: Option<PathBuf>,
    /// The stage to end with [default: the last]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// A value for an ARG of the Dockerfile
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = pair)]
    arguments: Vec<(String, String)>,
    /// What a RUN --mount=type=secret sees: id=NAME,src=FILE or id=NAME,env=VARIABLE
    #[arg(long = "secret", value_name = "SECRET", value_parser = Given::read)]
    secrets: Vec<Given>,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// What RUNs reach, by a proxy: `default`, other computers; `none`, nobody; `host`, this computer too
    #[arg(long, value_name = "NETWORK", default_value = "default", value_parser = network)]
    network: Network,
    /// The folder whose files can be copied
    #[arg(value_name = "DIR")]
    context: PathBuf,
}

/// `NAME=VALUE`; a name alone takes its value from the environment, as Docker has it.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => std::env::var(text)
            .map(|value| (text.to_owned(), value))
            .map_err(|_| format!("{text} has no value: write {text}=VALUE, or set it in the environment")),
    }
}

/// Where a secret is.
#[derive(Clone, Debug)]
struct Given {
    id: String,
    file: Option<PathBuf>,
    variable: Option<String>,
}

impl Given {
    /// `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`; a name alone is the variable's or else the file's, as Docker has it.
    fn read(text: &str) -> Result<Given, String> {
        let (mut id, mut file, mut variable) = (None, None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("id", value)) if !value.is_empty() => id = Some(value.to_owned()),
                Some(("src" | "source", value)) => file = Some(PathBuf::from(value)),
                Some(("env", value)) => variable = Some(value.to_owned()),
                Some(("type", "file" | "env")) => {}
                _ => return Err(format!("{part} is not known: write id=NAME,src=FILE or id=NAME,env=VARIABLE")),
            }
        }
        let id = id.ok_or("it needs an id: write id=NAME,src=FILE or id=NAME,env=VARIABLE")?;
        if file.is_none() && variable.is_none() {
            match std::env::var_os(&id) {
                Some(_) => variable = Some(id.clone()),
                None => file = Some(PathBuf::from(&id)),
            }
        }
        Ok(Given { id, file, variable })
    }

    fn fetch(self, desk: &Desk<'_>) -> Result<Secret> {
        let missing = |why: String| {
            Error::new(format!("the secret {} cannot be read", self.id), why)
                .hint("say where it is: --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE")
        };
        let content = match (&self.file, &self.variable) {
            (Some(file), _) => {
                let place = (desk.place)(file)?;
                std::fs::read(&place).map_err(|error| missing(format!("{}: {error}", file.display())))?
            }
            (None, variable) => {
                let name = variable.as_deref().unwrap_or_default();
                std::env::var(name).map_err(|_| missing(format!("there is no variable {name}")))?.into_bytes()
            }
        };
        Ok(Secret { id: self.id, content })
    }
}

/// What RUNs reach, by Docker's names.
fn network(text: &str) -> Result<Network, String> {
    match text {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err("expected default, none or host".to_owned()),
    }
}

impl Build {
    pub async fn run(self, store: &Store, state: &StateDir, desk: &Desk<'_>, out: &mut dyn Write) -> Result<Outcome> {
        let tasks = TaskGroup::new();
        let context = (desk.place)(&self.context)?;
        let request = Request {
            name: name(self.name.as_deref(), &context)?,
            context,
            file: self.file.map(|file| (desk.place)(&file)).transpose()?,
            target: self.target,
            arguments: self.arguments,
            secrets: self.secrets.into_iter().map(|given| given.fetch(desk)).collect::<Result<_>>()?,
            cache: if self.no_cache { Cached::Anew } else { Cached::Use },
            network: self.network,
        };
        let registries = Registries::new(store.clone(), Clock::real(), &tasks)?.with_logins(desk.logins.clone());
        let show = |progress: Progress<'_>| (desk.say)(&told(progress));
        let built = crate::cluster::build_image(&registries, &request, state.path(), &tasks, &show).await?;
        writeln!(out, "{}", built.id()).map_err(closed_output)?;
        Ok(Outcome::Done)
    }
}

fn name(given: Option<&str>, context: &Path) -> Result<ImageName> {
    let folder =
        context.canonicalize().ok().and_then(|path| path.file_name().map(|it| it.to_string_lossy().to_lowercase()));
    let text = match (given, &folder) {
        (Some(given), _) => given,
        (None, Some(folder)) => folder,
        (None, None) => "image",
    };
    ImageName::parse(text).map_err(|why| {
        Error::new(format!("{text} is no image's name"), why).hint("give it one: tutor image build -t NAME:TAG DIR")
    })
}

/// What happens, as a line beside the answer: standard output is the image's id alone.
fn told(progress: Progress<'_>) -> String {
    match progress {
        Progress::Step { number, total, text, cached } => {
            let text = text.lines().next().unwrap_or_default();
            let mark = if cached { "  CACHED" } else { "" };
            format!(
                "{} {text}{}",
                format!("[{number}/{total}]").if_supports_color(Stream::Stderr, |it| it.bold()),
                mark.if_supports_color(Stream::Stderr, |it| it.cyan())
            )
        }
        Progress::Said(line) => format!("  {line}"),
        Progress::Warning(text) => format!("warning: {text}"),
    }
}
