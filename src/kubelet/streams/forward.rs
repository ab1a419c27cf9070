//! The port-forward route: three protocols, one [`port_forward`](super::port_forward).

use futures::FutureExt;
use http::{HeaderMap, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;

use super::negotiate::{
    PORT_FORWARD, PROTOCOLS, TUNNEL, is_spdy, spdy_protocols, switch_to_spdy, switch_to_websocket, websocket_key,
    websocket_protocols,
};
use super::port_forward::{self, Target};
use super::spdy;
use super::websocket::{self, Coding, Way};
use crate::kubelet::http::{Body, Refused};
use crate::tasks::TaskGroup;

/// Agrees on a protocol for port-forward and serves it.
pub(super) fn forward(
    tasks: &TaskGroup,
    target: Target,
    query: &[(String, String)],
    headers: &HeaderMap,
    upgrade: OnUpgrade,
) -> Result<Response<Body>, Refused> {
    let Some(accept) = websocket_key(headers) else {
        if !is_spdy(headers) {
            return Err((StatusCode::BAD_REQUEST, "Upgrade request required".to_owned()));
        }
        let wanted = spdy_protocols(headers);
        if !wanted.is_empty() && !wanted.iter().any(|name| name == PORT_FORWARD) {
            let wanted = wanted.join(" ");
            let why = format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{wanted}], server accepts [{PORT_FORWARD}]"
            );
            return Err((StatusCode::FORBIDDEN, why));
        }
        tasks.spawn("port-forward", async move {
            let Ok(connection) = upgrade.await else { return };
            serve_pairs(TokioIo::new(connection), target).await;
        });
        return Ok(switch_to_spdy(PORT_FORWARD));
    };
    let wanted = websocket_protocols(headers);
    if wanted.iter().any(|name| name == TUNNEL) {
        tasks.spawn("port-forward", async move {
            let Ok(connection) = upgrade.await else { return };
            let (inside, carry) = websocket::tunnel(websocket::accept(TokioIo::new(connection)).await);
            tokio::select! {
                () = carry => {}
                () = serve_pairs(inside, target).then(|()| std::future::pending()) => {}
            }
        });
        return Ok(switch_to_websocket(&accept, TUNNEL));
    }
    let ports = ports(query)?;
    let known = PROTOCOLS[1..].iter().find(|(name, ..)| {
        *name != "channel.k8s.io" && *name != "base64.channel.k8s.io" && wanted.iter().any(|wanted| wanted == name)
    });
    let (protocol, coding, _) = *known
        .ok_or_else(|| (StatusCode::FORBIDDEN, format!("requested protocol(s) are not supported: {wanted:?}")))?;
    tasks.spawn("port-forward", async move {
        let Ok(connection) = upgrade.await else { return };
        serve_ports(websocket::accept(TokioIo::new(connection)).await, target, &ports, coding).await;
    });
    Ok(switch_to_websocket(&accept, protocol))
}

async fn serve_pairs(io: impl AsyncRead + AsyncWrite + Unpin, target: Target) {
    let (streams, carry) = spdy::serve(io);
    tokio::select! {
        () = carry => {}
        () = port_forward::serve(target, streams).then(|()| std::future::pending()) => {}
    }
}

/// Plain WebSocket: channel `2n` is port n's data, `2n + 1` its errors; each begins with the port's number.
async fn serve_ports<S>(socket: WebSocketStream<S>, target: Target, ports: &[u16], coding: Coding)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ways: Vec<Way> = ports.iter().flat_map(|_| [Way::Both, Way::Out]).collect();
    let (ends, carry) = websocket::channels(socket, &ways, coding, None);
    let mut ends = ends.into_iter().flatten();
    let mut pairs = Vec::new();
    for port in ports {
        let (Some(mut data), Some(mut error)) = (ends.next(), ends.next()) else { return };
        // The pipes are new and empty: two bytes always fit.
        let _ = data.write_all(&port.to_le_bytes()).await;
        let _ = error.write_all(&port.to_le_bytes()).await;
        pairs.push(port_forward::forward(&target, *port, data, error));
    }
    tokio::select! {
        () = carry => {}
        () = futures::future::join_all(pairs).then(|_| std::future::pending()) => {}
    }
}

/// The ports of a plain WebSocket's query.
fn ports(query: &[(String, String)]) -> Result<Vec<u16>, Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let given: Vec<&str> =
        query.iter().filter(|(name, _)| matches!(name.as_str(), "port" | "ports")).map(|(_, v)| v.as_str()).collect();
    if given.is_empty() {
        return Err(bad("query parameter \"port\" is required".to_owned()));
    }
    let mut ports = Vec::new();
    for text in given {
        if text.is_empty() {
            return Err(bad("query parameter \"port\" cannot be empty".to_owned()));
        }
        for part in text.split(',') {
            match part.parse::<u16>() {
                Ok(0) => return Err(bad(format!("port \"{text}\" must be > 0"))),
                Ok(port) => ports.push(port),
                Err(_) => {
                    let why = if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
                        "value out of range"
                    } else {
                        "invalid syntax"
                    };
                    let why = format!("strconv.ParseUint: parsing \"{part}\": {why}");
                    return Err(bad(format!("unable to parse \"{text}\" as a port: {why}")));
                }
            }
        }
    }
    Ok(ports)
}
