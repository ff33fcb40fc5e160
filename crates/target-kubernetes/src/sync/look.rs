//! One look at production, with whatever rights there are.
//!
//! Knows: what may be listed of the whole cluster, what only of one namespace, and what not at all.
//! Does not know: what happens to production afterwards; [`Sync`](super::Sync) follows it.

use cluster::schema::Resource;
use cluster::{Cluster, ObjectKey, Schema, Value};

use super::discover::Discovery;
use super::pages::{self, NoPage};
use super::{Options, stored};
use crate::mask::Mask;
use crate::upstream::Upstream;

/// How often a list is begun anew because its later pages are no longer kept.
const TRIES: usize = 3;

/// What one look showed.
pub struct Look {
    /// What was seen. No controller has worked on it.
    pub cluster: Cluster,
    /// What could be seen of the namespace alone: its name in object keys, such as `pods`.
    pub partly: Vec<String>,
    /// What could not be seen, and why.
    pub unseen: Vec<(String, String)>,
}

/// Lists everything that production has; where that is not allowed, what the namespace has.
///
/// # Errors
/// What went wrong, if production cannot be discovered, or a list broke.
pub async fn look(
    upstream: &Upstream,
    mask: &Mask,
    now: twin::Time,
    options: &Options,
    namespace: &str,
) -> Result<Look, String> {
    let schema = Discovery::default().schema(upstream).await?;
    let wanted = stored(&schema, &options.without);
    let mut look = Look { cluster: Cluster::new(Schema::default(), now, options.seed), partly: vec![], unseen: vec![] };
    look.cluster.schema = schema;
    for (id, resource) in wanted {
        let mut seen = list(upstream, &resource, None, mask).await;
        if let Err(NoPage::Forbidden(_)) = seen
            && resource.namespaced
        {
            seen = list(upstream, &resource, Some(namespace), mask).await;
            if seen.is_ok() {
                look.partly.push(id.to_string());
            }
        }
        match seen {
            Ok(objects) => {
                for object in objects {
                    let key = ObjectKey::new(id.clone(), object.namespace(), object.name());
                    look.cluster.load(key, object);
                }
            }
            Err(NoPage::Absent) => {}
            Err(NoPage::Forbidden(why)) => look.unseen.push((id.to_string(), why)),
            Err(NoPage::Gone) => return Err(format!("{id}: its list changes faster than it can be read")),
            Err(NoPage::Broken(why)) => return Err(format!("{id}: {why}")),
        }
    }
    Ok(look)
}

async fn list(
    upstream: &Upstream,
    resource: &Resource,
    namespace: Option<&str>,
    mask: &Mask,
) -> Result<Vec<Value>, NoPage> {
    let mut outcome = Err(NoPage::Gone);
    for _ in 0..TRIES {
        outcome = whole(upstream, resource, namespace, mask).await;
        if !matches!(outcome, Err(NoPage::Gone)) {
            break;
        }
    }
    outcome
}

async fn whole(
    upstream: &Upstream,
    resource: &Resource,
    namespace: Option<&str>,
    mask: &Mask,
) -> Result<Vec<Value>, NoPage> {
    let (mut objects, mut more) = (Vec::new(), None);
    loop {
        let page = pages::page(upstream, resource, namespace, more.as_ref(), mask).await?;
        objects.extend(page.objects);
        match page.more {
            Some(token) => more = Some(token),
            None => return Ok(objects),
        }
    }
}
