//! `lazaret twin serve` in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A served twin, and kubectl before it.
pub(crate) struct Twin {
    process: Child,
    said: Value,
}

impl Twin {
    /// Serves one, as the arguments say.
    pub(crate) fn serve(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lazaret"))
            .args(["twin", "serve"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { process, said }
    }

    /// What its line of JSON says.
    pub(crate) fn said(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.said))
    }

    /// Runs kubectl; gives what it printed if it went as it should.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut kubectl = Command::new("kubectl")
            .args(["--kubeconfig", self.said("kubeconfig")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need kubectl in the PATH: run scripts/test");
        kubectl.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = kubectl.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        if status.success() { Ok(out.into_owned()) } else { Err(format!("{out}{err}")) }
    }

    /// Runs kubectl with the words of a line.
    pub(crate) fn run(&self, line: &str) -> String {
        self.kubectl(&line.split(' ').collect::<Vec<_>>(), "").unwrap_or_else(|error| panic!("kubectl {line}: {error}"))
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
