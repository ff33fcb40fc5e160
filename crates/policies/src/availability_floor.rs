//! No service may fall below what it needs.

use std::collections::BTreeMap;

use model::{ActionPolicy, Decimal, Evidence, Finding, Objects, Opinion, PolicyError, Service};
use serde_json::Value;

use crate::{about_effects, limits};

/// A service keeps the endpoints that carry its load; where nobody knows the load, a share of those it had.
#[derive(Debug, Clone)]
pub struct AvailabilityFloor {
    /// Endpoints that must stay ready where the load is not known, in thousandths of those ready before.
    pub floor_permille: u16,
    /// The share of what its ready endpoints can serve that a service may be asked for, in thousandths.
    pub utilisation_max_permille: u16,
    /// For how long a service may be short of what its load needs, in seconds, if no more is missing than its own
    /// disruption budget allows and all comes back.
    pub dip_seconds_max: u64,
}

impl Default for AvailabilityFloor {
    fn default() -> Self {
        Self { floor_permille: 500, utilisation_max_permille: 1000, dip_seconds_max: 60 }
    }
}

/// What a rule found about one service.
struct Found {
    finding: Finding,
    /// Endpoints that would be enough.
    need: u64,
    because: String,
    /// The service is taken away, so that nothing can keep it at what it needs.
    removed: bool,
}

impl ActionPolicy for AvailabilityFloor {
    fn name(&self) -> &str {
        "availability-floor"
    }

    fn help(&self) -> &str {
        "Keeps every service at the endpoints that its load needs or, where the load is unknown, at half of what it had."
    }

    fn remedy(&self) -> &str {
        "Keep more replicas, change fewer at a time, or wait until others are ready."
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        limits([
            ("availability_floor_permille", self.floor_permille.into()),
            ("utilisation_max_permille", self.utilisation_max_permille.into()),
            ("dip_seconds_max", self.dip_seconds_max.into()),
        ])
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let services = evidence.effect.forecast.services.iter().filter(|(_, service)| service.is_degraded());
            let worst = services.map(|(name, service)| (name, self.judge_one(name, service))).reduce(|worst, next| {
                // Of equals the first, so that the same effect always names the same service.
                if next.1.finding > worst.1.finding { next } else { worst }
            });
            Ok(match worst {
                None => Opinion::allow("no service would lose an endpoint"),
                Some((name, found)) => {
                    let opinion = found.finding.because(found.because);
                    if found.finding == Finding::Passes || found.removed {
                        opinion
                    } else {
                        opinion.remedy(remedy(&evidence.effect.objects, name, found.need))
                    }
                }
            })
        })
    }
}

/// What would pass, in the terms of what was asked: whoever deletes a namespace cannot keep more replicas of it.
fn remedy(objects: &Objects, service: &str, need: u64) -> String {
    let mut named = objects.touched.values().filter(|change| change.named).peekable();
    let scales = named.peek().is_none()
        || named.any(|change| change.fields.iter().any(|field| field.path.rsplit('.').next() == Some("replicas")));
    if scales { format!("replicas >= {need}") } else { format!("service {service} keeps {need} ready endpoints") }
}

impl AvailabilityFloor {
    /// Whoever set a budget has said how much may be missing at once; a drain that keeps to it is what it is for. Nobody
    /// has said that nothing may be left, or that it may stay so.
    fn is_short_dip(&self, service: &Service) -> bool {
        service.within_budget
            && service.ready_min.low() > 0
            && service.ready_after.low() >= service.ready_before
            && service.below_seconds.high() <= Decimal::from(self.dip_seconds_max)
    }

    /// To break what stays is denied. Whether a service is to be there at all is not ours to say: taking one away, with all
    /// that stands behind it, waits for a person.
    fn judge_one(&self, name: &str, service: &Service) -> Found {
        let found = self.look(name, service);
        if !service.removed || found.finding == Finding::Passes {
            return found;
        }
        let because = format!("service {name} would be gone, with its {} endpoints", service.ready_before);
        Found { finding: Finding::Unsure, because, removed: true, ..found }
    }

    fn look(&self, name: &str, service: &Service) -> Found {
        let fewest = service.ready_min.low().min(service.ready_after.low());
        let shown = format!("service {name} would have {} of {} endpoints", fewest, service.ready_before);
        let floor = |permille: u16, of: u64| of.saturating_mul(u64::from(permille)).div_ceil(1000);
        match service.load.as_ref().filter(|load| {
            load.capacity_per_endpoint.low() > Decimal::ZERO || load.requests_per_second.high() == Decimal::ZERO
        }) {
            Some(load) if load.requests_per_second.high() == Decimal::ZERO => Found {
                finding: Finding::Passes,
                need: 0,
                because: format!("{shown}, and nobody asks it for anything"),
                removed: false,
            },
            Some(load) if load.capacity_per_endpoint.high() < Decimal::MOST => {
                let may = Decimal::from_millis(i64::from(self.utilisation_max_permille));
                let need = |gets: Decimal, each: Decimal| {
                    let micros = |number: Decimal| u64::try_from(number.micros()).unwrap_or(0);
                    micros(gets.over(each.times(may))).div_ceil(micros(Decimal::ONE)).max(1)
                };
                let (gets, each) = (load.requests_per_second, load.capacity_per_endpoint);
                let (least, most) = (need(gets.low(), each.high()), need(gets.high(), each.low()));
                // What cannot be carried today is not made worse by leaving it as it is.
                let most = most.min(service.ready_before);
                let find = |need| service.ready_min.at_least(need).and(service.ready_after.at_least(need));
                let finding = match (find(most), find(least.min(most))) {
                    (Finding::Passes, _) => Finding::Passes,
                    (_, Finding::Fails) => Finding::Fails,
                    _ => Finding::Unsure,
                };
                if finding != Finding::Passes && self.is_short_dip(service) {
                    let because = format!("{shown} for a moment, as its disruption budget allows");
                    return Found { finding: Finding::Passes, need: most, because, removed: false };
                }
                let because = format!(
                    "{shown} for {} requests a second, of which one endpoint serves {}",
                    gets.likely(),
                    each.likely()
                );
                Found { finding, need: most, because, removed: false }
            }
            _ => {
                let need = floor(self.floor_permille, service.ready_before).max(u64::from(service.ready_before > 0));
                let finding = service.ready_min.at_least(need).and(service.ready_after.at_least(need));
                Found { finding, need, because: shown, removed: false }
            }
        }
    }
}
