//! The browser's files, embedded by `build.rs`: hashed names, so that they may be cached for ever.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// A file in the binary.
#[derive(Debug)]
pub struct Asset {
    /// What the source calls it: `app.css`.
    pub name: &'static str,
    /// The last part of its address: `app.0123456789ab.css`.
    pub file: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A year, the longest that caches are asked to keep anything.
const CACHE_FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /assets/{file}`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/{file}", get(serve))
}

async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.file == file) else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    let accepted =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (encoding, body) = asset.best_for(accepted);
    let mut response = (
        [
            (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
            (header::CACHE_CONTROL, CACHE_FOR_EVER),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ],
        body,
    )
        .into_response();
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

impl Asset {
    /// The smallest form that the reader of this `Accept-Encoding` takes.
    fn best_for(&self, accepted: &str) -> (Option<&'static str>, &'static [u8]) {
        if let Some(bytes) = self.brotli
            && accepts(accepted, "br")
        {
            return (Some("br"), bytes);
        }
        if let Some(bytes) = self.gzip
            && accepts(accepted, "gzip")
        {
            return (Some("gzip"), bytes);
        }
        (None, self.plain)
    }
}

/// Whether `Accept-Encoding` names this coding and does not refuse it with `q=0`.
fn accepts(accepted: &str, coding: &str) -> bool {
    accepted.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        named
            && !parts.any(|part| {
                part.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};

    #[test]
    fn a_refused_coding_is_not_sent() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("gzip;q=0.5, BR;q=1", "br"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("brotli", "br"));
        assert!(!accepts("", "gzip"));
    }

    #[tokio::test]
    async fn a_file_is_served_compressed_and_for_ever() {
        let css = ALL.iter().find(|asset| asset.name == "app.css").expect("the style sheet");
        assert_eq!(APP_CSS, format!("/assets/{}", css.file));
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        let answer = serve(Path(css.file.to_owned()), headers).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "br");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], CACHE_FOR_EVER);

        let plain = serve(Path(css.file.to_owned()), HeaderMap::new()).await;
        assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());

        let unknown = serve(Path("app.css".to_owned()), HeaderMap::new()).await;
        assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    }

    /// Sizes in bytes that a first visit may cost, compressed.
    const FIRST_PAGE: usize = 60 * 1024;

    #[test]
    fn the_first_page_is_small() {
        let size = |name: &str| {
            let asset = ALL.iter().find(|a| a.name == name).expect("an asset");
            asset.gzip.unwrap_or(asset.plain).len()
        };
        let total: usize =
            ["app.css", "app.js", "theme.js", "icons.svg", "favicon.svg"].into_iter().map(size).sum();
        assert!(total <= FIRST_PAGE, "{total} bytes");
    }

    fn templates(folder: PathBuf, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("the templates") {
            let path = entry.expect("an entry").path();
            // Messages are read by mail programs, which know no policy and no style sheets.
            if path.is_dir() && !path.ends_with("mail") {
                templates(path, found);
            } else if path.extension().is_some_and(|e| e == "html") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }

    #[test]
    fn every_icon_that_a_template_names_is_in_the_sprite() {
        let sprite = ALL.iter().find(|asset| asset.name == "icons.svg").expect("the sprite");
        let sprite = std::str::from_utf8(sprite.plain).expect("text");
        let mut found = Vec::new();
        templates(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")), &mut found);
        assert!(!found.is_empty());
        for (path, text) in found {
            for part in text.split("icon(\"").skip(1) {
                let name = part.split('"').next().unwrap_or_default();
                assert!(
                    sprite.contains(&format!("id=\"{name}\"")),
                    "{} uses the icon {name}, which assets/icons.json does not list",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn no_template_holds_an_inline_script_or_style() {
        let mut found = Vec::new();
        templates(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")), &mut found);
        for (path, text) in found {
            for wrong in [" style=\"", "<style", " onclick=", " hx-on", "javascript:"] {
                assert!(
                    !text.contains(wrong),
                    "{} contains {wrong}, which the content security policy forbids",
                    path.display()
                );
            }
            for script in text.split("<script").skip(1) {
                assert!(
                    script.split('>').next().unwrap_or_default().contains(" src="),
                    "{} holds an inline script",
                    path.display()
                );
            }
        }
    }
}
