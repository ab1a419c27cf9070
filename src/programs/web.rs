//! `web`: the course's web server. It says who answers, in which version, and can be made ill.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the Pod's name and the version |
//! | `/healthz` | 200, or 500 since `/healthz/fail` was asked (`/healthz/ok` heals it) |
//! | `/status/503` | that status |
//! | `/env`, `/headers` | what this process sees |
//!
//! Environment: `PORT` (80), `VERSION`, `POD_NAME`, `GREETING`. TERM: it finishes what it is at, and ends with 0.

use std::sync::atomic::{AtomicBool, Ordering};

use super::http::{Answer, Request, serve};
use super::{asked_to_end, complain, plain, pod_name, print, version};

pub(super) fn main(_: &[String]) -> i32 {
    let asked = asked_to_end();
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(80);
    let (name, version) = (pod_name(), version());
    let healthy = AtomicBool::new(true);
    // A log that nobody reads is no reason to stop serving.
    let _ = print(&format!("web version {version} on {name}\nlistening on :{port}\n"));
    let served = serve(port, &asked, |request| {
        let answer = answer(request, &name, &version, &healthy);
        let _ = print(&format!("{} {} {}\n", request.method, request.path, answer.status));
        answer
    });
    match served {
        Ok(()) => 0,
        Err(error) => complain("web", &format!("cannot listen on port {port}: {}", plain(&error))),
    }
}

fn answer(request: &Request, name: &str, version: &str, healthy: &AtomicBool) -> Answer {
    let health = || match healthy.load(Ordering::SeqCst) {
        true => Answer::new(200, "ok\n"),
        false => Answer::new(500, "not ok\n"),
    };
    match request.path.as_str() {
        "/" => {
            let greeting = std::env::var("GREETING").unwrap_or_else(|_| "hello".to_owned());
            Answer::new(200, format!("{greeting} from {name}, version {version}\n"))
        }
        "/healthz" => health(),
        "/healthz/fail" | "/healthz/ok" => {
            healthy.store(request.path.ends_with("ok"), Ordering::SeqCst);
            Answer::new(200, "noted\n")
        }
        "/env" => {
            Answer::new(200, std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect::<String>())
        }
        "/headers" => Answer::new(
            200,
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>(),
        ),
        path => match path
            .strip_prefix("/status/")
            .and_then(|code| code.parse().ok())
            .filter(|code| (200..600).contains(code))
        {
            Some(code) => Answer::new(code, ""),
            None => Answer::new(404, "404 page not found\n"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_answers_and_can_be_made_ill() {
        let healthy = AtomicBool::new(true);
        let ask = |path: &str| answer(&Request { path: path.into(), ..Request::default() }, "web-1", "2", &healthy);
        assert_eq!(ask("/"), Answer::new(200, "hello from web-1, version 2\n"));
        assert_eq!(ask("/healthz").status, 200);
        ask("/healthz/fail");
        assert_eq!(ask("/healthz").status, 500);
        ask("/healthz/ok");
        assert_eq!((ask("/healthz").status, ask("/status/503").status, ask("/x").status), (200, 503, 404));
    }
}
