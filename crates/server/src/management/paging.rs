//! Which page of a list, and which thing.

use super::Failure;
use crate::app::Ctx;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use bramble_store::device_search::Slice;
use bramble_wire::management::Meta;
use std::str::FromStr;

/// Entries of one page, unless the client wants fewer.
const MAX_PER_PAGE: u64 = 100;

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u64,
    /// At most 100.
    pub per_page: u64,
}

impl Page {
    /// Entries before it. Far beyond every list it stays there.
    pub fn offset(self) -> u64 {
        // What the databases count with.
        const FAR: u64 = i64::MAX.unsigned_abs();
        self.page.saturating_sub(1).saturating_mul(self.per_page).min(FAR)
    }

    /// The part of the list.
    pub fn slice(self) -> Slice {
        Slice { offset: self.offset(), limit: self.per_page }
    }

    /// What an answer says of itself.
    pub fn meta(self, total_count: u64) -> Meta {
        let total_pages = total_count.div_ceil(self.per_page);
        Meta { page: self.page, per_page: self.per_page, total_count, total_pages }
    }

    fn parse(query: &str) -> Result<Self, Failure> {
        let mut it = Self { page: 1, per_page: MAX_PER_PAGE };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "page" => it.page = positive("Page", &value)?,
                "per_page" => it.per_page = positive("Per page", &value)?.min(MAX_PER_PAGE),
                _ => {}
            }
        }
        Ok(it)
    }
}

fn positive(name: &str, text: &str) -> Result<u64, Failure> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More digits than fit are past the end of every list.
    match digits.then(|| text.parse().unwrap_or(u64::MAX)) {
        Some(number) if number > 0 => Ok(number),
        _ => Err(Failure::bad_request(format!("{name} must be a whole number of at least 1"))),
    }
}

impl FromRequestParts<Ctx> for Page {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Ctx) -> Result<Self, Failure> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

/// The value of a parameter of the query string, the last if it is there twice.
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let found = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == name)
        .last();
    found.map(|(_, value)| value.into_owned())
}

/// The id in the path. What is no id names nothing.
#[derive(Debug, Clone, Copy)]
pub struct Id<T>(pub T);

impl<T: FromStr + Send> FromRequestParts<Ctx> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, Failure> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, app).await.map_err(|_| Failure::not_found())?;
        text.parse().map(Self).map_err(|_| Failure::not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let page = |query| Page::parse(query).map(|it| (it.page, it.per_page)).ok();
        assert_eq!(page(""), Some((1, 100)));
        assert_eq!(page("page=3&per_page=7&x=y"), Some((3, 7)));
        assert_eq!(page("per_page=5000"), Some((1, 100)));
        assert_eq!(page("page=99999999999999999999999"), Some((u64::MAX, 100)));
        for bad in ["page=0", "page=-1", "page=x", "page=", "per_page=0", "per_page=1.5", "page=%2B1"] {
            assert_eq!(page(bad), None, "{bad}");
        }
        let far = Page { page: u64::MAX, per_page: 100 };
        assert_eq!(far.offset(), i64::MAX.unsigned_abs());
        assert_eq!(Page { page: 2, per_page: 7 }.meta(15).total_pages, 3);
        assert_eq!(Page { page: 1, per_page: 7 }.meta(0).total_pages, 0);
    }
}
