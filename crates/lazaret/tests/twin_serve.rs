//! `lazaret twin serve`, as a stranger uses it: the command, its line of JSON, and the real kubectl.
//!
//! Needs kubectl in the PATH; `scripts/test` puts one there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

struct Twin {
    process: Child,
    said: Value,
}

impl Twin {
    fn serve(arguments: &[&str]) -> Self {
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

    fn said(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.said))
    }

    /// Runs kubectl; gives what it printed if it went as it should.
    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
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

    fn run(&self, line: &str) -> String {
        self.kubectl(&line.split(' ').collect::<Vec<_>>(), "").unwrap_or_else(|error| panic!("kubectl {line}: {error}"))
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

#[test]
fn a_twin_starts_as_its_snapshot_says_and_leaves_nothing_behind() {
    let folder = std::env::temp_dir().join(format!("lazaret-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let objects = [
        r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}"#,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","namespace":"shop"},"data":{"a":"1"}}"#,
    ];
    std::fs::write(folder.join("objects.jsonl"), objects.join("\n")).unwrap();
    let twin = Twin::serve(&["--snapshot", folder.to_str().unwrap()]);
    assert_eq!(twin.run("-n shop get configmap settings -o jsonpath={.data.a}"), "1");
    let kubeconfig = twin.said("kubeconfig").to_owned();
    assert!(std::path::Path::new(&kubeconfig).exists());
    drop(twin);
    assert!(!std::path::Path::new(&kubeconfig).exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_served_is_said_in_one_line() {
    for (arguments, says) in [
        (&["--snapshot", "/nowhere.json"][..], "/nowhere.json"),
        (&["--listen", "192.0.2.1:1"], "192.0.2.1:1"),
        (&["--speed", "never"], "say max, real, or a factor"),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_lazaret")).args(["twin", "serve"]).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && error.contains(says), "{arguments:?}: {error}");
    }
}
