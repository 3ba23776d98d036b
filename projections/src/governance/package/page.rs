//! A package as one page of HTML that can be printed or sent and fetches nothing.

use std::fmt::Write;

use serde_json::Value;

use super::{DecisionExplained, Package, PackageRecord};
use crate::{
    governance::ProcessingRecord,
    readable::{STYLE, escape, flattened, plain},
};

/// Follows what nobody has confirmed.
const DEFAULT: &str = " (a default of the house)";

/// The page.
pub fn page(package: &Package) -> String {
    let r#type: &str = package.r#type.into();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Data of {0}</title>\
         <style>{STYLE}</style></head>\n<body><h1>Data of {0}</h1>\n",
        package.subject
    );
    _ = writeln!(
        html,
        "<p>The answer to your request for {type}, {}. Complete up to position {} of the log, recorded at {}. The list of \
         contents has the SHA-256 {}. Times are in UTC.</p>",
        package.request, package.position, package.as_of, package.manifest_sha256
    );
    html += "<h2>What you can do</h2>\n<ul>";
    package.rights.iter().for_each(|right| _ = writeln!(html, "<li>{}</li>", escape(right)));
    html += "</ul>\n<h2>What is held, and for how long</h2>\n";
    let mut rows = Vec::new();
    for class in &package.classes {
        let kept = &class.retention;
        let basis = kept.legal_basis.as_deref().unwrap_or("the house's default");
        let text = format!(
            "{} events in {}, {} to {}; kept for {} days after {}, then {} ({basis})",
            class.events,
            class.contexts.join(", "),
            class.first,
            class.last,
            kept.days,
            kept.after,
            kept.action
        );
        rows.push((class.class.clone(), text));
    }
    table(&mut html, rows);
    html += "<h2>For which purposes</h2>\n";
    let used = package.purposes.iter().map(|used| {
        let default = if used.default { DEFAULT } else { "" };
        (used.purpose.clone(), format!("legal basis: {}; {} events{default}", used.legal_basis, used.events))
    });
    table(&mut html, used);
    package.processing.iter().for_each(|record| processing(&mut html, record));
    html += "<h2>Where it came from</h2>\n";
    let sources = package.sources.iter();
    table(&mut html, sources.map(|source| (source.source.clone(), format!("{} events", source.events))));
    html += "<h2>To whom it was disclosed (34 CFR 99.32)</h2>\n";
    package.recipients.disclosures.iter().for_each(|row| table(&mut html, fields(row)));
    html += "<h2>Who saw it</h2>\n";
    for read in &package.recipients.reads {
        let purpose = read.purpose.as_deref().unwrap_or("not stated");
        let text = format!(
            "{}: {} by way of {} ({}), purpose: {purpose}. Position {}.",
            read.at, read.by, read.route, read.resource, read.position
        );
        _ = writeln!(html, "<p>{}</p>", escape(&text));
    }
    html += "<h2>What machines decided</h2>\n";
    package.decisions.iter().for_each(|decision| explained(&mut html, decision));
    html += "<h2>What is not in here</h2>\n";
    let withheld = package.withheld.iter().map(|left| {
        let count = left.count.map(|count| format!(" ({count})")).unwrap_or_default();
        (format!("{}{count}", left.what), left.why.clone())
    });
    table(&mut html, withheld);
    for held in &package.rows {
        _ = writeln!(html, "<h2>As it stands: {}</h2>\n<p>{}</p>", escape(&held.name), escape(&held.what));
        held.rows.iter().for_each(|row| table(&mut html, fields(row)));
    }
    html += "<h2>What was recorded, in order</h2>\n";
    package.records.iter().for_each(|record| article(&mut html, record));
    html + "</body></html>\n"
}

/// An activity; whether it is a default is said in words.
fn processing(html: &mut String, record: &ProcessingRecord) {
    let value = serde_json::to_value(record).unwrap_or_default();
    let default = if record.default { DEFAULT } else { "" };
    _ = writeln!(html, "<section><h3>{}{default}</h3>", escape(&record.name));
    table(html, fields(&value).filter(|(name, _)| !matches!(name.as_str(), "name" | "default")));
    html.push_str("</section>\n");
}

fn explained(html: &mut String, decision: &DecisionExplained) {
    let value = serde_json::to_value(decision).unwrap_or_default();
    _ = writeln!(html, "<section><h3>{}</h3>", escape(&decision.family));
    table(html, fields(&value));
    html.push_str("</section>\n");
}

fn article(html: &mut String, record: &PackageRecord) {
    _ = writeln!(html, "<article><h3>{}. {}</h3>", record.position, escape(&record.r#type));
    let stated = |text: &Option<String>| text.clone().unwrap_or_else(|| "not stated".into());
    let head = [
        ("recorded".to_owned(), record.recorded_at.to_string()),
        ("in".to_owned(), record.thing.clone()),
        ("by".to_owned(), record.by.clone()),
        ("purpose".to_owned(), stated(&record.purpose)),
        ("legal basis".to_owned(), stated(&record.legal_basis)),
    ];
    table(html, head.into_iter().chain(fields(&record.data)));
    html.push_str("</article>\n");
}

fn fields(value: &Value) -> impl Iterator<Item = (String, String)> {
    flattened(value).into_iter().map(|(path, value)| (path, plain(&value)))
}

fn table(html: &mut String, rows: impl IntoIterator<Item = (String, String)>) {
    html.push_str("<table>");
    for (name, value) in rows {
        _ = writeln!(html, "<tr><th>{}</th><td>{}</td></tr>", escape(&name), escape(&value));
    }
    html.push_str("</table>\n");
}
