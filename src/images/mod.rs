//! Images: fetched, kept by content, unpacked, moved as files; and the course's own, made here.
//!
//! In: names, archives, registries' answers. Out: [`Stored`] images and their unpacked layers for a runtime.
//! The content lies in the registry's folder, so that an image that was pushed to tutor's own registry is on
//! the machine already. `name` reads names, `manifest` what images consist of, `store` keeps them, `packed` and
//! `unpack` open a layer and trust none, `archive` is `docker save` and `load`, `build` reads Dockerfiles, `pull` talks to registries, `upstream` does
//! so for tutor's own registry, `fetch` to the web, `owners` says whose a layer's files are, `login` reads who one is to them, `course` assembles
//! `tutor/web:1` and its sisters. Nothing here runs anything. Chapter: `book/src/servers/images.md`.

mod archive;
pub mod build;
mod course;
mod fetch;
mod login;
mod manifest;
mod name;
mod owners;
mod packed;
mod pull;
mod store;
#[cfg(test)]
mod tests;
mod unpack;
mod upstream;

pub use archive::{load, save};
pub use course::is_course;
pub use login::Logins;
pub use manifest::{History, ImageConfig, ImageFile};
pub use name::ImageName;
pub use pull::{Credentials, Registries};
pub use store::{Store, Stored, Unpacked};
