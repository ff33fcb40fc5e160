//! An effect in a few sentences, for whoever has to agree to it.
//!
//! Knows: what a person wants to hear first: what is lost, what is down, what is touched.
//! Does not know: where it is shown.

use crate::{Among, Decimal, Effect, Finding, Load, Manner, ObjectRef, Range, Reversibility};

/// So many names are listed; of more, the number is said.
const NAMES_MAX: usize = 5;

impl Effect {
    /// What would happen, the worst first. Empty if nothing would.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let forecast = &self.forecast;
        if forecast.reversibility == Reversibility::Irreversible {
            lines.push("cannot be taken back".to_owned());
        }
        let mut set = |what: &str, set: &Among<ObjectRef>| {
            if !set.is_none() {
                lines.push(format!("{what} {}", among(set)));
            }
        };
        set("lose the data of", &forecast.volumes_lost);
        set("give up the storage claims", &forecast.claims_deleted);
        set("expose the secrets", &forecast.secrets_exposed);
        set("take away the safeguards", &forecast.guards_removed);
        set("throw out", &forecast.preempted);
        for (name, service) in forecast.services.iter().filter(|(_, service)| service.is_degraded()) {
            lines.push(format!(
                "service {name}: {} ready now, at the worst {}, in the end {}",
                service.ready_before, service.ready_min, service.ready_after
            ));
        }
        for (name, load) in forecast.services.iter().filter_map(|(name, service)| Some((name, service.load.as_ref()?)))
        {
            lines.extend(fares(name, load));
        }
        for (name, workload) in forecast.workloads.iter().filter(|(_, workload)| workload.is_degraded()) {
            lines.push(format!(
                "{name}: {} of {} ready now, at the worst {}, in the end {} of {}",
                workload.ready_before,
                workload.wanted_before,
                workload.ready_min,
                workload.ready_after,
                workload.wanted_after
            ));
        }
        if forecast.pods_unschedulable.at_most(0) != Finding::Passes {
            lines.push(format!("leave {} without a place to run", forecast.pods_unschedulable));
        }
        for (name, budget) in forecast.budgets.iter().filter(|(_, budget)| budget.is_violated()) {
            lines.push(format!("go past {name} by {}", budget.violated));
        }
        for privilege in forecast.privilege.gained.iter().map(|(privilege, _)| privilege).take(NAMES_MAX) {
            lines.push(format!("let {} {} in {}", privilege.subject, privilege.can, privilege.within));
        }
        for (verb, set) in [("open", &forecast.reach.opened), ("close", &forecast.reach.closed)] {
            for flow in set.iter().map(|(flow, _)| flow).take(NAMES_MAX) {
                lines.push(format!("{verb} the way from {} to {} on {}", flow.from, flow.to, flow.on));
            }
        }
        for hazard in &forecast.hazards {
            let sure = if hazard.sure { "" } else { "perhaps: " };
            lines.push(format!("{sure}{}: {}", hazard.object, hazard.because));
        }
        for (verb, manner) in [("delete", Manner::Deleted), ("change", Manner::Changed), ("create", Manner::Created)] {
            let objects: Vec<&ObjectRef> = self.objects.of(manner).collect();
            if !objects.is_empty() {
                lines.push(format!("{verb} {}", names(&objects)));
            }
        }
        if self.objects.unlisted {
            lines.push("touch things that nobody can name".to_owned());
        }
        for (object, change) in self.objects.touched.iter().filter(|(_, change)| change.named) {
            for field in change.fields.iter().take(NAMES_MAX) {
                lines.push(format!("set {object} {} from {} to {}", field.path, field.before, field.after));
            }
        }
        lines.extend(forecast.uncertain.iter().map(|why| format!("not sure: {why}")));
        lines
    }
}

/// How those fare who ask a service, if it is worse than it would be without the action, or nearly too much.
fn fares(name: &str, load: &Load) -> Option<String> {
    let (errors, busy) = (load.errors_added()?, load.utilisation.0?);
    if errors.high() < Decimal::from_millis(1) && busy.high() < Decimal::from_millis(900) {
        return None;
    }
    // Tenths of a percent tell enough, and percents of how busy it is.
    let cut = |number: Decimal, to: i64| Decimal::from_micros(number.micros() / to * to);
    let percent = |share: Range<Decimal>, to| {
        let percent = |share: Decimal| Decimal::whole(100).times(cut(share, to));
        Range::between(percent(share.best), percent(share.worst))
    };
    let mut line = format!("service {name}: {} % more of its requests fail", percent(errors, 1000));
    line += &format!(", {} % busy at the most", percent(busy, 10_000));
    if let Some(latency) = load.latency_seconds.0 {
        let (best, worst) = (cut(latency.best, 1000), cut(latency.worst, 1000));
        line += &format!(", {} s to an answer", Range::between(best, worst));
    }
    Some(line)
}

fn names(objects: &[&ObjectRef]) -> String {
    let named: Vec<String> = objects.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    match objects.len().saturating_sub(NAMES_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn among(set: &Among<ObjectRef>) -> String {
    let members: Vec<&ObjectRef> = set.iter().map(|(member, _)| member).collect();
    match (members.is_empty(), set.unlisted, set.sure.is_empty()) {
        (true, _, _) => "nobody knows what".to_owned(),
        (_, true, _) => format!("{} and perhaps others", names(&members)),
        (_, _, true) => format!("{} perhaps", names(&members)),
        _ => names(&members),
    }
}
