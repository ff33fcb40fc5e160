//! What an operator decides: `lazaret.toml`.
//!
//! Knows: the settings, their defaults, and what is wrong with a file.
//! Does not know: what is built from them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use target_kubernetes::{sync, telemetry};

use crate::rules::Site;

/// What an agent does counts towards its budgets for a day.
pub(crate) const WINDOW_MS: u64 = 24 * 3_600_000;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where agents come in.
    pub listen: SocketAddr,
    /// What agents' kubeconfigs name as the server; the address that is listened on if not said.
    pub public: Option<String>,
    /// The folder with everything that must outlive the process: journal, vault, agents, certificates.
    pub data: PathBuf,
    /// The system behind the gate.
    pub target: Target,
    /// How long holds wait.
    pub hold: Hold,
    /// The limits of the built-in rules.
    pub policy: Policy,
}

/// One production system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Target {
    /// The operator's name for it.
    pub name: String,
    /// The kubeconfig with the credential for it. It is taken into the vault at the first start and may then be removed.
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; the current one if not said.
    pub context: Option<String>,
    /// `enforce`, or `observe`: forward everything and record what would have been decided.
    pub mode: Mode,
    /// How old the twin may be before writes are held back, in seconds. No less than a healthy one may be.
    pub stale_after_seconds: u64,
    /// How long production's API server lets a request take, in seconds: its `--request-timeout`. What was sent and not
    /// answered may happen until then.
    pub request_timeout_seconds: u64,
    /// Where the load on its services is learned; nowhere if not said.
    pub prometheus: Option<Prometheus>,
}

/// A server that answers as Prometheus does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prometheus {
    /// Such as `http://prometheus.monitoring:9090`.
    pub url: String,
    /// A file with the bearer token that it wants.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// How often it is asked, in seconds.
    #[serde(default = "five_minutes")]
    pub every_seconds: u64,
    /// The CPU of pods in cores, by `namespace` and `pod`; cAdvisor's if not said.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Questions that come before the usual ones.
    #[serde(default)]
    pub query: Vec<Query>,
}

/// How one instrumentation counts requests to services.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// What it is called, for logs.
    pub name: String,
    /// Requests per second, one series a service.
    pub requests: String,
    /// Seconds that a request takes, one series a service.
    #[serde(default)]
    pub seconds: String,
    /// Labels that may hold the namespace.
    pub namespace: Vec<String>,
    /// Labels that may hold the service's name.
    pub service: Vec<String>,
}

fn five_minutes() -> u64 {
    300
}

impl Prometheus {
    /// What is to be asked, and where.
    ///
    /// # Errors
    /// If the token cannot be read.
    pub(crate) fn options(&self) -> std::io::Result<telemetry::Options> {
        let mut options = telemetry::Options::new(&self.url);
        let token = self.token_file.as_ref().map(fs::read_to_string).transpose()?;
        options.token = token.map(|token| token.trim().to_owned());
        options.every = Duration::from_secs(self.every_seconds.max(1));
        options.cpu = self.cpu.clone().unwrap_or(options.cpu);
        let own = self.query.iter().cloned().map(|Query { name, requests, seconds, namespace, service }| {
            telemetry::Question { name, requests, seconds, namespace, service }
        });
        options.questions.splice(0..0, own);
        Ok(options)
    }
}

/// Whether verdicts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// They do.
    Enforce,
    /// They are only recorded.
    Observe,
}

/// How long a held request waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hold {
    /// Before it is answered 429, in seconds. Clients that wait longer by themselves come back.
    pub patience_seconds: u64,
    /// What `Retry-After` says then, in seconds.
    pub retry_after_seconds: u64,
    /// For how long an approval is good, in seconds.
    pub grant_seconds: u64,
}

/// The limits of the built-in rules; what is not said keeps its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    /// Of a service's endpoints, in thousandths, so many stay ready where its load is not known.
    pub availability_floor_permille: Option<u16>,
    /// The share of what its ready endpoints can serve that a service may be asked for, in thousandths.
    pub utilisation_max_permille: Option<u16>,
    /// For how long a service may be short within its disruption budget, in seconds.
    pub dip_seconds_max: Option<u64>,
    /// Objects that one action may touch.
    pub objects_max: Option<u64>,
    /// Of a service's requests, in thousandths, so many may fail because of one action where its load is known.
    pub errors_max_permille: Option<u16>,
    /// Objects that one action may delete.
    pub deleted_max: Option<u64>,
    /// Namespaces that one action may touch.
    pub namespaces_max: Option<u64>,
    /// Of all machines, in thousandths, so many may lose work by one action.
    pub nodes_max_permille: Option<u16>,
    /// Of all services, in thousandths, so many may have fewer endpoints by one action.
    pub services_max_permille: Option<u16>,
    /// Namespaces in which nothing is changed without a person.
    pub protected_namespaces: Option<BTreeSet<String>>,
    /// Kinds of which nothing is deleted without a person.
    pub protected_kinds: Option<BTreeSet<String>>,
    /// Whether agents may read the output of workloads.
    pub output_readable: Option<bool>,
    /// Objects that one agent may delete within the gate's window.
    pub session_deleted_max: Option<u64>,
    /// Machines that one agent may take work from within the gate's window.
    pub session_nodes_max: Option<u64>,
    /// Of all machines, in thousandths, so many that all agents together may take in a while.
    pub session_nodes_max_permille: Option<u16>,
    /// Of a service's endpoints, in thousandths, so many are left of those it had before the agent's first action.
    pub session_floor_permille: Option<u16>,
    /// The folder with the site's own rules.
    pub rules: Option<PathBuf>,
    /// What is in it.
    #[serde(skip)]
    pub site: Site,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            public: None,
            data: PathBuf::from("lazaret-data"),
            target: Target::default(),
            hold: Hold::default(),
            policy: Policy::default(),
        }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self {
            name: "production".into(),
            kubeconfig: None,
            context: None,
            mode: Mode::Enforce,
            stale_after_seconds: 180,
            request_timeout_seconds: 60,
            prometheus: None,
        }
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self { patience_seconds: 20, retry_after_seconds: 5, grant_seconds: 600 }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("the configuration {path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something that is no setting.
    #[error("the configuration {path} is not right: {why}", path = path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What and where.
        why: String,
    },
}

impl Config {
    /// The file's settings over the defaults. Paths in it are relative to the file.
    ///
    /// # Errors
    /// When it cannot be read, or says something that is no setting: a misspelt limit must not be a missing one.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text).map_err(|why| ConfigError::Wrong { path: path.to_owned(), why })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.data = folder.join(&config.data);
        config.target.kubeconfig = config.target.kubeconfig.map(|file| folder.join(file));
        let wrong = |why| ConfigError::Wrong { path: path.to_owned(), why };
        if let Some(rules) = &config.policy.rules {
            config.policy.site = Site::read(&folder.join(rules)).map_err(wrong)?;
        }
        config.policies().map_err(|error| wrong(error.to_string()))?;
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let (said, least) = (config.target.stale_after_seconds, sync::SILENCE.as_secs());
        if said < least {
            return Err(format!(
                "stale_after_seconds = {said} is too short: where nothing changes production is silent for a minute, so \
                 that a healthy twin may have heard of it up to {least} s ago"
            ));
        }
        Ok(config)
    }

    /// What agents' kubeconfigs name as the server.
    #[must_use]
    pub(crate) fn server(&self, listens_at: SocketAddr) -> String {
        self.public.clone().unwrap_or_else(|| format!("https://{listens_at}"))
    }

    /// Names besides addresses that the front door's certificate has to cover: the host of its public address.
    #[must_use]
    pub(crate) fn names(&self) -> Vec<String> {
        let host = self.public.as_deref().and_then(|url| url.split("://").nth(1));
        let host = host.and_then(|rest| rest.split(['/', ':']).next());
        host.map(str::to_owned).into_iter().collect()
    }

    /// The built-in rules with this configuration's limits, and the site's own.
    ///
    /// # Errors
    /// When one of the site's own is wrong; of a configuration that was read, none is.
    pub(crate) fn policies(&self) -> Result<Vec<Box<dyn model::ActionPolicy>>, policies::RuleError> {
        fn set<T, S: Clone + Into<T>>(limit: &mut T, said: &Option<S>) {
            if let Some(said) = said {
                *limit = said.clone().into();
            }
        }
        let (mut pack, said) = (policies::Pack::default(), &self.policy);
        set(&mut pack.availability_floor.floor_permille, &said.availability_floor_permille);
        set(&mut pack.availability_floor.utilisation_max_permille, &said.utilisation_max_permille);
        set(&mut pack.availability_floor.dip_seconds_max, &said.dip_seconds_max);
        set(&mut pack.blast_radius.objects_max, &said.objects_max);
        set(&mut pack.blast_radius.deleted_max, &said.deleted_max);
        set(&mut pack.blast_radius.namespaces_max, &said.namespaces_max);
        set(&mut pack.blast_radius.nodes_max_permille, &said.nodes_max_permille);
        set(&mut pack.blast_radius.services_max_permille, &said.services_max_permille);
        set(&mut pack.protected.namespaces, &said.protected_namespaces);
        set(&mut pack.protected.kinds, &said.protected_kinds);
        set(&mut pack.signature.output_readable, &said.output_readable);
        set(&mut pack.session_budget.deleted_max, &said.session_deleted_max);
        set(&mut pack.session_budget.nodes_max, &said.session_nodes_max);
        set(&mut pack.session_budget.nodes_max_permille, &said.session_nodes_max_permille);
        set(&mut pack.error_budget.errors_max_permille, &said.errors_max_permille);
        set(&mut pack.session_budget.floor_permille, &said.session_floor_permille);
        said.site.over(pack.rules())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_keeps_its_default() {
        let config = Config::parse("[target]\nname = \"prod-eu\"\nmode = \"observe\"").unwrap();
        let target = Target { name: "prod-eu".into(), mode: Mode::Observe, ..Target::default() };
        assert_eq!(config, Config { target, ..Config::default() });
    }

    #[test]
    fn a_healthy_twin_that_hears_nothing_new_is_not_stale_whatever_is_set() {
        assert!(Config::default().target.stale_after_seconds > sync::SILENCE.as_secs());
        let set = |seconds: u64| Config::parse(&format!("[target]\nstale_after_seconds = {seconds}"));
        assert_eq!(set(75).unwrap().target.stale_after_seconds, 75);
        let why = set(60).unwrap_err();
        assert!(why.contains("stale_after_seconds = 60 is too short") && why.contains("75 s"), "{why}");
    }

    #[test]
    fn a_misspelt_setting_is_an_error_and_says_where() {
        let why = Config::parse("[policy]\navailability_flor_permille = 900").unwrap_err();
        assert!(why.contains("availability_flor_permille") && why.contains("line 2"), "{why}");
    }

    #[test]
    fn the_handbook_shows_the_defaults() {
        let handbook = include_str!("../../../docs/operating.md");
        let example = handbook.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
        let (shown, default) = (Config::parse(example).unwrap(), Config::default());
        let limits =
            |config: &Config| config.policies().unwrap().iter().flat_map(|rule| rule.limits()).collect::<Vec<_>>();
        assert_eq!(limits(&shown), limits(&default));
        assert_eq!((shown.listen, shown.hold), (default.listen, default.hold));
        assert_eq!(shown.target.stale_after_seconds, default.target.stale_after_seconds);
        assert_eq!(shown.target.request_timeout_seconds, default.target.request_timeout_seconds);
    }

    #[test]
    fn every_limit_of_a_rule_can_be_set_under_the_name_it_is_listed_with() {
        let limits =
            |config: &Config| -> Vec<_> { config.policies().unwrap().iter().flat_map(|rule| rule.limits()).collect() };
        for (name, limit) in limits(&Config::default()) {
            let other = match limit {
                serde_json::Value::Number(_) => serde_json::json!(77),
                serde_json::Value::Bool(said) => serde_json::json!(!said),
                _ => serde_json::json!(["other"]),
            };
            let config = Config::parse(&format!("[policy]\n{name} = {other}")).unwrap_or_else(|why| panic!("{why}"));
            let set = limits(&config).into_iter().find(|(listed, _)| *listed == name);
            assert_eq!(set, Some((name, other)));
        }
    }
}
