//! No service may fail those who ask it.

use std::collections::BTreeMap;

use model::{ActionPolicy, Decimal, Evidence, Finding, Load, Opinion, PolicyError, Range};
use serde_json::Value;

use crate::{about_effects, limits};

/// Holds what makes requests fail for a while, and denies what keeps them failing.
///
/// It says something only of services whose load is known, and only of failures that the action adds. A floor of endpoints
/// does not see these: a dip of seconds can leave a queue that outgrows its clients' patience, their retries can keep it
/// there, and who calls the service fails with it though its own endpoints are all well.
#[derive(Debug, Clone)]
pub struct ErrorBudget {
    /// The share of requests that an action may make fail within its horizon, in thousandths.
    pub errors_max_permille: u16,
}

impl Default for ErrorBudget {
    fn default() -> Self {
        Self { errors_max_permille: 10 }
    }
}

impl ActionPolicy for ErrorBudget {
    fn name(&self) -> &str {
        "error-budget"
    }

    fn help(&self) -> &str {
        "Holds what makes more than one request in a hundred fail, and denies it if they would go on failing."
    }

    fn remedy(&self) -> &str {
        "Change fewer endpoints at a time, add capacity first, or wait for a quieter hour."
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        limits([("errors_max_permille", self.errors_max_permille.into())])
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let limit = Decimal::from_millis(i64::from(self.errors_max_permille));
            let services = evidence.effect.forecast.services.iter();
            let loads = services.filter_map(|(name, service)| Some((name, service.load.as_ref()?)));
            let failing = loads.filter_map(|(name, load)| {
                let added = load.errors_added()?;
                let finding = added.at_most(limit);
                let stays = load.failing_at_end == Some(true) && finding == Finding::Fails;
                (finding != Finding::Passes).then_some((stays, added, name, load))
            });
            // What goes on failing is worse than what fails more for a while; of equals the first by name.
            let rank = |found: &(bool, Range<Decimal>, _, _)| (found.0, found.1.high());
            let worst = failing.reduce(|worst, next| if rank(&next) > rank(&worst) { next } else { worst });
            Ok(match worst {
                None => Opinion::allow("no service would fail those who ask it"),
                Some((stays, added, name, load)) => {
                    let finding = if stays { Finding::Fails } else { Finding::Unsure };
                    finding.because(tell(name, added, load, stays))
                }
            })
        })
    }
}

fn tell(name: &str, added: Range<Decimal>, load: &Load, stays: bool) -> String {
    // Tenths of a percent tell enough.
    let percent = |share: Decimal| Decimal::from_millis(share.micros() / 1000 * 100);
    let percent = Range::between(percent(added.best), percent(added.worst));
    let mut text = format!("service {name} would fail {percent} % of its requests");
    if let Some(sent) = load.amplification.0.map(|sent| sent.likely()).filter(|sent| *sent > Decimal::from_millis(1100))
    {
        text += &format!(", each sent {sent} times");
    }
    text + if stays { ", and would not recover by itself" } else { " for a while" }
}
