//! The gate, put together from a configuration.
//!
//! Knows: what is in the data folder, and in which order things have to start.
//! Does not know: what any of it does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cluster::Schema;
use gate::vault::{Read, Rehearse, Unlock, Write};
use gate::{Gate, Journal, Parts, Settings, TokioHost, Vault};
use http::Response;
use model::{AgentId, TargetName};
use secrecy::SecretSlice;
use target_kubernetes::decode::Asked;
use target_kubernetes::front::{self, Authenticate, Passage};
use target_kubernetes::listen::Listening;
use target_kubernetes::mask::Mask;
use target_kubernetes::message::Body;
use target_kubernetes::refuse;
use target_kubernetes::sync::{self, Sync};
use target_kubernetes::target::{Access, Kubernetes, session};
use target_kubernetes::telemetry::Telemetry;
use target_kubernetes::tls::Authority;

use crate::agents::{Agents, TokenError};
use crate::cli::{Failure, wall_clock};
use crate::config::{Config, Mode, WINDOW_MS};
use crate::files::unusable;
use crate::{admin, config};

/// What the gate's own authority is called.
const AUTHORITY: &str = "lazaret";

/// The certificate that agents trust, in the data folder.
#[must_use]
pub(crate) fn authority_file(data: &Path) -> PathBuf {
    data.join("ca.crt")
}

/// Where agents come in, as the gate that started last in a data folder found it.
#[must_use]
pub(crate) fn server_file(data: &Path) -> PathBuf {
    data.join("server")
}

/// A gate that runs.
pub(crate) struct Serving {
    /// The gate.
    pub(crate) gate: Arc<Gate<Kubernetes>>,
    /// Its front door.
    pub(crate) door: Listening,
}

/// Whoever holds a token of the data folder is an agent.
struct Door(Agents);

impl Authenticate for Door {
    fn agent(&self, token: &str) -> Option<AgentId> {
        match self.0.authenticate(token, SystemTime::now()) {
            Ok(agent) => Some(agent),
            Err(error) => {
                tracing::info!(%error, "nobody");
                None
            }
        }
    }

    fn ended(&self, token: &str) -> Option<String> {
        let error = self.0.authenticate(token, SystemTime::now()).err()?;
        matches!(error, TokenError::Expired { .. }).then(|| error.to_string())
    }
}

/// From the front door through the gate.
struct Through(Arc<Gate<Kubernetes>>);

impl Passage for Through {
    fn schema(&self) -> Schema {
        self.0.target().sync().newest().cluster.schema.clone()
    }

    async fn pass(&self, agent: AgentId, asked: Asked) -> Response<Body> {
        match gate::pass(&self.0, &agent, asked).await {
            Ok(response) => response,
            Err(refusal) => refuse::refuse(refusal),
        }
    }
}

/// Starts a gate: journal, vault, production's twin, what was left open, people's socket, and last the front door.
pub(crate) async fn start(config: &Config) -> Result<Serving, Failure> {
    std::fs::create_dir_all(&config.data).map_err(unusable(&config.data))?;
    // First of all, as the folder belongs to whoever writes the journal: a gate that finds another there must not have
    // touched anything of it.
    let journal = Journal::open(&config.data, WINDOW_MS)?;
    let name = TargetName::from(config.target.name.as_str());
    let vault = Vault::open(&config.data.join("vault.json"), Unlock::KeyFile(config.data.join("vault.key")))?;
    if let Some(access) = access(config)? {
        let secret = SecretSlice::from(serde_json::to_vec(&access)?);
        vault.put(&name, Read, &secret)?;
        vault.put(&name, Rehearse, &secret)?;
        vault.put(&name, Write, &secret)?;
    }
    if !vault.has(&name, Read) {
        let why = "there is no credential for production: name a kubeconfig in [target] of the configuration";
        return Err(why.into());
    }

    let mask = Mask::new()?;
    let upstream = {
        let credential = vault.reader(&name);
        session(&credential)?.clone()
    };
    let options = sync::Options {
        stale_after: Duration::from_secs(config.target.stale_after_seconds),
        ..sync::Options::default()
    };
    let sync = Sync::start(upstream, mask.clone(), wall_clock(), options);

    let mut target = Kubernetes::new(name, sync.clone(), mask).lingering(linger(config));
    if let Some(prometheus) = &config.target.prometheus {
        target = target.measured(Telemetry::start(prometheus.options()?, sync)?);
    }
    let gate = Gate::new(Parts {
        target,
        policies: config.policies()?,
        journal,
        vault,
        host: Arc::new(TokioHost::current()?),
        settings: settings(config),
        probe: crate::probe::from_environment(),
    });
    let open = gate::resume(&gate).await.map_err(|refusal| refusal.text())?;
    if open > 0 {
        tracing::warn!(open, "intents were left open: each is in doubt until production shows what became of it");
    }
    admin::serve(&config.data, gate.clone()).map_err(unusable(&admin::socket(&config.data)))?;

    let authority = authority(&config.data)?;
    let tls = authority.server(&[config.listen.ip()], &config.names())?;
    let agents = Door(Agents::of(&config.data));
    let door = front::open(config.listen, tls, agents, Through(gate.clone())).await.map_err(|error| {
        format!("nobody can come in at {}: {error}: name another address with --listen", config.listen)
    })?;
    let server = server_file(&config.data);
    std::fs::write(&server, config.server(door.address)).map_err(unusable(&server))?;
    Ok(Serving { gate, door })
}

/// How long what was sent may be on its way: as long as production's server lets it take, and the seconds that the server
/// may have been late to read it.
fn linger(config: &Config) -> Duration {
    const LATE: Duration = Duration::from_secs(5);
    Duration::from_secs(config.target.request_timeout_seconds).saturating_add(LATE)
}

fn settings(config: &Config) -> Settings {
    let hold = &config.hold;
    Settings {
        mode: match config.target.mode {
            Mode::Enforce => gate::Mode::Enforce,
            Mode::Observe => gate::Mode::Observe,
        },
        patience_ms: hold.patience_seconds.saturating_mul(1000),
        retry_after_ms: hold.retry_after_seconds.saturating_mul(1000),
        grant_ms: hold.grant_seconds.saturating_mul(1000),
        ..Settings::default()
    }
}

/// The credential that the configuration names, if it names one that is still there: once it is in the vault the file may go.
fn access(config: &config::Config) -> Result<Option<Access>, Failure> {
    let Some(file) = config.target.kubeconfig.as_ref().filter(|file| file.exists()) else { return Ok(None) };
    let kubeconfig = target_kubernetes::upstream::portable(file)?;
    Ok(Some(Access { kubeconfig, context: config.target.context.clone() }))
}

/// The gate's own authority: made once, so that agents' kubeconfigs outlive a restart.
fn authority(data: &Path) -> Result<Authority, Failure> {
    let (certificate, key) = (authority_file(data), data.join("ca.key"));
    if certificate.exists() && key.exists() {
        return Ok(Authority::from_pem(
            AUTHORITY,
            &std::fs::read_to_string(&certificate).map_err(unusable(&certificate))?,
            &std::fs::read_to_string(&key).map_err(unusable(&key))?,
        )?);
    }
    let authority = Authority::new(AUTHORITY)?;
    target_kubernetes::kubeconfig::write_private(&key, &authority.key_pem()).map_err(unusable(&key))?;
    std::fs::write(&certificate, authority.pem()).map_err(unusable(&certificate))?;
    Ok(authority)
}
