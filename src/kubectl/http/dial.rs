//! A client that notes each connection it makes: what `-v 9` tells of names, dialling and handshakes.
//!
//! In: a client's configuration. Out: the client, and in [`Dials`] how long the parts of each new connection
//! took. Between the two stand three services, one around the other: the TLS connector, the TCP connector, and
//! the resolver of names. Never: another way to connect than the ordinary client has.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ConfigExt};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tower::util::MapErr;
use tower::{BoxError, Layer, Service};

use crate::clock::Clock;

/// A new connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    /// The name that was looked up and what it stands for; `None` where an address was given.
    pub resolved: Option<(String, Vec<IpAddr>)>,
    /// How long that took.
    pub lookup: Duration,
    /// Who answered.
    pub address: String,
    /// How long the TCP connection took.
    pub dialing: Duration,
    /// How long TLS took.
    pub handshake: Duration,
}

/// The connections that no request has told of yet, the oldest first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Dials(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// Whether a client notes anything here.
    watched: bool,
    /// What was resolved for a connection that is being made.
    lookups: VecDeque<(String, Vec<IpAddr>, Duration)>,
    /// Dialled, and in their handshakes.
    dialled: VecDeque<Dial>,
    made: VecDeque<Dial>,
}

impl Dials {
    /// Whether a client notes here what it connects.
    pub fn are_watched(&self) -> bool {
        self.0.lock().watched
    }

    /// The oldest connection that was not taken yet.
    pub fn take(&self) -> Option<Dial> {
        self.0.lock().made.pop_front()
    }
}

/// The client of a configuration, which notes in `dials` what it connects.
///
/// # Errors
/// When the configuration is unusable.
pub fn client(config: &kube::Config, clock: Clock, dials: &Dials) -> kube::Result<kube::Client> {
    dials.0.lock().watched = true;
    let around = Around { clock, dials: dials.clone() };
    let mut tcp = HttpConnector::new_with_resolver(Names { inner: GaiResolver::new(), around: around.clone() });
    tcp.enforce_http(false);
    let tls = config.rustls_https_connector_with_connector(Tcp { inner: tcp, around: around.clone() })?;
    let client =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(Tls { inner: tls, around });
    let client = MapErr::new(client, BoxError::from as fn(hyper_util::client::legacy::Error) -> BoxError);
    let client = config.extra_headers_layer()?.layer(client);
    let client = tower::util::option_layer(config.auth_layer()?).layer(client);
    Ok(kube::Client::new(config.base_uri_layer().layer(client), config.default_namespace.clone()))
}

#[derive(Clone)]
struct Around {
    clock: Clock,
    dials: Dials,
}

/// Looks up names.
#[derive(Clone)]
struct Names {
    inner: GaiResolver,
    around: Around,
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Around { clock, dials } = self.around.clone();
        let (host, start) = (name.to_string(), clock.tick());
        let asked = self.inner.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = asked.await?.collect();
            let addresses = found.iter().map(SocketAddr::ip).collect();
            dials.0.lock().lookups.push_back((host, addresses, clock.since(start)));
            Ok(found.into_iter())
        })
    }
}

/// Dials.
#[derive(Clone)]
struct Tcp {
    inner: HttpConnector<Names>,
    around: Around,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Around { clock, dials } = self.around.clone();
        let start = clock.tick();
        let dialled = self.inner.call(uri);
        Box::pin(async move {
            let stream = dialled.await?;
            let took = clock.since(start);
            let address = stream.inner().peer_addr().map(|address| address.to_string()).unwrap_or_default();
            let mut noted = dials.0.lock();
            let (resolved, lookup) = match noted.lookups.pop_front() {
                Some((host, addresses, lookup)) => (Some((host, addresses)), lookup),
                None => (None, Duration::ZERO),
            };
            let dialing = took.saturating_sub(lookup);
            noted.dialled.push_back(Dial { resolved, lookup, address, dialing, handshake: Duration::ZERO });
            Ok(stream)
        })
    }
}

/// Shakes hands.
#[derive(Clone)]
struct Tls<C> {
    inner: C,
    around: Around,
}

impl<C> Service<Uri> for Tls<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<C::Response, C::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Around { clock, dials } = self.around.clone();
        let start = clock.tick();
        let connected = self.inner.call(uri);
        Box::pin(async move {
            let stream = connected.await?;
            let took = clock.since(start);
            let mut noted = dials.0.lock();
            if let Some(mut dial) = noted.dialled.pop_front() {
                dial.handshake = took.saturating_sub(dial.lookup + dial.dialing);
                noted.made.push_back(dial);
            }
            Ok(stream)
        })
    }
}
