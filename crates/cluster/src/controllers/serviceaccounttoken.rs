//! The token controller: Secrets that hold a service account's token get it, and go with the account.
//!
//! Knows: `pkg/controller/serviceaccount/tokens_controller.go`.
//! Does not know: what is in a token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::serviceaccount::CERTIFICATE;
use super::{Controller, Next};
use crate::apiserver::registry::Deletion;
use crate::apiserver::token;
use crate::cluster::{Change, Cluster};
use crate::object::ObjectKey;
use crate::value::Value;

const CLIENT: Client = Client::controller("tokens-controller");
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// The controller.
pub(super) struct Tokens;

impl Controller for Tokens {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is("secrets") {
            if change.after.as_ref().is_some_and(is_token) {
                look(change.key.clone());
            }
        } else if change.key.is("serviceaccounts") && change.after.is_none() {
            let secrets = cluster.list("secrets", Some(&change.key.namespace));
            let of_it = secrets.filter(|(_, secret)| {
                is_token(secret) && secret.annotation(ACCOUNT_NAME) == Some(change.key.name.as_str())
            });
            of_it.for_each(|(key, _)| look(key.clone()));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(secret) = cluster.get(key).filter(|secret| is_token(secret)).cloned() else { return Next::Done };
        let name = secret.annotation(ACCOUNT_NAME).unwrap_or_default();
        let account = cluster
            .get(&key.beside("serviceaccounts", name))
            .filter(|account| secret.annotation(ACCOUNT_UID).is_none_or(|uid| uid.is_empty() || uid == account.uid()));
        let Some(account) = account.cloned() else {
            let deletion = Deletion { uid: Some(secret.uid().to_owned()), ..Deletion::default() };
            let _ = CLIENT.delete(cluster, key, &deletion);
            return Next::Done;
        };
        let certificate = cluster.get(&key.beside("configmaps", CERTIFICATE)).cloned().unwrap_or_default();
        let certificate = certificate.at(&["data", "ca.crt"]).as_str().map(|text| STANDARD.encode(text));
        let has_token = !secret.at(&["data", "token"]).is_empty();
        let token = (!has_token).then(|| STANDARD.encode(token::keep(cluster, &account, &secret)));
        let namespace = STANDARD.encode(key.namespace.as_str());
        let _ = CLIENT.update(cluster, key, |secret| {
            if secret.annotation(ACCOUNT_UID) != Some(account.uid()) {
                secret.set(&["metadata", "annotations", ACCOUNT_UID], account.uid());
            }
            for (field, value) in [("ca.crt", certificate), ("namespace", Some(namespace)), ("token", token)] {
                if let Some(value) = value
                    && secret.at(&["data", field]).as_str() != Some(&value)
                {
                    secret.set(&["data", field], value);
                }
            }
        });
        Next::Done
    }
}

fn is_token(secret: &Value) -> bool {
    secret.at(&["type"]) == "kubernetes.io/service-account-token"
        && !secret.is_terminating()
        && secret.annotation(ACCOUNT_NAME).is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;
    use crate::testing::{cluster, create, delete, story};

    #[test]
    fn a_secret_for_a_token_gets_one_that_opens_and_goes_with_its_account() {
        let mut cluster = cluster(&[]);
        let account = |name: &str| doc!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": (name), "namespace": "shop"}});
        create(&mut cluster, "serviceaccounts", account("bot"));
        for (name, of) in [("mine", "bot"), ("nobodys", "nobody")] {
            let secret = doc!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
                "metadata": {"name": (name), "namespace": "shop", "annotations": {(ACCOUNT_NAME): (of)}},
            });
            create(&mut cluster, "secrets", secret);
        }
        story(&mut cluster, 5, "secrets", |_| String::new());
        let key = ObjectKey::new("secrets", "shop", "mine");
        assert_eq!(cluster.get(&ObjectKey::new("secrets", "shop", "nobodys")), None, "there is no such account");
        let held = cluster.get(&key).expect("it stays").at(&["data", "token"]).str_or_empty().to_owned();
        let token = String::from_utf8(STANDARD.decode(held).expect("base64")).expect("text");
        let user = token::authenticate(&cluster, &token).map(|user| user.name);
        assert_eq!(user.as_deref(), Some("system:serviceaccount:shop:bot"));
        delete(&mut cluster, "serviceaccounts", "shop", "bot", None);
        story(&mut cluster, 5, "secrets", |_| String::new());
        assert_eq!(cluster.get(&key), None);
        assert_eq!(token::authenticate(&cluster, &token), None);
    }
}
