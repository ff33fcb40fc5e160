//! The real binary as a gate, and its other commands on the same data.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use super::{Client, PATIENCE};

/// The program under test.
pub const LAZARET: &str = env!("CARGO_BIN_EXE_lazaret");

/// A gate that runs, or ran.
pub struct Gate {
    /// `https://host:port`
    pub server: String,
    pub data: PathBuf,
    kubeconfig: PathBuf,
    config: PathBuf,
    process: Child,
    lines: mpsc::Receiver<String>,
}

/// An identity that the gate gave out.
pub struct Agent {
    pub kubeconfig: PathBuf,
    pub token: String,
}

impl Gate {
    /// A gate before what the kubeconfig leads to. Comes back when agents can come in and the twin is whole.
    pub fn start(kubeconfig: &Path, data: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let path = data.with_extension("toml");
        std::fs::write(&path, config).unwrap();
        let (process, lines) = spawn(kubeconfig, data, &path, environment);
        let mut gate = Self {
            server: String::new(),
            data: data.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            config: path,
            process,
            lines,
        };
        gate.wait_until_whole();
        gate
    }

    /// Starts it again after it has died, in another environment.
    pub fn restart(&mut self, environment: &[(&str, &str)]) {
        self.begin(environment);
        self.wait_until_whole();
    }

    /// Starts it again, and does not wait for anything.
    pub fn begin(&mut self, environment: &[(&str, &str)]) {
        self.kill();
        (self.process, self.lines) = spawn(&self.kubeconfig, &self.data, &self.config, environment);
    }

    /// What is not there any more cannot say goodbye.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Whether it has died by itself.
    pub fn is_dead(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    fn wait_until_whole(&mut self) {
        let next = |what: &str| {
            self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("the gate has not said {what}: {error}"))
        };
        let line = next("where it listens");
        let at = line.find("https://").unwrap_or_else(|| panic!("no address in {line:?}"));
        self.server = line[at..].trim_end_matches('.').to_owned();
        let whole = next("that its twin is whole");
        assert!(whole.contains("The twin is whole"), "{whole}");
    }

    /// Runs a command of the same program on the gate's data.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(LAZARET).args(arguments).arg("--data").arg(&self.data).output().unwrap()
    }

    /// What a command prints, if it succeeds.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let Output { status, stdout, stderr } = self.run(arguments);
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        if status.success() { Ok(out.into_owned()) } else { Err(format!("{out}{err}")) }
    }

    /// What a command prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let out = self.ask(&[arguments, &["-o", "json"]].concat()).unwrap();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Gives an agent an identity.
    pub fn agent(&self, name: &str) -> Agent {
        self.agent_for(name, 60)
    }

    /// Gives an agent an identity that ends after so many minutes.
    pub fn agent_for(&self, name: &str, minutes: u64) -> Agent {
        let kubeconfig = self.data.with_file_name(format!("{name}.kubeconfig"));
        let (listen, file) = (self.server.trim_start_matches("https://"), kubeconfig.to_str().unwrap());
        let ttl = minutes.to_string();
        self.ask(&["agent", "add", name, "-o", file, "--ttl", &ttl, "--listen", listen]).unwrap();
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        let token = text.split("token: \"").nth(1).and_then(|rest| rest.split('"').next());
        Agent { token: token.expect("a token in the kubeconfig").to_owned(), kubeconfig }
    }

    /// A client with this token, whoever it belongs to.
    pub fn client(&self, token: &str) -> Client {
        Client::new(&self.server, &std::fs::read(self.data.join("ca.crt")).unwrap(), token)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(
    kubeconfig: &Path,
    data: &Path,
    config: &Path,
    environment: &[(&str, &str)],
) -> (Child, mpsc::Receiver<String>) {
    let mut process = Command::new(LAZARET)
        .args(["serve", "--listen", "127.0.0.1:0", "--kubeconfig"])
        .arg(kubeconfig)
        .arg("--data")
        .arg(data)
        .arg("--config")
        .arg(config)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(process.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    (process, lines)
}
