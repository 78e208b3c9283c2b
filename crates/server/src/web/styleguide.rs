//! `/styleguide`: every component on one page, in debug builds only, for those who write pages and
//! for the tests that look at them.

use super::{
    layout::{AccountEntry, Frame, Link, Tab, Tone},
    page,
    times::Moment,
};
use askama::Template;
use axum::{Router, http::StatusCode, response::Response, routing::get};
use time::{Duration, macros::datetime};

#[derive(Template)]
#[template(path = "styleguide.html")]
struct Styleguide {
    frame: Frame,
    minutes_ago: Moment,
    days_ago: Moment,
    in_days: Moment,
}

/// `GET /styleguide`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/styleguide", get(show))
}

async fn show() -> Response {
    page(StatusCode::OK, &styleguide())
}

fn styleguide() -> Styleguide {
    // A fixed moment: screenshots of two runs are equal until the script has run.
    let now = datetime!(2026-01-22 12:00 UTC);
    let account = |name: &str, organisation, current| AccountEntry {
        name: name.to_owned(),
        href: "/styleguide".to_owned(),
        organisation,
        current,
    };
    let frame = Frame::signed_in("Ada Example", "ada@example.org")
        .accounts(vec![account("Personal", false, true), account("Thornfield Kiosks", true, false)])
        .tabs(["Devices", "Remote update", "Settings"].map(|label| Tab::new(label, "/styleguide")).to_vec())
        .current("Devices")
        .banner(
            Tone::Warning,
            "Your email address is not verified yet.",
            Some(Link::new("Send the message again", "/styleguide")),
        )
        .flash(Tone::Good, "The device was renamed to kiosk-3.");
    Styleguide {
        frame,
        minutes_ago: Moment::new(now - Duration::minutes(5), now),
        days_ago: Moment::new(now - Duration::days(12), now),
        in_days: Moment::new(now + Duration::days(30), now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_is_escaped() {
        let mut guide = styleguide();
        guide.frame.person.as_mut().expect("a person").name = "<b>\"Eve'".into();
        let html = guide.render().expect("renders");
        assert!(!html.contains("<b>\"Eve"));
        assert!(html.contains("&#60;b&#62;&#34;Eve&#39;"));
    }
}
