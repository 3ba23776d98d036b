//! Variables that look like settings and are none.

use strsim::levenshtein;

use super::{Config, SETTINGS, Setting};

/// Variables of this house that are no settings: what `annals.env` tells a shell besides settings, and the file of them.
const NO_SETTINGS: [&str; 4] = ["ANNALS_CONFIG", "ANNALS_URL", "ANNALS_METRICS_URL", "ANNALS_TOKEN"];
/// How variables begin that only tests read.
const FOR_TESTS: [&str; 2] = ["ANNALS_RECORD_", "ANNALS_TEST_"];

impl Config {
    /// Warns of proxies whose header nobody has named: a header that they do not write, their clients write as they like.
    pub fn warn_of_unnamed_header(&self) {
        if self.trusted_proxies.is_some() && self.forwarded_header.is_none() {
            tracing::warn!(
                "trusted_proxies is set and forwarded_header is not: who calls is read from X-Forwarded-For, which the \
                 proxies must write"
            );
        }
    }

    /// Warns of each variable of this process that looks like a setting and is none. It may be another program's, so
    /// nothing is refused.
    pub fn warn_of_unknown_variables() {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for (variable, nearest) in unknown_variables(names) {
            tracing::warn!(
                variable,
                nearest,
                "there is no such setting, and nothing reads it; `annals serve --help` lists them all"
            );
        }
    }
}

/// The variables that are named like settings and are none, each with the setting whose name is nearest.
fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let settings: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let known = |name: &String| {
        settings.contains(name)
            || NO_SETTINGS.contains(&name.as_str())
            || FOR_TESTS.iter().any(|prefix| name.starts_with(prefix))
    };
    let nearest = |name: &str| settings.iter().min_by_key(|setting| levenshtein(name, setting)).cloned();
    let ours = names.filter(|name| name.starts_with("ANNALS_") && !known(name));
    ours.filter_map(|name| nearest(&name).map(|nearest| (name, nearest))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_told_with_the_setting_that_it_may_mean() {
        let unknown = |names: &[&str]| unknown_variables(names.iter().map(|name| (*name).to_owned()));
        let told = |name: &str, nearest: &str| (name.to_owned(), nearest.to_owned());
        assert_eq!(
            unknown(&["PATH", "ANNALS_LISTN", "ANNALS_LISTEN", "ANNALS_DATABSE_POOL"]),
            [told("ANNALS_LISTN", "ANNALS_LISTEN"), told("ANNALS_DATABSE_POOL", "ANNALS_DATABASE_POOL")]
        );
        let exported = ["ANNALS_URL", "ANNALS_METRICS_URL", "ANNALS_TOKEN", "ANNALS_NOTARY_DIR"];
        assert_eq!(unknown(&exported), []);
        assert_eq!(unknown(&["ANNALS_CONFIG", "ANNALS_RECORD_HISTORY", "ANNALS_TEST_KILLED"]), []);
    }
}
