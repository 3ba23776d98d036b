//! What kinds of problems mean, for people: `docs/errors.md` and the pages at `/problems/<code>`.

use std::fmt::Write;

use commands::{AggregateEntry, Catalog, RefusalEntry};

use super::{CODES, kebab, words};

/// `docs/errors.md`.
pub fn document(catalog: &Catalog) -> String {
    let mut text = String::from(
        "# Errors\n\nEvery error is an RFC 9457 problem (`application/problem+json`) with the members `type`, `title`, \
         `status`, `detail`, `code`,\n`details`, `trace_id` and, where one is at fault, `field`. `code` is stable and \
         `type` is its page. No problem repeats a value\nthat was sent. This page is written by `annals errors`.\n\n\
         | Code | Status | Meaning |\n|---|---|---|\n",
    );
    for code in CODES {
        let _ = writeln!(text, "| `{}` | {} | {}. {} |", code.name, code.status, code.title, code.meaning);
    }
    text.push_str(
        "\n## The aggregates' own reasons\n\nTheir status follows from their kind: a rule of a value 422, a conflict \
         with what is so now 409, not allowed 403,\nsomething named does not exist 404, a capability that is not there \
         now 503. `details` has the fields.\n\n| Aggregate | Code | Details |\n|---|---|---|\n",
    );
    for (aggregate, refusal) in reasons(catalog) {
        let details = details(refusal).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "| `{}` | `{}` | {details} |", aggregate.aggregate_type, refusal.code);
    }
    text
}

/// The page of a code in kebab case, if there is such a code.
pub fn page(catalog: &Catalog, code: &str) -> Option<String> {
    if let Some(known) = CODES.iter().find(|known| kebab(known.name) == code) {
        return Some(format!("{} ({})\n\n{}.\n\n{}\n", known.name, known.status, known.title, known.meaning));
    }
    let mut text = String::new();
    for (aggregate, refusal) in reasons(catalog).filter(|(_, refusal)| kebab(&refusal.code) == code) {
        if text.is_empty() {
            let _ = write!(text, "{}\n\n{}. ", refusal.code, words(&refusal.code));
            text.push_str("A reason why a command was refused; `detail` says more.\n");
        }
        let _ = write!(text, "\nGiven by {}.", aggregate.aggregate_type);
        match details(refusal).join(", ") {
            details if details.is_empty() => text.push('\n'),
            details => {
                let _ = writeln!(text, " Details: {details}.");
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

fn reasons(catalog: &Catalog) -> impl Iterator<Item = (&AggregateEntry, &RefusalEntry)> {
    catalog
        .aggregates
        .iter()
        .flat_map(|aggregate| aggregate.refusals.iter().map(move |refusal| (aggregate, refusal)))
}

/// The names of a reason's details.
fn details(refusal: &RefusalEntry) -> Vec<&str> {
    let fields = refusal.schema["properties"].as_object();
    fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_table_of_errors_is_current() {
        let committed = include_str!("../../../docs/errors.md");
        assert!(committed == document(&Catalog::new()), "run `annals errors > docs/errors.md`");
    }

    #[test]
    fn every_code_has_a_page() {
        let catalog = Catalog::new();
        let own = reasons(&catalog).map(|(_, refusal)| kebab(&refusal.code));
        for code in CODES.iter().map(|code| kebab(code.name)).chain(own) {
            assert!(page(&catalog, &code).is_some(), "{code}");
        }
        assert_eq!(page(&catalog, "nothing"), None);
        let taken = page(&catalog, "code-taken").unwrap();
        assert!(taken.contains("Code taken") && taken.contains("identity.org_unit"), "{taken}");
    }
}
