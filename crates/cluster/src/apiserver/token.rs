//! Tokens of service accounts: issued by the API server, and accepted by it until they expire or their account is gone.
//!
//! Knows: what stands in them, and how the API server tells its own.
//! Does not know: tokens of people; who serves a cluster knows those.
//!
//! They look like the real ones (JSON web tokens with Kubernetes' claims), but are signed with a hash over what only this
//! cluster has: enough that one cluster's tokens do not open another, which is all that a cluster in memory needs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use twin::Time;

use super::{User, registry};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// Who issues them, and for whom if nobody else is named.
pub(super) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Not a name that any verifier knows: nobody else is to rely on these.
const HEADER: &str = r#"{"alg":"lazaret-twin","typ":"JWT"}"#;

/// A token for a service account.
pub(super) fn issue(cluster: &mut Cluster, account: &Value, audiences: &Value, until: Time) -> String {
    let id = registry::random_uid(cluster);
    let audiences = if audiences.is_empty() { doc!([(ISSUER)]) } else { audiences.clone() };
    let seconds = |at: Time| at.as_millis().div_euclid(1000);
    let now = seconds(cluster.now());
    let claims = doc!({
        "aud": (audiences), "exp": (seconds(until)), "iat": (now), "nbf": (now), "iss": (ISSUER), "jti": (id),
        "kubernetes.io": {
            "namespace": (account.namespace()),
            "serviceaccount": {"name": (account.name()), "uid": (account.uid())},
        },
        "sub": (format!("system:serviceaccount:{}:{}", account.namespace(), account.name())),
    });
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims.to_json()));
    let signature = sign(cluster, &signed);
    format!("{signed}.{signature}")
}

/// A token for a Secret to hold: it never expires, and is good for as long as it stands there. Its signature is not that of
/// the others, so that only the Secret vouches for it.
pub(crate) fn keep(cluster: &Cluster, account: &Value, secret: &Value) -> String {
    let claims = doc!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": (account.namespace()),
        "kubernetes.io/serviceaccount/secret.name": (secret.name()),
        "kubernetes.io/serviceaccount/service-account.name": (account.name()),
        "kubernetes.io/serviceaccount/service-account.uid": (account.uid()),
        "sub": (format!("system:serviceaccount:{}:{}", account.namespace(), account.name())),
    });
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims.to_json()));
    let signature = sign(cluster, &format!("{}.{signed}", secret.uid()));
    format!("{signed}.{signature}")
}

/// Whom a token stands for: a service account that is still there, with a token that has not expired, or one that stands
/// in a Secret of type `kubernetes.io/service-account-token`.
#[must_use]
pub fn authenticate(cluster: &Cluster, token: &str) -> Option<User> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    if sign(cluster, signed) != signature {
        return kept(cluster, token);
    }
    let claims = Value::from_json(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    if claims.at(&["exp"]).as_int()?.saturating_mul(1000) <= cluster.now().as_millis() {
        return None;
    }
    let claim = |path: &[&str]| claims.at(&[&["kubernetes.io"], path].concat()).str_or_empty().to_owned();
    let (namespace, name) = (claim(&["namespace"]), claim(&["serviceaccount", "name"]));
    let mut user = account(cluster, &namespace, &name, &claim(&["serviceaccount", "uid"]))?;
    let credential = format!("JTI={}", claims.at(&["jti"]).str_or_empty());
    user.extra.push(("authentication.kubernetes.io/credential-id".to_owned(), vec![credential]));
    Some(user)
}

/// Whom a token that stands in a Secret stands for.
fn kept(cluster: &Cluster, token: &str) -> Option<User> {
    let encoded = STANDARD.encode(token);
    let (_, secret) = cluster.list("secrets", None).find(|(_, secret)| {
        *secret.at(&["type"]) == *"kubernetes.io/service-account-token"
            && secret.at(&["data", "token"]).as_str() == Some(&encoded)
    })?;
    let annotation = |name: &str| secret.at(&["metadata", "annotations", name]).str_or_empty();
    let name = annotation("kubernetes.io/service-account.name");
    account(cluster, secret.namespace(), name, annotation("kubernetes.io/service-account.uid"))
}

fn account(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Option<User> {
    let account = cluster.get(&ObjectKey::new("serviceaccounts", namespace, name))?;
    (account.uid() == uid).then(|| User {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: uid.to_owned(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
        extra: Vec::new(),
    })
}

fn sign(cluster: &Cluster, signed: &str) -> String {
    let secret = cluster.get(&ObjectKey::new("namespaces", "", "kube-system")).map_or("", Value::uid);
    let inner = Sha256::new().chain_update(secret).chain_update(signed).finalize();
    URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(secret).chain_update(inner).finalize())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schema::Schema;

    fn with_account() -> (Cluster, ObjectKey, String) {
        let mut cluster = Cluster::new(Schema::default(), Time::from_millis(1_790_000_000_000), 1);
        let key = ObjectKey::new("serviceaccounts", "shop", "bot");
        let account = doc!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "bot", "namespace": "shop", "uid": "u1", "resourceVersion": "1"},
        });
        cluster.load(key.clone(), account.clone());
        let until = cluster.now() + Duration::from_secs(3600);
        let token = issue(&mut cluster, &account, &Value::Null, until);
        (cluster, key, token)
    }

    #[test]
    fn a_token_stands_for_its_account_until_it_expires_or_the_account_is_another() {
        let (mut cluster, key, token) = with_account();
        let user = authenticate(&cluster, &token).unwrap();
        assert_eq!(user.name, "system:serviceaccount:shop:bot");
        assert!(user.groups.contains(&"system:serviceaccounts:shop".to_owned()));

        let mut again = cluster.clone();
        let mut other = again.get(&key).unwrap().clone();
        other.set(&["metadata", "uid"], "u2");
        again.load(key, other);
        assert_eq!(authenticate(&again, &token), None);

        let now = cluster.now();
        cluster.advance(now + Duration::from_secs(3600));
        assert_eq!(authenticate(&cluster, &token), None);
    }

    #[test]
    fn a_token_that_was_changed_or_made_elsewhere_stands_for_nobody() {
        let (cluster, _, token) = with_account();
        let claims = token.split('.').nth(1).unwrap();
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let admin = URL_SAFE_NO_PAD.encode(plain.replace("bot", "tob"));
        for forged in [token.replace(claims, &admin), String::new(), "a.b.c".to_owned(), "..".to_owned()] {
            assert_eq!(authenticate(&cluster, &forged), None, "{forged}");
        }
    }
}
