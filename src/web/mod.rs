//! The page: the book, and the small API behind its buttons.
//!
//! In: requests from the reader's browser and from `tutor`'s own commands. Out: pages, JSON. It
//! reaches the cluster through `client/` and the course; it adds no power that the command line
//! does not have. Every request passes [`guard`] first.

mod api;
pub mod guard;

use std::convert::Infallible;
use std::sync::Arc;

use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::net::TcpListener;
use warp::Filter;
use warp::reply::Response;

use crate::cluster::Cluster;
use crate::state::Playground;
use crate::tasks::TaskGroup;

/// What the page shows and who may press its buttons.
#[derive(Clone)]
pub struct Site(Arc<Inside>);

struct Inside {
    cluster: Cluster,
    playground: Playground,
}

impl Site {
    /// The page of this playground.
    pub fn new(cluster: Cluster, playground: &Playground) -> Site {
        Site(Arc::new(Inside { cluster, playground: playground.clone() }))
    }

    /// The whole site as one filter.
    pub fn filter(&self) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
        let site = self.clone();
        warp::method()
            .and(warp::path::full())
            .and(warp::query::raw().or(warp::any().map(String::new)).unify())
            .and(warp::header::headers_cloned())
            .and(warp::body::bytes())
            .then(move |method, path: warp::path::FullPath, query: String, headers, body| {
                let site = site.clone();
                async move {
                    site.answer(&guard::Asked { method, path: path.as_str().to_owned(), query, headers, body }).await
                }
            })
            .recover(|_| async {
                Ok::<_, Infallible>(guard::refuse(http::StatusCode::BAD_REQUEST, "the request cannot be read"))
            })
            .unify()
    }

    async fn answer(&self, asked: &guard::Asked) -> Response {
        if let Err(refused) = guard::check(asked, &self.0.playground) {
            return refused;
        }
        match asked.path.strip_prefix("/api/") {
            Some(call) => api::answer_call(self, call, asked).await,
            None => guard::refuse(http::StatusCode::NOT_FOUND, "there is no such page"),
        }
    }
}

/// Serves the site until the group stops.
pub fn serve(listener: TcpListener, site: &Site, tasks: &TaskGroup) {
    let filter = site.filter();
    tasks.spawn("page", async move { warp::serve(filter).incoming(listener).run().await });
}

/// A token that nobody guesses.
pub fn new_token() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}
