//! Nobody gains power unseen.

use model::{ActionPolicy, Evidence, Opinion, PolicyError, Privilege};

use crate::about_effects;

/// What makes somebody more powerful is for a person; the right to look is not power.
#[derive(Debug, Clone, Copy, Default)]
pub struct Privileges;

impl ActionPolicy for Privileges {
    fn name(&self) -> &str {
        "privilege"
    }

    fn help(&self) -> &str {
        "Holds what lets anybody do more than before; refuses what is as good as owning the system."
    }

    fn remedy(&self) -> &str {
        "Name single verbs, resources and namespaces, and no more of them than the work needs."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let gained = &evidence.effect.forecast.privilege.gained;
            if gained.unlisted {
                return Ok(Opinion::hold("who would gain which rights is not known"));
            }
            let say = |privilege: &Privilege, others: usize| {
                let more = if others > 0 { format!(", and {others} more") } else { String::new() };
                format!("{} could {} ({}){more}", privilege.subject, privilege.can, privilege.within)
            };
            let find = |matters: fn(&Privilege) -> bool| {
                let mut found = gained.iter().filter(|(privilege, _)| matters(privilege));
                found.next().map(|(first, sure)| (say(first, found.count()), sure))
            };
            Ok(match (find(|privilege| privilege.sweeping), find(|privilege| !only_looks(privilege))) {
                (Some((because, true)), _) => Opinion::deny(because).remedy("a role without it"),
                (Some((because, false)), _) | (None, Some((because, _))) => Opinion::hold(because),
                (None, None) => Opinion::Abstain,
            })
        })
    }
}

fn only_looks(privilege: &Privilege) -> bool {
    ["get ", "list ", "watch "].iter().any(|verb| privilege.can.starts_with(verb))
}
