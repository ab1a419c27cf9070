//! Users who never stop asking: requests through the cluster's door, while a check does something else.
//!
//! In: the playground's door, and the host and path that an Ingress has a rule for. Out: how many requests were sent, how many were
//! lost (no answer, or one that says so), and what the first of these was told. One request a connection, as from
//! many users; a few at a time. It ends when it is dropped. Chapter: `book/src/inside/exercises.md`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;

use super::actions::FloodAction;
use super::target::Target;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::tasks::TaskGroup;

/// Users at once.
const USERS: usize = 4;
/// What a user does between two requests: reads the answer.
const BREATH: Duration = Duration::from_millis(20);
/// No answer by then is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of what a lost request was told, so much is kept.
const MOST_WORDS: usize = 200;

/// Requests on their way, and their count.
pub struct Flood {
    tally: Arc<Mutex<Tally>>,
    _ends: DropGuard,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    sent: u64,
    lost: u64,
    /// What the first lost one was told.
    told: String,
}

impl Tally {
    fn count(&mut self, answered: std::result::Result<(), String>) {
        self.sent += 1;
        if let Err(words) = answered {
            self.lost += 1;
            if self.lost == 1 {
                self.told = words.trim().chars().take(MOST_WORDS).collect();
            }
        }
    }
}

impl Flood {
    /// Begins.
    ///
    /// # Errors
    /// When the cluster has no door here.
    pub fn start(target: &Target, action: &FloodAction) -> Result<Flood> {
        let closed = || Error::new("this playground has no door for requests", "it serves no Ingresses");
        let door = target.own()?.ingress.clone().ok_or_else(closed)?;
        let (tally, tasks) = (Arc::<Mutex<Tally>>::default(), TaskGroup::new());
        for _ in 0..USERS {
            let user = User { door: door.clone(), host: action.host.clone(), path: action.path.clone() };
            tasks.spawn("flood", user.asks(target.clock(), tally.clone()));
        }
        Ok(Flood { tally, _ends: tasks.on_drop() })
    }

    /// `{sent, lost, told}`: so far.
    pub fn tally(&self) -> Value {
        let Tally { sent, lost, told } = &*self.tally.lock();
        json!({"sent": sent, "lost": lost, "told": told})
    }
}

struct User {
    door: String,
    host: String,
    path: String,
}

impl User {
    /// Until nobody wants to know any more.
    async fn asks(self, clock: Clock, tally: Arc<Mutex<Tally>>) {
        loop {
            let answered = clock.timeout(PATIENCE, self.one()).await;
            let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
            tally.lock().count(answered);
            clock.sleep(BREATH).await;
        }
    }

    async fn one(&self) -> std::result::Result<(), String> {
        let words = |error: hyper::Error| error.to_string();
        let stream = TcpStream::connect(&self.door).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
        let request = Request::builder().uri(&self.path).header(header::HOST, &self.host);
        let request = request.header(header::CONNECTION, "close").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| error.to_string())?;
        let asked = async {
            let response = sender.send_request(request).await.map_err(words)?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(words)?.to_bytes();
            Ok::<_, String>((status, body))
        };
        // The connection is worked by whoever waits for its answer.
        let (answered, _) = tokio::join!(asked, connection);
        let (status, body) = answered?;
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("{}: {}", status.as_u16(), String::from_utf8_lossy(&body))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_was_lost_is_counted_and_the_first_is_quoted() {
        let mut tally = Tally::default();
        for answered in [Ok(()), Err("503: nobody is there\n".to_owned()), Err("other".to_owned()), Ok(())] {
            tally.count(answered);
        }
        assert_eq!(tally, Tally { sent: 4, lost: 2, told: "503: nobody is there".to_owned() });
    }

    #[tokio::test]
    async fn an_answer_is_good_when_its_status_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = User { door: listener.local_addr().unwrap().to_string(), host: "a".into(), path: "/".into() };
        let answer = |head: &'static str| {
            let listener = &listener;
            async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                String::from_utf8_lossy(&asked[..length]).into_owned()
            }
        };
        let (good, asked) = tokio::join!(user.one(), answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        assert!(good.is_ok() && asked.contains("host: a"), "{asked}");
        let (ill, _) = tokio::join!(user.one(), answer("HTTP/1.1 502 Bad\r\ncontent-length: 6\r\n\r\nnobody"));
        assert_eq!(ill, Err("502: nobody".to_owned()));
        let (cut, _) = tokio::join!(user.one(), answer(""));
        assert!(cut.is_err());
        // Bound and never listening: nobody else can take its port meanwhile.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nobody = User { door: closed.local_addr().unwrap().to_string(), ..user };
        assert!(nobody.one().await.is_err());
    }
}
