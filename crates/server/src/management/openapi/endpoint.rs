//! What is said of an endpoint.

/// An endpoint, as the document and the page describe it.
#[derive(Debug)]
pub struct Endpoint {
    /// Method.
    pub method: &'static str,
    /// Path, as in `routes::TABLE`.
    pub path: &'static str,
    /// Its name for generated clients.
    pub id: &'static str,
    /// Under which heading.
    pub group: &'static str,
    /// What it does, in a few words.
    pub title: &'static str,
    /// What else is to be known.
    pub text: &'static str,
    /// What the query string may have.
    pub query: &'static [Parameter],
    /// What it is sent.
    pub body: Option<Body>,
    /// Whether the request is signed with a device's key.
    pub signed: bool,
    /// What it answers when it is done.
    pub answer: Answer,
    /// The statuses of its refusals, beside those of every endpoint.
    pub refusals: &'static [u16],
    /// Endpoints that take the id of what this one made.
    pub then: &'static [&'static str],
}

/// A part of the query string.
#[derive(Debug)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// What it does.
    pub text: &'static str,
    /// As JSON.
    pub example: &'static str,
}

/// A body.
#[derive(Debug)]
pub struct Body {
    /// Its fields.
    pub fields: &'static [Field],
    /// As JSON.
    pub example: &'static str,
}

/// A field of a body.
#[derive(Debug)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it is for.
    pub text: &'static str,
}

/// What a field may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text of 1 to 255 characters.
    Name,
    /// The same or nothing.
    OptionalName,
    /// Up to ten tags, or nothing.
    Tags,
    /// 1 to 90.
    Days,
    /// PEM.
    PublicKey,
    /// An address.
    Uri,
    /// 64 hexadecimal digits.
    Checksum,
    /// An id.
    Id,
}

/// What an endpoint answers when it is done. The word is the name of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Shown(&'static str),
    /// 201.
    Made(&'static str),
    /// 204, or 200 for whoever prefers to see what was deleted.
    Deleted(&'static str),
}

impl Answer {
    /// The name of its schema.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Shown(name) | Self::Made(name) | Self::Deleted(name) => name,
        }
    }

    /// The usual status.
    pub fn status(self) -> u16 {
        match self {
            Self::Shown(_) => 200,
            Self::Made(_) => 201,
            Self::Deleted(_) => 204,
        }
    }
}
