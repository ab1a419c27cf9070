//! `tutor image`: the images on this machine, and what they are made of.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;

use super::{Outcome, closed_output, image_build as build};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::images::{self, Credentials, ImageName, Logins, Registries, Store, Stored};
use crate::state::StateDir;
use crate::tasks::TaskGroup;

#[derive(Debug, clap::Args)]
pub struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an image as a Dockerfile says
    Build(build::Build),
    /// Fetch an image from its registry; tutor/… images are made on this machine
    Pull {
        name: String,
        #[command(flatten)]
        login: Login,
    },
    /// Send an image to a registry, under its own name or another
    Push {
        name: String,
        /// The name it gets there: 127.0.0.1:5050/app:1
        to: Option<String>,
        #[command(flatten)]
        login: Login,
    },
    /// Take in the images of a `docker save` file or an OCI layout
    Load { file: PathBuf },
    /// Write images to a file that `docker load` reads
    Save {
        #[arg(required = true)]
        names: Vec<String>,
        /// The file
        #[arg(long, short)]
        output: PathBuf,
    },
    /// The images that are here
    Ls {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// An image's configuration
    Inspect { name: String },
    /// What made each of its layers
    History { name: String },
    /// Take an image away, and what nothing else needs
    Rm {
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Login {
    /// Who asks; else as docker login wrote it in $DOCKER_CONFIG or ~/.docker
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    /// A file with the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Where a command that deals with images is typed: in a shell of this machine, or in the page.
pub struct Desk<'a> {
    /// The place on disk of a file as it is typed.
    pub place: &'a (dyn Fn(&Path) -> Result<PathBuf> + Sync),
    /// Who is logged in where.
    pub logins: Logins,
    /// Tells what goes on: a line.
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl Desk<'_> {
    /// A shell: files are where they are said to be, and what goes on is told on standard error.
    pub fn of_shell() -> Desk<'static> {
        Desk { place: &|path| Ok(path.to_owned()), logins: Logins::of_user(), say: &|line| eprintln!("{line}") }
    }

    fn registries(&self, store: &Store) -> Result<Registries> {
        Ok(Registries::new(store.clone(), Clock::real(), &TaskGroup::new())?.with_logins(self.logins.clone()))
    }
}

impl Login {
    fn credentials(self, desk: &Desk<'_>) -> Result<Option<Credentials>> {
        let (Some(username), Some(file)) = (self.username, self.password_file) else { return Ok(None) };
        let file = (desk.place)(&file)?;
        let password = std::fs::read_to_string(&file)
            .map_err(|error| Error::new(format!("{} cannot be read", file.display()), error.to_string()))?;
        Ok(Some(Credentials { username, password: password.trim_end().to_owned() }))
    }
}

impl Image {
    pub async fn run(self, state: &StateDir, desk: &Desk<'_>, out: &mut dyn Write) -> Result<Outcome> {
        let store = Store::open(&state.join(crate::cluster::REGISTRY))?;
        match self.action {
            Action::Build(build) => return build.run(&store, state, desk, out).await,
            Action::Pull { name, login } => {
                let name = parse(&name)?;
                let pulled = desk.registries(&store)?.pull(&name, login.credentials(desk)?.as_ref()).await?;
                line(out, &pulled.id())?;
            }
            Action::Push { name, to, login } => {
                let image = find(&store, &name)?;
                let to = parse(to.as_deref().unwrap_or(&name))?;
                let digest = desk.registries(&store)?.push(&image, &to, login.credentials(desk)?.as_ref()).await?;
                line(out, &format!("{}@{digest}", to.repository()))?;
            }
            Action::Load { file } => {
                let archive = File::open((desk.place)(&file)?)
                    .map_err(|error| Error::new(format!("{} cannot be read", file.display()), error.to_string()))?;
                for image in images::load(&store, archive)? {
                    line(out, &image.name)?;
                }
            }
            Action::Save { names, output } => {
                let images: Vec<Stored> = names.iter().map(|name| find(&store, name)).collect::<Result<_>>()?;
                let file = File::create((desk.place)(&output)?).map_err(|error| {
                    Error::new(format!("{} cannot be written", output.display()), error.to_string())
                })?;
                images::save(&store, &images, BufWriter::new(file))?;
            }
            Action::Ls { json: true } => line(out, &text(&store.list()?)?)?,
            Action::Ls { json: false } => list(&store, out)?,
            Action::Inspect { name } => {
                let image = find(&store, &name)?;
                let file = store.config(&image)?;
                line(
                    out,
                    &text(&serde_json::json!({"name": image.name, "digest": image.manifest, "id": image.config,
                    "sizeBytes": image.size_bytes, "layers": image.layers, "image": file}))?,
                )?;
            }
            Action::History { name } => history(&store, &find(&store, &name)?, out)?,
            Action::Rm { names } => {
                for name in &names {
                    let image = find(&store, name)?;
                    store.remove(&image)?;
                    line(out, &format!("removed {}", image.name))?;
                }
                // While a playground runs, containers may stand on unpacked layers; its next start clears them.
                let alone = state.lock();
                let freed = if alone.is_ok() { store.collect()? } else { store.collect_content()? };
                line(out, &format!("freed {}", HumanBytes(freed)))?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn parse(name: &str) -> Result<ImageName> {
    ImageName::parse(name)
        .map_err(|why| Error::new(format!("{name} is no image's name"), why).hint("write it as REPOSITORY:TAG"))
}

fn find(store: &Store, name: &str) -> Result<Stored> {
    store.find(&parse(name)?).ok_or_else(|| {
        Error::new(format!("there is no image {name} on this machine"), "")
            .hint("see which there are: tutor image ls")
            .hint(format!("fetch it: tutor image pull {name}"))
    })
}

fn line(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{text}").map_err(closed_output)
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Error::new("the answer cannot be written", error.to_string()))
}

fn list(store: &Store, out: &mut dyn Write) -> Result<()> {
    let images = store.list()?;
    let short =
        |image: &Stored| ImageName::parse(&image.name).map_or_else(|_| image.name.clone(), |name| name.familiar());
    let width = images.iter().map(|image| short(image).len()).max().unwrap_or(0).max("IMAGE".len());
    line(out, &format!("{:<width$}  {:<12}  SIZE", "IMAGE", "ID"))?;
    for image in &images {
        let id: String = image.config.trim_start_matches("sha256:").chars().take(12).collect();
        line(out, &format!("{:<width$}  {id:<12}  {}", short(image), HumanBytes(image.size_bytes)))?;
    }
    Ok(())
}

/// The newest first, as `docker history` has it.
fn history(store: &Store, image: &Stored, out: &mut dyn Write) -> Result<()> {
    let file = store.config(image)?;
    let mut layers = image.layers.iter();
    let mut rows: Vec<(String, String)> = Vec::new();
    for step in &file.history {
        let layer = if step.empty_layer { None } else { layers.next() };
        let layer =
            layer.map_or("-".to_owned(), |digest| digest.trim_start_matches("sha256:").chars().take(12).collect());
        rows.push((layer, step.created_by.clone().or(step.comment.clone()).unwrap_or_default()));
    }
    rows.extend(layers.map(|digest| (digest.trim_start_matches("sha256:").chars().take(12).collect(), String::new())));
    line(out, &format!("{:<12}  MADE BY", "LAYER"))?;
    for (layer, made_by) in rows.iter().rev() {
        line(out, &format!("{layer:<12}  {made_by}"))?;
    }
    Ok(())
}
