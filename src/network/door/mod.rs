//! The door: one HTTP port of this computer that leads to Services, as Ingresses and HTTPRoutes say.
//!
//! In: a listener, Ingresses, Gateway API objects, Services and EndpointSlices by watch, and a [`Dialer`] that knows the way to
//! a Pod. Out: answers of the Pods, and in each Ingress, Gateway and HTTPRoute a status. In other clusters this
//! is an ingress controller, a Deployment with a Service of type LoadBalancer before it. For a NetworkPolicy it is part
//! of the node, whose requests always pass. Chapter: `book/src/inside/network.md`.
//!
//! | file | does |
//! |---|---|
//! | `route` | which rule is for a request |
//! | `ingress`, `gateway`, `http_route` | rules from objects |
//! | `objects` | what is read of Gateway API objects |
//! | `grants` | who may refer to another namespace |
//! | `backend` | the Pod behind a rule |
//! | `forward` | one request, there and back |
//! | `mirror` | copies of it |
//! | `tls` | certificates |
//! | `status` | tells each object what came of it |
//! | `install` | the classes, and the kinds of Gateway API |

mod backend;
mod forward;
mod gateway;
mod grants;
mod http_route;
mod ingress;
mod install;
mod mirror;
mod objects;
mod route;
mod status;
mod tls;

pub use install::gateway_api as install_gateway_api;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::runtime::watcher;
use parking_lot::RwLock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tower::BoxError;

use crate::client::{Informer, Watched};
use crate::clock::Clock;
use crate::tasks::TaskGroup;
use objects::{GatewayClassView, GatewayView, HttpRouteView, ReferenceGrantView};
use route::Route;

/// How long after a failed accept the next is tried: the process is out of files then.
const PAUSE: Duration = Duration::from_millis(100);

/// A client that does not finish its TLS greeting by then is let go.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A connection, of whatever kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A Pod's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Pod's namespace.
    pub namespace: String,
    /// Its name; none: whoever has the address.
    pub pod: Option<String>,
    /// Its node.
    pub node: String,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// The port.
    pub port: u16,
}

/// Knows the way to a Pod.
pub trait Dialer: Send + Sync + 'static {
    /// Connects; the error is in a client's words.
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Box<dyn Stream>, String>>;
}

/// What it works with.
#[derive(Clone)]
pub struct Setup {
    /// May read what it speaks of, write status, and make the classes.
    pub client: kube::Client,
    /// The way to Pods.
    pub dialer: Arc<dyn Dialer>,
    /// The source of time.
    pub clock: Clock,
    /// Where its tasks run.
    pub tasks: TaskGroup,
}

/// What requests are answered with.
struct Door {
    setup: Setup,
    routes: RwLock<Arc<Vec<Route>>>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    certificates: Arc<tls::Certificates>,
}

/// Opens it at a listener.
pub fn start(setup: Setup, listener: TcpListener) {
    let Setup { client, clock, tasks, .. } = setup.clone();
    let door = Arc::new(Door {
        routes: RwLock::default(),
        services: Informer::start(&client, clock, &tasks),
        slices: Informer::start(&client, clock, &tasks),
        certificates: Arc::default(),
        setup,
    });
    let address = listener.local_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    tasks.spawn("ingress", follow(door.clone(), address));
    tasks.spawn("ingress door", accept(door, listener));
}

/// Keeps rules and status as the objects say.
async fn follow(door: Arc<Door>, address: String) {
    let Setup { client, clock, .. } = &door.setup;
    install::ingress_class(client).await;
    let changed = Arc::new(Notify::new());
    let classes: Informer<IngressClass> = watch(&door.setup, &changed);
    let ingresses: Informer<Ingress> = watch(&door.setup, &changed);
    let namespaces: Informer<Namespace> = watch(&door.setup, &changed);
    let mut gateway_api: Option<GatewayKinds> = None;
    let mut grants: Option<Informer<ReferenceGrantView>> = None;
    let mut served = std::pin::pin!(install::gateway_api_served(client.clone(), *clock));
    let mut granted = std::pin::pin!(install::grants_served(client.clone(), *clock));
    let only = watcher::Config::default().fields(&format!("type={}", tls::SECRET_TYPE));
    let secrets: Informer<Secret> = Informer::over(crate::client::follow(client, only), *clock, &door.setup.tasks);
    wake(&secrets, &changed);
    wake(&door.services, &changed);
    door.services.synced().await;
    door.slices.synced().await;
    classes.synced().await;
    ingresses.synced().await;
    let teller = status::Teller::new(client.clone(), *clock);
    loop {
        let ours = ingress::ours(&ingresses.all(), &classes.all());
        let kinds = gateway_api.as_ref();
        let objects = gateway::Objects {
            classes: kinds.map(|kinds| kinds.classes.all()).unwrap_or_default(),
            gateways: kinds.map(|kinds| kinds.gateways.all()).unwrap_or_default(),
            routes: kinds.map(|kinds| kinds.routes.all()).unwrap_or_default(),
            grants: grants.as_ref().map(Informer::all).unwrap_or_default(),
            services: door.services.all(),
            namespaces: namespaces.all(),
            secrets: secrets.all(),
        };
        let outcome = objects.outcome(&address);
        let mut all = ingress::routes(&ours);
        all.extend(outcome.routes.iter().cloned());
        *door.routes.write() = Arc::new(all);
        let mut certificates = tls::of_ingresses(&ours, |key| secrets.get(key));
        certificates.extend(outcome.certificates.iter().cloned());
        door.certificates.set(certificates);
        let leading: Vec<_> = ours.iter().filter(|own| ingress::leads(own, &objects.services)).cloned().collect();
        teller.tell_ingresses(&leading, &address).await;
        teller.tell(&objects, &outcome).await;
        tokio::select! {
            () = changed.notified() => {}
            () = &mut granted, if grants.is_none() => grants = Some(watch(&door.setup, &changed)),
            () = &mut served, if gateway_api.is_none() => {
                install::gateway_class(client).await;
                gateway_api = Some(GatewayKinds {
                    classes: watch(&door.setup, &changed),
                    gateways: watch(&door.setup, &changed),
                    routes: watch(&door.setup, &changed),
                });
            }
        }
    }
}

/// What there is of Gateway API, once somebody has installed it.
struct GatewayKinds {
    classes: Informer<GatewayClassView>,
    gateways: Informer<GatewayView>,
    routes: Informer<HttpRouteView>,
}

fn watch<K>(setup: &Setup, changed: &Arc<Notify>) -> Informer<K>
where
    K: Watched + Clone + fmt::Debug + serde::de::DeserializeOwned + kube::Resource<DynamicType = ()>,
{
    let informer = Informer::start(&setup.client, setup.clock, &setup.tasks);
    wake(&informer, changed);
    informer
}

fn wake<K: Watched + Clone + fmt::Debug>(informer: &Informer<K>, changed: &Arc<Notify>) {
    let changed = changed.clone();
    informer.subscribe(move |_| changed.notify_one());
}

async fn accept(door: Arc<Door>, listener: TcpListener) {
    let tasks = door.setup.tasks.clone();
    let acceptor = match tls::acceptor(door.certificates.clone()) {
        Ok(acceptor) => acceptor,
        Err(fault) => return tracing::error!(%fault, "the door cannot be opened"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (door, acceptor) = (door.clone(), acceptor.clone());
                tasks.spawn("ingress client", async move {
                    if let Err(fault) = greet(door, acceptor, stream).await {
                        tracing::debug!(%fault, "a connection to the door ended");
                    }
                });
            }
            Err(fault) => {
                tracing::debug!(%fault, "the door cannot accept");
                door.setup.clock.sleep(PAUSE).await;
            }
        }
    }
}

/// Finds out whether a client speaks TLS, and serves it.
async fn greet(door: Arc<Door>, acceptor: TlsAcceptor, stream: TcpStream) -> Result<(), BoxError> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0] != tls::HANDSHAKE {
        return serve(door, stream, "http").await;
    }
    let greeted = door.setup.clock.timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await;
    serve(door, greeted.map_err(|_| "the client did not finish its greeting")??, "https").await
}

async fn serve(door: Arc<Door>, stream: impl Stream + 'static, scheme: &'static str) -> Result<(), BoxError> {
    let answer = service_fn(move |request| forward::answer(door.clone(), scheme, request));
    let connection = hyper::server::conn::http1::Builder::new()
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), answer);
    Ok(connection.with_upgrades().await?)
}

/// Connects to an address of this computer's own.
///
/// # Errors
/// The system's.
pub async fn dial_loopback(target: &Target) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((target.address, target.port)).await?;
    Ok(Box::new(stream))
}
