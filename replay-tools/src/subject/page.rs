//! A report as one page of HTML that can be printed or sent and fetches nothing.

use std::fmt::Write;

use super::Report;
use crate::event::{Event, STYLE, escape, plain};

/// The page.
pub(super) fn page(report: &Report) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Records of {0}</title>\
         <style>{STYLE}</style></head>\n<body><h1>Records of {0}</h1>\n",
        report.subject
    );
    let opened = match &report.purpose {
        Some(purpose) => format!("opened for the purpose “{}”", escape(purpose)),
        None => "left sealed".to_owned(),
    };
    _ = writeln!(
        html,
        "<p>{} events, in the order in which they were recorded. Complete up to position {} of log {}; put together at \
         {}. Personal values were {opened}; what is said of other people stays sealed.</p>",
        report.events.len(),
        report.position,
        report.incarnation,
        report.at
    );
    html += "<h2>What is recorded</h2>\n";
    report.events.iter().for_each(|event| article(&mut html, "article", event));
    html += "<h2>Who saw it</h2>\n";
    if report.seen_by.is_empty() {
        html += "<p>Nothing is recorded.</p>\n";
    }
    for seen in &report.seen_by {
        let purpose = seen.purpose.as_deref().unwrap_or("not stated");
        _ = writeln!(
            html,
            "<p>{}: {} by way of {} ({}), purpose: {}. Position {}.</p>",
            seen.at,
            escape(&seen.by),
            escape(&seen.route),
            escape(&seen.resource),
            escape(purpose),
            seen.position
        );
    }
    html += "<h2>To whom it was disclosed (34 CFR 99.32)</h2>\n";
    if report.disclosures.is_empty() {
        html += "<p>Nothing is recorded.</p>\n";
    }
    report.disclosures.iter().for_each(|event| article(&mut html, "section", event));
    html + "</body></html>"
}

fn article(html: &mut String, tag: &str, event: &Event) {
    _ = writeln!(html, "<{tag}><h3>{}. {}</h3><table>", event.position, escape(&event.event_type));
    let mut row = |name: &str, value: &str| {
        _ = writeln!(html, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    };
    row("recorded", &event.recorded_at.to_string());
    row("in", &event.stream());
    row("by", &event.actor);
    row("purpose", event.purpose.as_deref().unwrap_or("not stated"));
    row("legal basis", event.legal_basis.as_deref().unwrap_or("not stated"));
    for (path, value) in event.fields() {
        row(&path, &plain(&value));
    }
    _ = writeln!(html, "</table></{tag}>");
}
