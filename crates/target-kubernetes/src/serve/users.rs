//! Who a request comes from.
//!
//! Knows: bearer tokens and whom they stand for.
//! Does not know: what anyone may do.

use std::collections::BTreeMap;

use cluster::Cluster;
use cluster::apiserver::{self, Status, User};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Bearer tokens and whom they stand for, as kube-apiserver's `--token-auth-file`.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<String, User>);

impl Users {
    /// An administrator under this token, and two people who may do nothing until a binding says so: `alice` of the group
    /// `dev` and `bob` of `ops`, whose tokens are their names. They are there to try RBAC out.
    #[must_use]
    pub fn with_admin(token: &str) -> Self {
        let mut users = Self::default();
        users.add(token, User::admin());
        for (name, group) in [("alice", "dev"), ("bob", "ops")] {
            users.add(
                name,
                User {
                    name: name.to_owned(),
                    uid: format!("uid-{name}"),
                    groups: vec![group.to_owned(), "system:authenticated".to_owned()],
                    extra: Vec::new(),
                },
            );
        }
        users
    }

    /// One more.
    pub fn add(&mut self, token: &str, user: User) {
        self.0.insert(token.to_owned(), user);
    }

    /// Takes all of another's in.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Who sent these headers: nobody in particular without a token, and an error with one that stands for nobody. The
    /// cluster's own tokens, those of service accounts, count as well.
    ///
    /// # Errors
    /// The 401 to answer.
    pub fn authenticate(&self, headers: &HeaderMap, cluster: &Cluster) -> Result<User, Status> {
        match bearer(headers) {
            None => Ok(User {
                name: "system:anonymous".to_owned(),
                groups: vec!["system:unauthenticated".to_owned()],
                ..User::default()
            }),
            Some(token) => {
                let user = self.0.get(token).cloned().or_else(|| apiserver::authenticate(cluster, token));
                user.ok_or_else(unauthorized)
            }
        }
    }
}

/// The answer to a token that stands for nobody.
#[must_use]
pub fn unauthorized() -> Status {
    Status::new(401, "Unauthorized", "Unauthorized")
}

/// The bearer token among the headers.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let said = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = said.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
