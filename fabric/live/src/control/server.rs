//! The HTTP server: a thread with a runtime of its own, so that the loop waits for nobody.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::control::input::ApiError;
use crate::control::view::Topology;
use crate::control::{Remote, document};
use crate::error::LiveError;
use crate::motor::Action;

/// Longest body of a request, in bytes.
const LONGEST_BODY: usize = 64 << 10;
/// How long requests that are under way may take once the session is over.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Reads a fault as a scenario would say it: what it means for the fabric, its times counted from now.
pub type FaultReader =
    Box<dyn Fn(&Map<String, Value>) -> Result<Vec<Action>, ApiError> + Send + Sync>;

/// What a server serves.
pub struct Service {
    /// The session.
    pub remote: Remote,
    /// Its fabric.
    pub topology: Arc<Topology>,
    /// What changes have to carry.
    pub token: String,
    /// Reads faults.
    pub faults: FaultReader,
}

/// What requests are answered from.
pub(crate) struct App {
    pub(crate) remote: Remote,
    pub(crate) topology: Arc<Topology>,
    pub(crate) token: String,
    pub(crate) faults: FaultReader,
    pub(crate) document: String,
}

/// A server that runs, until it is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve at an address; port 0 is one that is free.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(address: SocketAddr, service: Service) -> Result<Server, LiveError> {
        let failed = |error: std::io::Error| LiveError::Listen { address, why: error.to_string() };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let router = router(service);
        let serve = move || {
            runtime.block_on(serve(listener, router, stopped));
            runtime.shutdown_timeout(LAST_REQUESTS);
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(serve);
        let thread = thread.map_err(failed)?;
        Ok(Server { address: bound, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let (over, is_over) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = is_over.await;
    });
    let last = async move {
        let _ = stopped.await;
        drop(over);
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        _ = serving.into_future() => {}
        () = last => {}
    }
}

/// All that is served, guarded.
fn router(service: Service) -> Router {
    let (routes, document) = document::routes();
    let Service { remote, topology, token, faults } = service;
    let app = Arc::new(App { remote, topology, token, faults, document });
    let missing = || async { ApiError::new(StatusCode::NOT_FOUND, "there is nothing here") };
    let method = || async {
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this cannot be asked with that method")
    };
    routes
        .fallback(missing)
        .method_not_allowed_fallback(method)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(guard))
        .with_state(app)
}

/// Refuses requests that a page of another site made a browser send: they name a host that is neither an address nor this one.
async fn guard(request: Request, next: Next) -> Response {
    if is_own(request.headers()) {
        return next.run(request).await;
    }
    let message = "the `Host` of a request has to be an address, or localhost";
    ApiError::new(StatusCode::FORBIDDEN, message).into_response()
}

/// Whether a request names its host by address, which a name that somebody else owns cannot become.
fn is_own(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses and localhost are this host's names; what somebody else's name server may point here is not.
    #[test]
    fn hosts_are_named_by_address() {
        let own = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a value"));
            is_own(&headers)
        };
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "[::1]", "10.0.0.7"]
        {
            assert!(own(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", ""]
        {
            assert!(!own(host), "{host}");
        }
        assert!(!is_own(&HeaderMap::new()), "no host at all");
    }
}
