//! A report as one page of HTML that can be printed or sent and fetches nothing.

use std::fmt::Write;

use super::{Entry, Report};
use crate::event::{STYLE, escape, plain};

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
    warn(&mut html, report.warning.as_deref());
    html += "<h2>What is recorded</h2>\n";
    report.events.iter().for_each(|entry| article(&mut html, "article", entry));
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
        warn(&mut html, seen.warning);
    }
    html += "<h2>Holds on them, and replays about them</h2>\n";
    if report.holds_and_replays.is_empty() {
        html += "<p>Nothing is recorded.</p>\n";
    }
    report.holds_and_replays.iter().for_each(|entry| article(&mut html, "section", entry));
    html += "<h2>To whom it was disclosed (34 CFR 99.32)</h2>\n";
    if report.disclosures.is_empty() {
        html += "<p>Nothing is recorded.</p>\n";
    }
    report.disclosures.iter().for_each(|entry| article(&mut html, "section", entry));
    html + "</body></html>"
}

/// A paragraph on what must not be told, that nobody overlooks in print either.
fn warn(html: &mut String, warning: Option<&str>) {
    if let Some(warning) = warning {
        _ = writeln!(
            html,
            "<p style=\"border: 2px solid; padding: .3rem\"><strong>{}</strong></p>",
            escape(warning)
        );
    }
}

fn article(html: &mut String, tag: &str, entry: &Entry) {
    let (Entry { event, warning, .. }, [purpose, basis]) = (entry, entry.why());
    _ = writeln!(html, "<{tag}><h3>{}. {}</h3>", event.position, escape(&event.event_type));
    warn(html, *warning);
    html.push_str("<table>\n");
    let mut row = |name: &str, value: &str| {
        _ = writeln!(html, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    };
    row("recorded", &event.recorded_at.to_string());
    row("in", &event.stream());
    row("by", &event.actor);
    row("purpose", &purpose);
    row("legal basis", &basis);
    for (path, value) in event.fields() {
        row(&path, &plain(&value));
    }
    _ = writeln!(html, "</table></{tag}>");
}
