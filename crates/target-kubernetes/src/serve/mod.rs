//! A cluster as a live Kubernetes API: the demo's production, branches, `lazaret twin serve`.
//!
//! Knows: how requests reach `cluster`'s API server and how its answers go back; the clock that `/lazaret/clock` moves.
//! Does not know: what any call does.

mod live;
mod users;
mod watching;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::apiserver::{self, Answer, Output, Status, User};
use cluster::{Cluster, Value, doc, time};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use live::{Clock, Live, Speed};
pub use users::{Users, bearer, unauthorized};

use crate::kubeconfig::{Kubeconfig, write_private};
use crate::listen::{self, Handler, Listening};
use crate::message::{self, BODY_BYTES_MAX, Body, Received};
use crate::tls::{Authority, TlsError};

/// Where virtual time is told to pass.
const CLOCK: &str = "/lazaret/clock";

/// How a cluster is to be served.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The folder that the kubeconfig and the authority's certificate are written to.
    pub directory: PathBuf,
    /// What the kubeconfig calls the cluster.
    pub name: String,
    /// How fast its time passes.
    pub speed: Speed,
    /// The administrator's token; made on the spot if none is given.
    pub token: Option<String>,
    /// Who vouches for the server; an authority of its own if none is given.
    pub authority: Option<Arc<Authority>>,
    /// Who may speak to it besides the administrator and those that every served cluster knows.
    pub users: Users,
}

impl Options {
    /// Any free port of this machine, time as fast as it goes.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            directory: directory.into(),
            name: "twin".to_owned(),
            speed: Speed::Max,
            token: None,
            authority: None,
            users: Users::default(),
        }
    }
}

/// Why a cluster could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or the folder cannot be written.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// No certificate could be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A cluster that is being served.
pub struct Served {
    /// `https://host:port`
    pub server: String,
    /// The administrator's bearer token.
    pub token: String,
    /// The file that clients are pointed at.
    pub kubeconfig: PathBuf,
    /// The file with the certificate to trust.
    pub ca: PathBuf,
    /// Holds it; dropping it does not end it, [`Handle::stop`] does.
    pub handle: Handle,
}

/// Holds what is being served.
pub struct Handle {
    live: Arc<Live>,
    listening: Listening,
    clock: JoinHandle<()>,
}

impl Handle {
    /// The cluster itself.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Lets answers under way end, and ends.
    pub async fn stop(self) {
        self.clock.abort();
        self.listening.stop().await;
    }
}

/// Serves a cluster.
///
/// # Errors
/// [`ServeError`] says why not.
pub async fn serve(cluster: Cluster, options: Options) -> Result<Served, ServeError> {
    let failed = |doing: String| move |source| ServeError::Io { doing, source };
    let authority = match options.authority {
        Some(authority) => authority,
        None => Arc::new(Authority::new("lazaret")?),
    };
    let tls = authority.server(&[options.listen.ip()], &[])?;
    let token = match options.token {
        Some(token) => token,
        None => message::random_word().map_err(failed("make a token".to_owned()))?,
    };
    let mut users = Users::with_admin(&token);
    users.extend(options.users);
    let stop = listen::stop_signal();
    let live = Live::new(cluster, options.speed);
    let api = Arc::new(Api { live: live.clone(), users, stopping: stop.subscribe() });
    let listening = listen::listen(options.listen, tls, stop, api)
        .await
        .map_err(failed(format!("listen at {}", options.listen)))?;

    let server = format!("https://{}", reachable(listening.address));
    let (kubeconfig, ca) = (options.directory.join("kubeconfig"), options.directory.join("ca.crt"));
    let pem = authority.pem();
    let text = Kubeconfig { name: &options.name, server: &server, authority: pem, token: &token }.to_yaml();
    std::fs::create_dir_all(&options.directory)
        .and_then(|()| write_private(&kubeconfig, &text))
        .and_then(|()| write_private(&ca, pem))
        .map_err(failed(format!("write to {}", options.directory.display())))?;

    let clock = tokio::spawn(live.clone().run());
    Ok(Served { server, token, kubeconfig, ca, handle: Handle { live, listening, clock } })
}

/// Where clients of this machine reach a listener: one that listens everywhere is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], address.port())),
        _ => address,
    }
}

/// The API of one live cluster.
struct Api {
    live: Arc<Live>,
    users: Users,
    stopping: watch::Receiver<bool>,
}

impl Handler for Api {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let zip = message::takes_gzip(request.headers());
        let user = match self.users.authenticate(request.headers(), &self.live.fork()) {
            Ok(user) => user,
            Err(status) => return self.respond(&Err(status), &Output::default(), zip),
        };
        let received = match message::receive(request, BODY_BYTES_MAX).await {
            Ok(received) => received,
            Err(unreadable) => return self.respond(&Err(unreadable.to_status()), &Output::default(), zip),
        };
        // A list of everything keeps a core busy for a while, and a defect in the twin must cost one answer, not the
        // connection that many streams share.
        let api = self.clone();
        tokio::task::spawn_blocking(move || api.answer(&received, &user, zip)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request broke the server");
            let status = Status::new(500, "InternalError", "Internal error occurred: the twin failed on this request");
            self.respond(&Err(status), &Output::default(), zip)
        })
    }
}

impl Api {
    fn answer(&self, received: &Received, user: &User, zip: bool) -> Response<Body> {
        if received.head.uri.path() == CLOCK {
            let answer = self.clock(received, user).map(|clock| Answer::document(200, clock));
            return self.respond(&answer, &Output::default(), zip);
        }
        let mut fork = self.live.fork();
        let headers: Vec<(String, String)> = received
            .head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let request = apiserver::Request {
            method: received.head.method.as_str(),
            path: received.head.uri.path(),
            query: received.head.uri.query().unwrap_or_default(),
            headers: &headers,
            body: &received.body,
        };
        match apiserver::decode(&fork.schema, &request) {
            Err(status) => {
                let accept: Vec<&str> = received
                    .head
                    .headers
                    .get_all(http::header::ACCEPT)
                    .iter()
                    .filter_map(|value| value.to_str().ok())
                    .collect();
                self.respond(&Err(status), &apiserver::plain_output(&accept.join(",")), zip)
            }
            Ok(call) => {
                let answer = if call.verb.is_read() {
                    apiserver::handle(&mut fork, &call, user)
                } else {
                    self.live.write(|cluster| apiserver::handle(cluster, &call, user))
                };
                self.respond(&answer, &call.output, zip)
            }
        }
    }

    fn respond(&self, answer: &Result<Answer, Status>, output: &Output, zip: bool) -> Response<Body> {
        let encoded = apiserver::encode(answer, output);
        let mut response = match encoded.body {
            apiserver::Body::Bytes(bytes) => {
                let mut response = Response::new(message::whole(Bytes::new()));
                let bytes = message::zip(bytes, response.headers_mut(), zip);
                *response.body_mut() = message::whole(bytes);
                response
            }
            apiserver::Body::Watch(watch) => {
                Response::new(watching::follow(watch, self.live.clone(), self.stopping.clone()))
            }
        };
        *response.status_mut() = http::StatusCode::from_u16(encoded.code).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        message::append_headers(headers, encoded.headers);
        response
    }

    /// `GET` says what time it is; `POST {"settle": true, "limitSeconds": 30}`, `{"advanceSeconds": 5}` and
    /// `{"run": true}` let it pass.
    fn clock(&self, received: &Received, user: &User) -> Result<Value, Status> {
        if !user.groups.iter().any(|group| group == "system:masters") {
            let why = format!("User {:?} cannot move the clock: only system:masters can", user.name);
            return Err(Status::new(403, "Forbidden", why));
        }
        let clock = match received.head.method {
            Method::GET => self.live.clock(),
            Method::POST => {
                let order = Value::from_json(&received.body).map_err(|error| Status::bad_request(error.to_string()))?;
                let seconds = |key: &str| match order.get(key) {
                    Some(Value::Int(seconds)) => Some(*seconds as f64),
                    Some(Value::Float(seconds)) => Some(*seconds),
                    _ => None,
                };
                let duration = |seconds: f64| {
                    Duration::try_from_secs_f64(seconds)
                        .map_err(|_| Status::bad_request(format!("{seconds} is no number of seconds to wait")))
                };
                match (order.at(&["settle"]).is_true(), seconds("advanceSeconds"), order.at(&["run"]).is_true()) {
                    (true, None, false) => self.live.settle(duration(seconds("limitSeconds").unwrap_or(30.0))?),
                    (false, Some(by), false) => self.live.advance(duration(by)?),
                    (false, None, true) => {
                        self.live.release();
                        self.live.clock()
                    }
                    _ => {
                        let known = r#"{"settle": true, "limitSeconds": 30}, {"advanceSeconds": 5} or {"run": true}"#;
                        return Err(Status::bad_request(format!("the clock understands {known}")));
                    }
                }
            }
            _ => return Err(Status::new(405, "MethodNotAllowed", "the clock takes GET and POST")),
        };
        Ok(doc!({"now": (time::format_micro(clock.now)), "settled": (clock.settled)}))
    }
}
