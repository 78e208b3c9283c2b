//! Content security policies: everything is forbidden, then what a page needs is allowed.

/// For every page but the session windows.
///
/// - `img-src data:`: QR codes are made by the server and sent inside the page.
/// - `form-action 'self'`: a form that was smuggled in cannot send a password elsewhere.
/// - no `'unsafe-inline'` anywhere: templates hold no inline script, handler or style.
pub const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// For the shared screen's window: nothing inline. `img-src data:` is for the pointer's shape and for
/// pictures that the viewer has the browser decode.
pub const SCREEN_WINDOW: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// For the file transfer's window: nothing inline. A fetched file is saved, never shown, which no rule here
/// concerns.
pub const FILES_WINDOW: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// For the remote shell's window: the terminal measures and colours its cells with style elements
/// that it makes itself, so inline styles are allowed there and only there.
pub const SHELL_WINDOW: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
