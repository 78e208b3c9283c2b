//! `/settings/account/two-factor` and `/sign-in/second-step`. The recovery codes are in the answer to the
//! form that made them and nowhere else.

use super::{AccountError, Browser, Failed, begun, fail, frame, frame_signed_out, refuse};
use crate::accounts::passkeys::Answer;
use crate::accounts::{self, Code, Second, SetUp};
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::return_to::ReturnTo;
use crate::auth::{Fresh, SignedIn};
use crate::web::layout::Frame;
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bramble_model::account::two_factor_deadline;
use bramble_model::two_factor::{FEW_RECOVERY_CODES, RecoveryCode};
use bramble_store::memberships::Belonging;
use bramble_wire::UserId;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

/// Where a sign-in goes on after the right password.
pub(super) const SECOND_STEP: &str = "/sign-in/second-step";
const PAGE: &str = "/settings/account/two-factor";
const WRONG: &str = "That is not the code that the app shows now. A code works once and for about a minute: \
                     wait for the next one, and check the clock of your phone.";

const WRONG_PASSKEY: &str = "This passkey was refused. Try again, or use a code.";

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route(SECOND_STEP, get(second_step).post(finish))
        .route(PAGE, get(show).post(turn_on))
        .route("/settings/account/two-factor/recovery-codes", post(new_codes))
        .route("/settings/account/two-factor/turn-off", get(confirm_off).post(turn_off))
}

#[derive(Template)]
#[template(path = "accounts/second_step.html")]
struct SecondStep {
    frame: Frame,
    failed: Failed,
    return_to: ReturnTo,
    /// What the person has, besides recovery codes.
    app: bool,
    passkey: bool,
}

#[derive(Template)]
#[template(path = "accounts/two_factor_set_up.html")]
struct SettingUp {
    frame: Frame,
    failed: Failed,
    picture: String,
    secret: String,
    sealed: String,
}

#[derive(Template)]
#[template(path = "accounts/two_factor.html")]
struct On {
    frame: Frame,
    since: Moment,
    codes_left: u64,
    few: bool,
}

#[derive(Template)]
#[template(path = "accounts/two_factor_off.html")]
struct TurnOff {
    frame: Frame,
    /// No other second factor is left.
    last: bool,
    requirements: Vec<Requirement>,
}

/// An organisation that requires a second factor of its members.
pub(super) struct Requirement {
    pub(super) name: String,
    /// When the days of grace end; `None` when they are over.
    pub(super) until: Option<Moment>,
}

/// The caller's organisations that require a second factor.
pub(super) fn requirements(app: &App, caller: &SignedIn) -> Vec<Requirement> {
    let now = app.clock.now();
    let of = |entry: &Belonging| {
        let deadline = two_factor_deadline(entry.account.two_factor_required_at)?;
        let until = (deadline > now).then(|| Moment::new(deadline, now));
        Some(Requirement { name: entry.account.name.clone(), until })
    };
    caller.belongings.iter().filter_map(of).collect()
}

#[derive(Template)]
#[template(path = "accounts/recovery_codes.html")]
struct ShownOnce {
    frame: Frame,
    turned_on: bool,
    codes: String,
    file: String,
    next: &'static str,
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    return_to: ReturnTo,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    code: Code,
    #[serde(default)]
    return_to: ReturnTo,
    #[serde(default)]
    set_up: String,
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    passkey: String,
}

async fn second_step(State(app): State<Ctx>, headers: HeaderMap, Query(wish): Query<Wish>) -> Response {
    let Some(token) = Cookie::PendingSignIn.read(&app, &headers) else {
        return Redirect::to(&wish.return_to.on("/sign-in")).into_response();
    };
    match app.store.pending_sign_in(&token.hash(), app.clock.now()).await {
        Ok(Some(user)) => ask(&app, user, StatusCode::OK, Failed::default(), wish.return_to).await,
        Ok(None) => start_again(&app, &wish.return_to),
        Err(error) => refuse(&app, error.into()),
    }
}

async fn ask(app: &App, user: UserId, status: StatusCode, failed: Failed, return_to: ReturnTo) -> Response {
    let has = async {
        let code = app.store.two_factor(user).await?.is_some();
        let passkey = !app.store.passkeys(user).await?.is_empty();
        Ok::<_, bramble_store::StoreError>((code, passkey && accounts::passkeys::unavailable(app).is_none()))
    };
    match has.await {
        Ok((code, passkey)) => {
            let frame = frame_signed_out(app);
            page(status, &SecondStep { frame, failed, return_to, app: code, passkey })
        }
        Err(error) => refuse(app, error.into()),
    }
}

/// The sign-in waited too long, or was finished: the password is asked for again.
fn start_again(app: &App, return_to: &ReturnTo) -> Response {
    forget(app, Redirect::to(&return_to.on("/sign-in")).into_response())
}

fn forget(app: &App, mut response: Response) -> Response {
    response.headers_mut().append(header::SET_COOKIE, Cookie::PendingSignIn.remove(app));
    response
}

async fn finish(
    State(app): State<Ctx>,
    headers: HeaderMap,
    browser: Browser,
    Form(typed): Form<Typed>,
) -> Response {
    let Some(token) = Cookie::PendingSignIn.read(&app, &headers) else {
        return start_again(&app, &typed.return_to);
    };
    let user = match app.store.pending_sign_in(&token.hash(), app.clock.now()).await {
        Ok(Some(user)) => user,
        Ok(None) => return start_again(&app, &typed.return_to),
        Err(error) => return refuse(&app, error.into()),
    };
    let answer = Answer { ceremony: typed.ceremony, passkey: typed.passkey };
    let by_passkey = !answer.passkey.is_empty();
    let second = if by_passkey { Second::Passkey(&answer) } else { Second::Code(&typed.code) };
    match accounts::finish_sign_in(&app, &token, second, &browser).await {
        Ok(session) => forget(&app, begun(&app, &session, typed.return_to.as_str())),
        Err(AccountError::DeadLink) => start_again(&app, &typed.return_to),
        Err(error) => match fail(&app, error, if by_passkey { WRONG_PASSKEY } else { WRONG }) {
            Ok((status, failed)) => ask(&app, user, status, failed, typed.return_to).await,
            Err(response) => *response,
        },
    }
}

async fn show(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    match accounts::two_factor_status(&app, caller.user).await {
        Ok(None) => {
            let set_up = accounts::begin_set_up(&app, &caller);
            setting_up(&app, &caller, StatusCode::OK, Failed::default(), &set_up)
        }
        Ok(Some(status)) => {
            let on = On {
                frame: frame(&app, &caller),
                since: Moment::new(status.since, app.clock.now()),
                codes_left: status.codes_left,
                few: status.codes_left <= FEW_RECOVERY_CODES,
            };
            page(StatusCode::OK, &on)
        }
        Err(error) => refuse(&app, error.into()),
    }
}

fn setting_up(app: &App, caller: &SignedIn, status: StatusCode, failed: Failed, set_up: &SetUp) -> Response {
    let secret = set_up.seed.base32();
    let picture = picture(&uri(app, caller, &secret));
    let sealed = set_up.sealed.clone();
    page(status, &SettingUp { frame: frame(app, caller), failed, picture, secret: grouped(&secret), sealed })
}

/// What apps read: the account's name, the issuer, and the seed; the rest is what they take for granted.
fn uri(app: &App, caller: &SignedIn, secret: &str) -> String {
    let host = app.config.public_url.host_str().unwrap_or("localhost");
    let mut uri = url::Url::parse("otpauth://totp/").ok();
    if let Some(uri) = &mut uri {
        uri.set_path(&format!("/Bramble {host}:{}", caller.email));
        uri.set_query(Some(&format!("secret={secret}&issuer=Bramble%20{host}")));
    }
    uri.map_or_else(String::new, String::from)
}

/// Four characters at a time are easier to type; apps ignore the spaces.
fn grouped(secret: &str) -> String {
    let four: Vec<&str> = (0..secret.len()).step_by(4).filter_map(|at| secret.get(at..at + 4)).collect();
    four.join(" ")
}

/// The QR code as an SVG in base 64: black on white with its quiet zone in light and dark alike.
fn picture(text: &str) -> String {
    let Ok(code) = QrCode::new(text) else { return String::new() };
    let svg = code.render::<svg::Color<'_>>().min_dimensions(220, 220).build();
    STANDARD.encode(svg)
}

async fn turn_on(State(app): State<Ctx>, Fresh(caller): Fresh, Form(typed): Form<Typed>) -> Response {
    let Some(set_up) = accounts::continue_set_up(&app, &caller, &typed.set_up) else {
        return Redirect::to(PAGE).into_response();
    };
    match accounts::turn_on(&app, &caller, &set_up, &typed.code).await {
        Ok(codes) => shown_once(&app, &caller, &codes, true, PAGE),
        // On already: sent twice, or from another browser.
        Err(AccountError::Taken) => Redirect::to(PAGE).into_response(),
        Err(error) => match fail(&app, error, WRONG) {
            Ok((status, failed)) => setting_up(&app, &caller, status, failed, &set_up),
            Err(response) => *response,
        },
    }
}

async fn new_codes(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    match accounts::new_recovery_codes(&app, &caller).await {
        Ok(codes) => shown_once(&app, &caller, &codes, false, "/settings/account"),
        Err(AccountError::DeadLink) => Redirect::to(PAGE).into_response(),
        Err(error) => refuse(&app, error),
    }
}

/// The recovery codes, this once.
pub(super) fn shown_once(
    app: &App,
    caller: &SignedIn,
    codes: &[RecoveryCode],
    turned_on: bool,
    next: &'static str,
) -> Response {
    let codes = codes.iter().map(RecoveryCode::expose).collect::<Vec<_>>().join("\n");
    let file = STANDARD.encode(format!(
        "Recovery codes for {} on {}\nEach lets you in once.\n\n{codes}\n",
        caller.email,
        app.config.origin()
    ));
    page(StatusCode::OK, &ShownOnce { frame: frame(app, caller), turned_on, codes, file, next })
}

async fn confirm_off(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    match accounts::passkeys::list(&app, caller.user).await {
        Ok(passkeys) => {
            let requirements = requirements(&app, &caller);
            let last = passkeys.is_empty();
            page(StatusCode::OK, &TurnOff { frame: frame(&app, &caller), last, requirements })
        }
        Err(error) => refuse(&app, error.into()),
    }
}

async fn turn_off(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    match accounts::turn_off(&app, caller.user).await {
        Ok(_) => Redirect::to("/settings/account?done=two-factor-off").into_response(),
        Err(error) => refuse(&app, error),
    }
}
