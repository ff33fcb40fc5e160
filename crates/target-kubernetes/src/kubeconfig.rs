//! Writes the kubeconfig that clients of a listener are handed.
//!
//! Knows: the file's form.
//! Does not know: kubeconfigs that others wrote; kube reads those.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What a client needs to reach a listener.
#[derive(Clone, Debug)]
pub struct Kubeconfig<'a> {
    /// What the context, the cluster and the user are called.
    pub name: &'a str,
    /// `https://host:port`
    pub server: &'a str,
    /// The authority to trust, in PEM.
    pub authority: &'a str,
    /// The bearer token.
    pub token: &'a str,
}

impl Kubeconfig<'_> {
    /// As the text of the file. Its only strings that others choose are quoted as JSON, which YAML includes.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let (name, server, token) = (quote(self.name), quote(self.server), quote(self.token));
        let authority = BASE64_STANDARD.encode(self.authority);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
             clusters:\n- name: {name}\n  cluster:\n    server: {server}\n    certificate-authority-data: {authority}\n\
             users:\n- name: {name}\n  user:\n    token: {token}\n\
             contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n"
        )
    }
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_reads_what_is_written_whatever_the_name() {
        let text = Kubeconfig {
            name: "twin: \"a\"\nb",
            server: "https://127.0.0.1:6443",
            authority: "-----BEGIN CERTIFICATE-----\n",
            token: "t",
        }
        .to_yaml();
        let read = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("twin: \"a\"\nb"));
        assert_eq!(read.clusters[0].cluster.as_ref().unwrap().server.as_deref(), Some("https://127.0.0.1:6443"));
    }
}
