//! A site's own rules, as files.
//!
//! Knows: the folder that they are in, their form, and that a rule that is wrong keeps the gate from starting: a
//! misspelt rule must not be a missing one.
//! Does not know: what a rule says; `policies` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::ActionPolicy;
use policies::{Excepted, Exception, Rule, RuleError, SiteRule};
use serde::Deserialize;
use serde_json::Value;

/// What a site adds to the built-in rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Site {
    rules: Vec<Rule>,
    exceptions: Vec<Exception>,
    /// What the rules have to say of certain actions.
    pub tests: Vec<Test>,
}

/// One file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    exceptions: Vec<Exception>,
    #[serde(default)]
    tests: Vec<Test>,
}

/// What a rule, or all of them together, have to say of an action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Test {
    /// What it shows, as a sentence.
    pub name: String,
    /// The cluster that the action meets; relative to the file.
    pub snapshot: PathBuf,
    /// The action, as `judge` reads it.
    pub action: Value,
    /// Whose opinion; the verdict of all if not said.
    #[serde(default)]
    pub rule: Option<String>,
    /// `allow`, `hold` or `deny`; of one rule `abstain` too.
    pub expect: String,
}

impl PartialEq for Site {
    /// Two configurations that read the same files are the same.
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Eq for Site {}

impl Site {
    /// Every `.yaml` file in a folder, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read, and what is wrong with it.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let wrong = |path: &Path, why: String| format!("{}: {why}", path.display());
        let listed = fs::read_dir(folder).map_err(|error| wrong(folder, error.to_string()))?;
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in listed {
            let path = entry.map_err(|error| wrong(folder, error.to_string()))?.path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                files.push(path);
            }
        }
        files.sort();
        let mut site = Self::default();
        for path in files {
            let text = fs::read_to_string(&path).map_err(|error| wrong(&path, error.to_string()))?;
            let file: File = serde_saphyr::from_str(&text).map_err(|error| wrong(&path, error.to_string()))?;
            site.rules.extend(file.rules);
            site.exceptions.extend(file.exceptions);
            site.tests
                .extend(file.tests.into_iter().map(|test| Test { snapshot: folder.join(&test.snapshot), ..test }));
        }
        Ok(site)
    }

    /// The built-in rules with what the site adds to them.
    ///
    /// # Errors
    /// When an expression is none, two rules share a name, or an exception is from no rule.
    pub(crate) fn over(&self, builtin: Vec<Box<dyn ActionPolicy>>) -> Result<Vec<Box<dyn ActionPolicy>>, RuleError> {
        let mut rules = builtin;
        for rule in &self.rules {
            rules.push(Box::new(SiteRule::new(rule.clone())?));
        }
        let wrong = |rule: &str, part, why: &str| RuleError { rule: rule.to_owned(), part, why: why.to_owned() };
        let mut names = BTreeSet::new();
        if let Some(twice) = rules.iter().find(|rule| !names.insert(rule.name().to_owned())) {
            return Err(wrong(twice.name(), "name", "another rule has it too"));
        }
        if let Some(lost) = self.exceptions.iter().find(|exception| !names.contains(&exception.rule)) {
            return Err(wrong(&lost.rule, "exception", "there is no such rule"));
        }
        rules.into_iter().map(|rule| Excepted::from(rule, &self.exceptions)).collect()
    }
}
