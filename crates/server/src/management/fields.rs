//! The fields of a body. What is wrong with them is gathered in the order in which they are asked for,
//! which is the order of the contract, and refused together.

use super::{Failure, reading};
use crate::app::Ctx;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use bramble_model::auth_key::TtlDays;
use bramble_model::tags::Tags;
use bramble_model::{phrases, text};
use serde_json::{Map, Value};

/// A body that was read.
#[derive(Debug)]
pub struct Fields {
    fields: Map<String, Value>,
    problems: Vec<String>,
}

/// A body that was read, with all that a signature over the request covers.
#[derive(Debug)]
pub struct Read {
    /// Everything but the body.
    pub parts: Parts,
    /// The body as it came.
    pub body: Bytes,
    /// The body as it was read.
    pub fields: Fields,
}

/// What was sent for a field that may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent<T> {
    /// Nothing: it stays as it is.
    Absent,
    /// It is to be cleared.
    Cleared,
    /// This.
    Value(T),
}

impl<T> Sent<T> {
    /// For what is made now: nothing and cleared are the same.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Cleared => None,
        }
    }
}

impl FromRequest<Ctx> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Ctx) -> Result<Self, Failure> {
        Ok(Read::from_request(request, app).await?.fields)
    }
}

impl FromRequest<Ctx> for Read {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Ctx) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let body = reading::whole(body).await?;
        let fields = Fields::read(&parts.headers, &body)?;
        Ok(Self { parts, body, fields })
    }
}

impl Fields {
    /// Reads a body.
    pub fn read(headers: &axum::http::HeaderMap, body: &[u8]) -> Result<Self, Failure> {
        Ok(Self { fields: reading::read(headers, body)?, problems: Vec::new() })
    }

    /// Notes what is wrong with a field.
    pub fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// All problems so far, as the refusal that they make.
    pub fn finish(self) -> Result<(), Failure> {
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::validation(&self.problems)) }
    }

    /// A text as it was sent.
    pub fn text(&mut self, name: &str) -> Sent<String> {
        match self.fields.get(name) {
            None => Sent::Absent,
            Some(Value::Null) => Sent::Cleared,
            Some(Value::String(text)) if reading::is_text(text) => Sent::Value(text.clone()),
            Some(_) => {
                self.problems.push(format!("{} is invalid", title(name)));
                Sent::Absent
            }
        }
    }

    /// A name or description that must be there. The answer is empty only beside a problem.
    pub fn required(&mut self, name: &str) -> String {
        let before = self.problems.len();
        let text = self.text(name).value().map(|text| text::clean(&text)).unwrap_or_default();
        if self.problems.len() == before {
            self.check_name(name, &text);
        }
        text
    }

    /// A name or description that may stay as it is, but cannot be cleared.
    pub fn kept(&mut self, name: &str) -> Option<String> {
        let text = match self.text(name) {
            Sent::Absent => return None,
            Sent::Cleared => String::new(),
            Sent::Value(text) => text::clean(&text),
        };
        self.check_name(name, &text);
        Some(text)
    }

    /// A name that may be missing.
    pub fn optional(&mut self, name: &str) -> Sent<String> {
        let Sent::Value(text) = self.text(name).map(|text| text::clean(&text)) else {
            return if matches!(self.fields.get(name), Some(Value::Null)) {
                Sent::Cleared
            } else {
                Sent::Absent
            };
        };
        if text.is_empty() {
            return Sent::Cleared;
        }
        self.check_name(name, &text);
        Sent::Value(text)
    }

    /// A text that must pass a check, which names what is wrong with it. Nothing sent is an empty text.
    pub fn checked(&mut self, name: &str, check: impl FnOnce(&str) -> Option<String>) -> String {
        let before = self.problems.len();
        let text = self.text(name).value().unwrap_or_default();
        if self.problems.len() == before {
            self.problems.extend(check(&text));
        }
        text
    }

    fn check_name(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            self.problems.push(phrases::blank(&title(name)));
        } else if text.chars().count() > text::MAX_NAME {
            self.problems.push(phrases::too_long(&title(name)));
        }
    }

    /// A list of texts.
    pub fn list(&mut self, name: &str) -> Sent<Vec<String>> {
        let list = match self.fields.get(name) {
            None => return Sent::Absent,
            Some(Value::Null) => return Sent::Cleared,
            Some(Value::Array(list)) => list,
            Some(_) => &vec![Value::Null],
        };
        let texts: Option<Vec<String>> = list
            .iter()
            .map(|one| one.as_str().filter(|text| reading::is_text(text)).map(str::to_owned))
            .collect();
        texts.map_or_else(
            || {
                self.problems.push(format!("{} is invalid", title(name)));
                Sent::Absent
            },
            Sent::Value,
        )
    }

    /// Tags of a device.
    pub fn tags(&mut self, name: &str) -> Sent<Tags> {
        match self.list(name) {
            Sent::Absent => Sent::Absent,
            Sent::Cleared => Sent::Cleared,
            Sent::Value(list) => match Tags::new(&list) {
                Ok(tags) => Sent::Value(tags),
                Err(why) => {
                    self.problems.push(why.to_string());
                    Sent::Absent
                }
            },
        }
    }

    /// How many days a key lives; one if nothing is said.
    pub fn ttl_days(&mut self, name: &str) -> TtlDays {
        let days = match self.fields.get(name) {
            None | Some(Value::Null) => return TtlDays::ONE,
            Some(value) => whole_number(value),
        };
        let Some(days) = days else {
            self.problems.push(format!("{} is invalid", title(name)));
            return TtlDays::ONE;
        };
        TtlDays::new(days).unwrap_or_else(|problem| {
            self.problems.push(problem.to_owned());
            TtlDays::ONE
        })
    }
}

impl<T> Sent<T> {
    /// For what exists: nothing stays, cleared is none.
    pub fn change(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Cleared => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// Changes what was sent.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sent<U> {
        match self {
            Self::Absent => Sent::Absent,
            Self::Cleared => Sent::Cleared,
            Self::Value(value) => Sent::Value(change(value)),
        }
    }
}

/// A whole number, also as digits in a text. Beyond what fits it is the largest or the smallest.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
            Some(if float.is_sign_negative() { i64::MIN } else { far(float) })
        }),
        Value::String(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
        }
        _ => None,
    }
}

/// `7.0` is seven; what is larger than any number of days is just that.
fn far(float: f64) -> i64 {
    (0..=365_u16).find(|days| f64::from(*days).total_cmp(&float).is_eq()).map_or(i64::MAX, i64::from)
}

/// `device_name` → `Device name`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("an object") };
        Fields { fields, problems: Vec::new() }
    }

    #[test]
    fn problems_come_together_and_in_order() {
        let mut it = fields(json!({
            "description": " ", "ttl_days": 91, "device_name": "x".repeat(256), "tags": "a"
        }));
        it.required("description");
        it.ttl_days("ttl_days");
        it.optional("device_name");
        it.list("tags");
        let failure = it.finish().expect_err("problems");
        assert_eq!(
            failure,
            Failure::unprocessable(
                "Validation failed: Description can't be blank, Ttl days must be between 1 and 90, Device \
                 name is too long (maximum is 255 characters), Tags is invalid"
            )
        );
    }

    #[test]
    fn days() {
        let days = |value: Value| {
            let mut it = fields(json!({ "ttl_days": value }));
            let days = it.ttl_days("ttl_days").duration().whole_days();
            it.finish().map(|()| days).map_err(|failure| format!("{failure:?}"))
        };
        for (value, good) in
            [(json!(null), 1), (json!(7), 7), (json!("7"), 7), (json!(7.0), 7), (json!("90"), 90)]
        {
            assert_eq!(days(value), Ok(good));
        }
        for bad in
            [json!(0), json!(-1), json!(91), json!("0"), json!(u64::MAX), json!(1e300), json!("9".repeat(50))]
        {
            assert!(
                days(bad.clone()).expect_err("out of range").contains("must be between 1 and 90"),
                "{bad}"
            );
        }
        for bad in [json!(1.5), json!("x"), json!(""), json!(" 7"), json!([7]), json!(true), json!({})] {
            assert!(days(bad.clone()).expect_err("no number").contains("Ttl days is invalid"), "{bad}");
        }
    }

    #[test]
    fn absent_null_and_values_are_three_things() {
        let mut it = fields(json!({ "a": null, "b": "x", "c": "" }));
        assert_eq!(it.optional("a"), Sent::Cleared);
        assert_eq!(it.optional("b"), Sent::Value("x".to_owned()));
        assert_eq!(it.optional("c"), Sent::Cleared);
        assert_eq!(it.optional("d"), Sent::Absent);
        assert_eq!((it.kept("b"), it.kept("d")), (Some("x".to_owned()), None));
        assert!(it.finish().is_ok());
        for bad in [json!(7), json!("a\u{0}b"), json!(["x"]), json!({})] {
            let mut it = fields(json!({ "device_name": bad }));
            it.optional("device_name");
            assert_eq!(it.finish(), Err(Failure::unprocessable("Validation failed: Device name is invalid")));
        }
    }
}
