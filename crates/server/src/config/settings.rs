//! Every setting of `bramble serve`, once.

/// One setting: the same name in flags (`--name`), environment (`BRAMBLE_NAME`) and file (`name = …`).
#[derive(Debug)]
pub struct Setting {
    /// The name, in kebab case.
    pub name: &'static str,
    /// What stands for the value in the help text.
    pub value_name: &'static str,
    /// The help text.
    pub help: &'static str,
    /// The default as a text; `None` when there is none, or when it depends on other settings.
    pub default: Option<&'static str>,
    /// Whether `config check` hides it.
    pub secret: bool,
    /// A flag without a value means `true`.
    pub switch: bool,
}

const fn setting(
    name: &'static str,
    value_name: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { name, value_name, help, default, secret: false, switch: false }
}

#[expect(clippy::needless_pass_by_value, reason = "a constant function cannot drop")]
const fn secret(it: Setting) -> Setting {
    Setting { secret: true, ..it }
}

#[expect(clippy::needless_pass_by_value, reason = "a constant function cannot drop")]
const fn switch(it: Setting) -> Setting {
    Setting { switch: true, ..it }
}

/// In the order of the help text.
pub const ALL: &[Setting] = &[
    setting(
        "data",
        "DIR",
        Some("/var/lib/bramble"),
        "Folder with database, secrets and the operator's socket",
    ),
    setting(
        "listen",
        "ADDR",
        Some("127.0.0.1:8080"),
        "Where the server listens: HTTPS with --tls-cert and --tls-key, else plain HTTP behind a proxy",
    ),
    setting(
        "public-url",
        "URL",
        None,
        "Where people and devices reach the server, such as https://connect.example [default: http://localhost:PORT when listening on loopback without TLS]",
    ),
    secret(setting(
        "database",
        "URL",
        None,
        "PostgreSQL, such as postgres://bramble@db/bramble [default: SQLite in DIR/bramble.db]",
    )),
    setting("tls-cert", "FILE", None, "Certificate chain (PEM, leaf first); read again on SIGHUP"),
    setting("tls-key", "FILE", None, "The certificate's private key (PEM)"),
    setting("http-listen", "ADDR", None, "Plain HTTP listener that serves only /up and a redirect to HTTPS"),
    setting("metrics-listen", "ADDR", None, "Listener for Prometheus at /metrics; keep it off the internet"),
    setting(
        "trusted-proxies",
        "CIDR,…",
        None,
        "Proxies whose last X-Forwarded-For hop is believed [default: none]",
    ),
    setting(
        "connections-per-address",
        "N",
        Some("4000"),
        "Connections at once from one IPv4 address or IPv6 /64, without trusted proxies, this machine, and the streams of linked devices",
    ),
    setting(
        "api-rate-limit",
        "N",
        Some("5000"),
        "Requests of one management API token in an hour of the clock; 0 counts nothing",
    ),
    setting("registration", "WHO", Some("invitation"), "Who may sign up: invitation, open or closed"),
    setting(
        "providers-file",
        "FILE",
        None,
        "OpenID Connect providers that people may sign in with (TOML, see docs/operating.md) [default: none]",
    ),
    switch(setting(
        "allow-insecure-http",
        "BOOL",
        Some("false"),
        "Allow a plain-HTTP public URL other than localhost. Passwords then travel in the clear",
    )),
    setting(
        "master-key-file",
        "FILE",
        None,
        "The key that seals stored secrets, the same on every node [default: DIR/secrets/master.key, made at the first start]",
    ),
    setting("relay", "on|off", Some("on"), "The embedded STUN and TURN relay"),
    setting("relay-udp", "ADDR", Some("0.0.0.0:3478"), "STUN and TURN over UDP"),
    setting("relay-tcp", "ADDR", Some("0.0.0.0:3478"), "TURN over TCP"),
    setting(
        "relay-tls",
        "ADDR",
        None,
        "TURN over TLS on a port of its own; on the HTTPS port it is always there",
    ),
    setting(
        "relay-public-ip",
        "IP",
        None,
        "The address that others reach the relay at, if it differs from the bound one",
    ),
    setting("relay-ports", "A-B", Some("49152-49999"), "Ports of relayed addresses"),
    setting(
        "relay-rate",
        "MBIT",
        Some("100"),
        "Megabits per second that each side of a session may relay, each way",
    ),
    setting("relay-allow", "CIDR,…", None, "Private networks that may be relayed to [default: none]"),
    secret(setting(
        "smtp-url",
        "URL",
        None,
        "How mail leaves: smtp://user:password@host:587?tls=required or smtps://… [default: mail waits for `bramble mail`]",
    )),
    setting(
        "mail-from",
        "ADDRESS",
        None,
        "The sender of every mail, such as \"Bramble <bramble@example.org>\" [default: bramble@HOST]",
    ),
    setting(
        "country-database",
        "FILE",
        None,
        "Which networks are in which country (.mmdb), for the audit log and for linking [default: /usr/share/bramble/countries.mmdb if it is there]",
    ),
    setting("log-format", "FORMAT", Some("text"), "How log lines look: text or json"),
    setting("ping-interval", "SECONDS", Some("25"), "Time between two pings of a device's event stream"),
];

/// Looks a setting up.
pub fn find(name: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| setting.name == name)
}

/// `public-url` → `BRAMBLE_PUBLIC_URL`.
pub fn environment_name(name: &str) -> String {
    format!("BRAMBLE_{}", name.replace('-', "_").to_uppercase())
}
