//! `model-server`: loads a "model" for a while, then answers predictions: what a slow start looks like.
//!
//! Environment: `LOAD_SECONDS` (3), `PORT` (8080). `/healthz` answers from the start of serving on; until the
//! model is loaded the port is closed, as a real server's is.

use std::time::Duration;

use super::http::{Answer, serve};
use super::time::pause;
use super::{asked_to_end, complain, plain, pod_name, print, version};

pub(super) fn main(_: &[String]) -> i32 {
    let asked = asked_to_end();
    let number =
        |name: &str, default: f64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let port = number("PORT", 8080.0) as u16;
    let (name, version) = (pod_name(), version());
    // A log that nobody reads is no reason to stop.
    let _ = print(&format!("model-server version {version} on {name}\nloading model\n"));
    if !pause(Duration::try_from_secs_f64(number("LOAD_SECONDS", 3.0)).unwrap_or_default(), &asked) {
        return 0;
    }
    let _ = print(&format!("model loaded, listening on :{port}\n"));
    let served = serve(port, &asked, |request| match (request.method.as_str(), request.path.as_str()) {
        (_, "/") => Answer::new(200, format!("hello from {name}, version {version}\n")),
        (_, "/healthz") => Answer::new(200, "ok\n"),
        ("POST", "/predict") => {
            // The sum of the bytes: a prediction that is the same everywhere and easy to check.
            let sum: u64 = request.body.iter().map(|byte| u64::from(*byte)).sum();
            Answer::new(200, format!("{{\"prediction\":{sum},\"model\":\"{version}\",\"pod\":\"{name}\"}}\n"))
        }
        (_, "/predict") => Answer::new(405, "POST what shall be predicted\n"),
        _ => Answer::new(404, "404 page not found\n"),
    });
    served.map_or_else(
        |error| complain("model-server", &format!("cannot listen on port {port}: {}", plain(&error))),
        |()| 0,
    )
}
