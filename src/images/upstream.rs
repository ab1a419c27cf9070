//! What tutor's own registry asks another one for, when it stands for that (`registry::Upstream`).
//!
//! In: a repository elsewhere, a tag or a digest. Out: the content in the store, verified; or why not. It asks as
//! nobody in particular: whoever may read tutor's registry would else read what only its owner may.
//! Chapter: `book/src/inside/images.md`.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;

use super::manifest::MANIFEST_MAX;
use super::name::ImageName;
use super::pull::{ACCEPTED, Doing, Registries, Session, text};
use crate::registry::{Digest, Elsewhere, Lack, Upstream};

fn silent(error: crate::error::Error) -> Lack {
    Lack::Silent(error.why)
}

/// As images of that repository are named.
fn named(from: &Elsewhere) -> ImageName {
    let Elsewhere { registry, repository } = from.clone();
    ImageName { host: registry, repository, tag: None, digest: None }
}

/// An answer that has what was asked for.
fn good(from: &Elsewhere, what: &str, answer: Response<Incoming>) -> Result<Response<Incoming>, Lack> {
    let place = format!("{}/{}", from.registry, from.repository);
    match answer.status() {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(Lack::Absent(format!("{place} has no {what}"))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Lack::Absent(format!("{place} has no {what} for somebody without a name")))
        }
        status => Err(Lack::Silent(format!("{place} answers {status} for {what}"))),
    }
}

async fn ask(
    session: &mut Session<'_>,
    from: &Elsewhere,
    method: Method,
    what: &str,
) -> Result<Response<Incoming>, Lack> {
    let accept = ACCEPTED.join(", ");
    let answer = session.ask(method, what, &[(header::ACCEPT, &accept)], None).await.map_err(silent)?;
    good(from, what, answer)
}

impl Upstream for Registries {
    fn resolve<'a>(&'a self, from: &'a Elsewhere, tag: &'a str) -> BoxFuture<'a, Result<Digest, Lack>> {
        async move {
            let name = named(from);
            let mut session = self.session(&name, Doing::Pull, None);
            let what = format!("manifests/{tag}");
            let answer = ask(&mut session, from, Method::HEAD, &what).await?;
            let said = text(&answer, header::HeaderName::from_static("docker-content-digest"));
            if let Some(digest) = said.as_deref().and_then(Digest::parse) {
                return Ok(digest);
            }
            // A registry need not say it: then the manifest itself does.
            let answer = ask(&mut session, from, Method::GET, &what).await?;
            session.store(answer, None, MANIFEST_MAX).await.map_err(silent)
        }
        .boxed()
    }

    fn manifest<'a>(&'a self, from: &'a Elsewhere, digest: &'a Digest) -> BoxFuture<'a, Result<(), Lack>> {
        async move {
            if self.store().content.holds(digest) {
                return Ok(());
            }
            let name = named(from);
            let mut session = self.session(&name, Doing::Pull, None);
            let answer = ask(&mut session, from, Method::GET, &format!("manifests/{digest}")).await?;
            session.store(answer, Some(digest.clone()), MANIFEST_MAX).await.map(drop).map_err(silent)
        }
        .boxed()
    }

    fn blob<'a>(&'a self, from: &'a Elsewhere, digest: &'a Digest, most: u64) -> BoxFuture<'a, Result<(), Lack>> {
        async move {
            if self.store().content.holds(digest) {
                return Ok(());
            }
            let name = named(from);
            let mut session = self.session(&name, Doing::Pull, None);
            let answer = ask(&mut session, from, Method::GET, &format!("blobs/{digest}")).await?;
            session.store(answer, Some(digest.clone()), most).await.map(drop).map_err(silent)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use warp::{Filter, Reply};

    use super::super::tests::{open, simple};
    use super::super::{Registries, Store};
    use super::*;
    use crate::clock::Clock;
    use crate::registry::Registry;
    use crate::tasks::TaskGroup;

    /// A served registry, and how often it was asked for a manifest or a blob.
    struct Served {
        at: SocketAddr,
        asked: Arc<AtomicUsize>,
        broken: Arc<AtomicBool>,
        tasks: TaskGroup,
        _dir: tempfile::TempDir,
    }

    impl Served {
        async fn plain() -> Served {
            let (dir, tasks) = (tempfile::tempdir().unwrap(), TaskGroup::new());
            let registry = Registry::open(dir.path(), &tasks).unwrap();
            Served::of(registry, dir, tasks).await
        }

        /// One that stands for these.
        async fn before(registries: &[&str]) -> Served {
            let (dir, tasks) = (tempfile::tempdir().unwrap(), TaskGroup::new());
            let upstream = Registries::new(Store::open(dir.path()).unwrap(), Clock::real(), &tasks).unwrap();
            let registries = registries.iter().map(|it| (*it).to_owned()).collect();
            let registry = Registry::through(dir.path(), &tasks, Arc::new(upstream), registries).unwrap();
            Served::of(registry, dir, tasks).await
        }

        async fn of(registry: Registry, dir: tempfile::TempDir, tasks: TaskGroup) -> Served {
            let (asked, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let (count, is_broken) = (asked.clone(), broken.clone());
            let counted = warp::any().map(move || _ = count.fetch_add(1, Ordering::SeqCst)).untuple_one();
            let fails = warp::any().and_then(move || {
                let failed = StatusCode::SERVICE_UNAVAILABLE.into_response();
                let broken = is_broken.load(Ordering::SeqCst);
                async move { if broken { Ok(failed) } else { Err(warp::reject::not_found()) } }
            });
            let filter = counted.and(fails.or(registry.filter()).unify());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            tasks.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
            Served { at, asked, broken, tasks, _dir: dir }
        }

        fn asked(&self) -> usize {
            self.asked.swap(0, Ordering::SeqCst)
        }
    }

    /// Pulls onto a machine that has nothing; what the image's program says.
    async fn pulled(name: &str) -> Result<String, String> {
        let (_dir, store) = open();
        let registries = Registries::new(store.clone(), Clock::real(), &TaskGroup::new()).unwrap();
        let image = registries.pull(&ImageName::parse(name).unwrap(), None).await.map_err(|error| error.why)?;
        let root = store.unpack(&image).unwrap().layers[0].clone();
        Ok(std::fs::read_to_string(root.join("bin/run")).unwrap())
    }

    async fn push(to: &Served, repository: &str, text: &str) {
        let (_dir, store) = open();
        let image = simple(&store, "app", text);
        let name = ImageName::parse(&format!("{}/{repository}", to.at)).unwrap();
        let registries = Registries::new(store, Clock::real(), &TaskGroup::new()).unwrap();
        registries.push(&image, &name, None).await.unwrap();
        to.asked();
    }

    #[tokio::test]
    async fn what_another_registry_has_is_fetched_once_and_stays() {
        let far = Served::plain().await;
        push(&far, "team/app:1", "far").await;
        let near = Served::before(&[&far.at.to_string()]).await;
        let name = format!("{}/127.0.0.1-{}/team/app:1", near.at, far.at.port());
        assert_eq!(pulled(&name).await.unwrap(), "far");
        assert_eq!(far.asked(), 4, "where the tag points, the manifest, the configuration, the layer");
        assert_eq!(pulled(&name).await.unwrap(), "far");
        assert_eq!(far.asked(), 1, "only where the tag points");
        push(&far, "team/app:1", "moved").await;
        assert_eq!(pulled(&name).await.unwrap(), "moved", "a tag that moved has moved here too");
        let gone = pulled(&name.replace("app:1", "app:2")).await.unwrap_err();
        assert!(gone.ends_with("app:2: not found"), "{gone}");
        far.broken.store(true, Ordering::SeqCst);
        assert_eq!(pulled(&name).await.unwrap(), "moved", "the other registry fails, what it had is here");
        let silent = pulled(&name.replace("app:1", "other:1")).await.unwrap_err();
        assert!(silent.contains("502 Bad Gateway"), "{silent}");
        far.tasks.cancel();
        near.tasks.cancel();
    }

    #[tokio::test]
    async fn a_mirror_is_asked_with_ns_and_for_nobody_else() {
        let (far, stranger) = (Served::plain().await, Served::plain().await);
        push(&far, "team/app:1", "far").await;
        push(&stranger, "team/app:1", "stranger").await;
        let near = Served::before(&[&far.at.to_string()]).await;
        let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http::<http_body_util::Empty<bytes::Bytes>>();
        let get = async |path: String| {
            let url = format!("http://{}/v2/{path}", near.at).parse().unwrap();
            http.get(url).await.unwrap().status().as_u16()
        };
        assert_eq!(get("team/app/manifests/1".into()).await, 404, "a name without a registry is never looked up");
        assert_eq!((far.asked(), stranger.asked()), (0, 0));
        assert_eq!(get(format!("team/app/manifests/1?ns={}", stranger.at)).await, 404);
        assert_eq!(get(format!("127.0.0.1-{}/team/app/manifests/1", stranger.at.port())).await, 404);
        assert_eq!(stranger.asked(), 0, "who is not on the list is not asked");
        assert_eq!(get(format!("team/app/manifests/1?ns={}", far.at)).await, 200);
        assert_eq!(get("team/app/manifests/1".into()).await, 404, "it is kept under its registry's name");
        for served in [far, stranger, near] {
            served.tasks.cancel();
        }
    }

    /// A registry that gives something else than was asked for.
    #[tokio::test]
    async fn content_that_is_not_what_its_digest_says_is_refused_and_not_kept() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let tasks = TaskGroup::new();
        let liar = warp::any().map(|| {
            let digest = Digest::of(b"what was meant").to_string();
            warp::reply::with_header("what came".to_owned(), "docker-content-digest", digest)
        });
        tasks.spawn("liar", async move { warp::serve(liar).incoming(listener).run().await });
        let near = Served::before(&[&at.to_string()]).await;
        let why = pulled(&format!("{}/127.0.0.1-{}/team/app:1", near.at, at.port())).await.unwrap_err();
        assert!(why.contains("502 Bad Gateway") && why.contains("but what came is"), "{why}");
        assert!(std::fs::read_dir(near._dir.path().join("blobs")).unwrap().next().is_none());
        tasks.cancel();
        near.tasks.cancel();
    }
}
