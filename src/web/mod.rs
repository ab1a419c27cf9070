//! The page: the book, and the small API behind its buttons.
//!
//! In: requests from the reader's browser and from `tutor`'s own commands. Out: pages, JSON,
//! streams of events. It reaches the cluster through `client/` and the course; it adds no power
//! that the command line does not have. Every request passes [`guard`] first.
//! Chapter: `book/src/inside/page.md`.
//!
//! | file | answers |
//! |---|---|
//! | `pages` | everything that is not `/api/`: the rendered book |
//! | `api` | `/api/…`, except for |
//! | `exercises` | `/api/exercises/…`: start, check, hint, reset, solution |
//! | `outside` | a check that ends the playground, run outside of it |
//! | `quiz` | `/api/quiz`: the book's questions |
//! | `lab` | `/api/lab/…`: experiments |
//! | `trace` | `/api/trace`: who wrote what, because of what |
//! | `live` | `/api/cluster`, `/api/inspect`: the cluster as it changes, and one object of it |
//! | `yaml` | `/api/yaml/…`, `/api/files`: the editor |
//! | `terminal` | `/api/terminal`: tutor's own commands over a WebSocket |

mod api;
mod exercises;
pub mod guard;
mod lab;
mod live;
mod outside;
mod pages;
mod quiz;
pub mod terminal;
mod trace;
mod yaml;

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use hyper::upgrade::OnUpgrade;
use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use warp::Filter;
use warp::reply::Response;

use crate::client::Informers;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::kubectl::session::Listening;
use crate::state::Playground;
use crate::tasks::TaskGroup;

/// The longest body the page reads. Its own requests are under a hundred bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// What the page shows and who may press its buttons. Cheap to clone.
#[derive(Clone)]
pub struct Site(Arc<Inside>);

struct Inside {
    cluster: Cluster,
    playground: Playground,
    clock: Clock,
    tasks: TaskGroup,
    pages: pages::Pages,
    desk: exercises::Desk,
    outside: outside::Outside,
    /// tutor itself, for what must outlive this process.
    program: PathBuf,
    informers: Informers,
    live: live::Live,
    /// Another one each time the playground starts.
    life: String,
    crash: Notify,
    terminals: terminal::Terminals,
    documents: yaml::Documents,
    /// Held by the experiment that is under way.
    lab: tokio::sync::Mutex<()>,
}

impl Site {
    /// The page of this playground; what it does in the background stops with `tasks`. `commands` are what
    /// `tutor …` runs in its terminal.
    pub fn new(
        cluster: Cluster,
        playground: &Playground,
        clock: Clock,
        tasks: &TaskGroup,
        commands: Arc<dyn terminal::Commands>,
    ) -> Site {
        let program = commands.program().to_owned();
        let terminals = terminal::Terminals::new(terminal::World {
            home: terminal::home::Home::of(&playground.state_dir),
            playground: playground.clone(),
            client: cluster.client("tutor-terminal"),
            clock,
            tasks: tasks.clone(),
            commands,
            listening: Listening::default(),
        });
        let informers = Informers::new(cluster.client("tutor-page"), clock, tasks);
        Site(Arc::new(Inside {
            cluster,
            playground: playground.clone(),
            clock,
            tasks: tasks.clone(),
            pages: pages::Pages::default(),
            desk: exercises::Desk::default(),
            outside: outside::Outside::default(),
            program,
            informers,
            live: live::Live::default(),
            life: new_token(),
            crash: Notify::new(),
            terminals,
            documents: yaml::Documents::default(),
            lab: tokio::sync::Mutex::default(),
        }))
    }

    /// Renders the book in the background, so that the first reader does not wait for it.
    pub fn prepare(&self) {
        let site = self.clone();
        self.0.tasks.spawn("book", async move {
            if let Err(error) = site.book().await {
                tracing::warn!(%error, "the book");
            }
        });
    }

    /// Resolves when a check asks for the playground to be ended as a power cut ends it.
    pub async fn crash_asked(&self) {
        self.0.crash.notified().await;
    }

    /// The whole site as one filter.
    pub fn filter(&self) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
        let site = self.clone();
        warp::method()
            .and(warp::path::full())
            .and(warp::query::raw().or(warp::any().map(String::new)).unify())
            .and(warp::header::headers_cloned())
            .and(warp::ext::optional::<OnUpgrade>())
            .and(warp::body::stream())
            .then(move |method, path: warp::path::FullPath, query: String, headers, upgrade, body| {
                let site = site.clone();
                let path = path.as_str().to_owned();
                async move {
                    match whole(body).await {
                        Some(body) => {
                            let asked = guard::Asked { method, path, query, headers, body };
                            site.answer(&asked, upgrade).await
                        }
                        None => unreadable(),
                    }
                }
            })
            .recover(|_| async { Ok::<_, Infallible>(unreadable()) })
            .unify()
    }

    /// Runs `work` in a task of the playground and waits for it. It ends also when the reader has
    /// gone; and warp, which serves both the page and the cluster's API in process, cannot answer a
    /// request inside of answering another in the same task.
    async fn apart<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = oneshot::channel();
        // A reader who has gone does not miss the answer.
        self.0.tasks.spawn(name, async move { drop(tell.send(work.await)) });
        told.await.unwrap_or_else(|_| Err(Error::new("the playground is stopping", "")))
    }

    async fn answer(&self, asked: &guard::Asked, upgrade: Option<OnUpgrade>) -> Response {
        if let Some(why) = guard::refusal(asked, &self.0.playground) {
            return guard::refuse(http::StatusCode::FORBIDDEN, why);
        }
        match asked.path.strip_prefix("/api/") {
            Some("terminal") => terminal::connect(self, asked, upgrade),
            Some(call) => api::answer_call(self, call, asked).await,
            None => pages::answer_page(self, asked).await,
        }
    }
}

/// Serves the site until its tasks stop.
pub fn serve(listener: TcpListener, site: &Site) {
    // Small messages go out at once, on every connection that this listener takes: a letter on the screen
    // must not wait until the one before is acknowledged. A listener that refuses is only slower.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_nodelay(&listener, true);
    let filter = site.filter();
    site.0.tasks.spawn("page", async move { warp::serve(filter).incoming(listener).run().await });
}

/// A token that nobody guesses.
pub fn new_token() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}

/// The body, if it came whole and is not too long.
async fn whole(parts: impl Stream<Item = std::result::Result<impl Buf, warp::Error>>) -> Option<Bytes> {
    let mut parts = pin!(parts);
    let mut body = BytesMut::new();
    while let Some(part) = parts.next().await {
        body.put(part.ok()?);
        if body.len() > LONGEST_BODY {
            return None;
        }
    }
    Some(body.freeze())
}

fn unreadable() -> Response {
    let why = format!("it did not come whole, or its body is longer than {LONGEST_BODY} bytes");
    guard::refuse_because(http::StatusCode::BAD_REQUEST, "the request cannot be read", &why)
}
