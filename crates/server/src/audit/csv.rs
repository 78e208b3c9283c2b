//! The log as RFC 4180 has it, safe to open in a spreadsheet.

use bramble_store::audit::Event;
use time::format_description::well_known::Rfc3339;

/// The first line.
pub(super) const HEADINGS: &str = "Timestamp,Source,Action,Details,Subject,Actor,Country\r\n";

/// A line of the log.
pub(super) fn line(event: &Event) -> String {
    let at = event.at.replace_nanosecond(0).unwrap_or(event.at).format(&Rfc3339).unwrap_or_default();
    let action = event.action.map_or("Unknown", |action| action.title());
    let country = event.country.as_deref().unwrap_or_default();
    let cells = [&at, &event.source, action, &event.details, &event.subject, &event.actor, country];
    let mut line = cells.map(cell).join(",");
    line.push_str("\r\n");
    line
}

/// What begins a formula, or what some spreadsheets skip or read as one of those: white space, full-width forms.
const FORMULA: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'];

/// A cell. What a spreadsheet would take for a formula begins with an apostrophe, which it shows as text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(FORMULA);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n']) || formula {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"hi\"\nthere"), "\"say \"\"hi\"\"\nthere\"");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "=cmd|' /C calc'!A0",
            "＝1+1",
            "＋1",
            "－1",
            "＠SUM(A1)",
        ] {
            let cell = cell(text);
            assert!(cell.starts_with("\"'"), "{cell}");
        }
    }
}
