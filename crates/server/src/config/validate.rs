//! From texts to a [`Config`], or to problems in plain words.

use super::providers::{self, Provider};
use super::{
    Config, Hidden, LogFormat, Registration, RelayConfig, TlsFiles, Values, is_loopback, sqlite_file,
};
use crate::countries::Countries;
use bramble_store::Target;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// Something that keeps the server from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which setting.
    pub setting: String,
    /// What is wrong and what to do. Never contains a secret value.
    pub text: String,
}

impl Problem {
    pub(super) fn new(setting: &str, text: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), text: text.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.setting, self.text)
    }
}

impl Config {
    /// Reads the texts. Every problem is found, not only the first.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Problem>> {
        let mut reading = Reading { values, problems: Vec::new() };
        let config = reading.config();
        if reading.problems.is_empty() { config.ok_or_else(Vec::new) } else { Err(reading.problems) }
    }
}

struct Reading<'v> {
    values: &'v Values,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn config(&mut self) -> Option<Config> {
        let data = PathBuf::from(self.values.text("data").unwrap_or_default());
        let listen: Option<SocketAddr> = self.parse("listen", ADDRESS);
        let tls = self.tls();
        let public_url = self.public_url(listen, tls.is_some());
        let registration = self.word("registration", REGISTRATIONS);
        let log_format = self.word("log-format", LOG_FORMATS);
        let ping: Option<u64> = self.parse("ping-interval", "a number of seconds");
        if ping.is_some_and(|seconds| !(1..=300).contains(&seconds)) {
            self.problem("ping-interval", "must be between 1 and 300 seconds");
        }
        let per_address: Option<usize> = self.parse("connections-per-address", "a number");
        if per_address == Some(0) {
            self.problem("connections-per-address", "must be at least 1");
        }
        let api_requests: Option<u32> = self.parse("api-rate-limit", "a number");
        let database = self.database(&data);
        let relay = self.relay();
        let providers = self.providers();
        let smtp_url = self.smtp_url();
        let mut config = Config::new(data, public_url?);
        config.listen = listen?;
        config.tls = tls;
        config.registration = registration?;
        config.log_format = log_format?;
        config.ping_interval = Duration::from_secs(ping?);
        config.limits.connections_per_address = per_address?;
        config.limits.api_requests = api_requests?;
        config.http_listen = self.parse("http-listen", ADDRESS);
        config.metrics_listen = self.parse("metrics-listen", ADDRESS);
        config.trusted_proxies = self.networks("trusted-proxies");
        config.master_key_file = self.values.text("master-key-file").map(PathBuf::from);
        config.database = database;
        config.relay = relay;
        config.providers = providers;
        config.smtp_url = smtp_url;
        config.country_database = self.country_database();
        config.mail_from = self.values.text("mail-from").map(str::to_owned);
        Some(config)
    }

    fn problem(&mut self, setting: &str, text: impl Into<String>) {
        self.problems.push(Problem::new(setting, text));
    }

    fn parse<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.values.text(name)?;
        let value = text.trim().parse().ok();
        if value.is_none() {
            let text = format!("“{text}” is not {expected}");
            self.problem(name, text);
        }
        value
    }

    fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.values.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let text = format!("“{text}” is none of: {}", allowed.join(", "));
            self.problem(name, text);
        }
        found
    }

    fn networks(&mut self, name: &str) -> Vec<ipnet::IpNet> {
        let text = self.values.text(name).unwrap_or_default();
        let mut networks = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let alone = || item.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
            match item.parse().or_else(|_| alone()) {
                Ok(network) => networks.push(network),
                Err(_) => self.problem(name, format!("“{item}” is not a network such as 10.0.0.0/8")),
            }
        }
        networks
    }

    fn providers(&mut self) -> Vec<Provider> {
        let Some(path) = self.values.text("providers-file") else { return Vec::new() };
        match providers::read(std::path::Path::new(path)) {
            Ok(found) => found,
            Err(problem) => {
                self.problem("providers-file", problem);
                Vec::new()
            }
        }
    }

    /// A wrong file would otherwise show only as countries that stay unknown.
    fn country_database(&mut self) -> Option<PathBuf> {
        let file = PathBuf::from(self.values.text("country-database")?);
        if let Err(error) = Countries::open(&file) {
            self.problem("country-database", format!("{} cannot be used: {error}", file.display()));
        }
        Some(file)
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        match (self.values.text("tls-cert"), self.values.text("tls-key")) {
            (Some(cert), Some(key)) => {
                let files = TlsFiles { cert: cert.into(), key: key.into() };
                for (name, path) in [("tls-cert", &files.cert), ("tls-key", &files.key)] {
                    if let Err(error) = std::fs::File::open(path) {
                        self.problem(name, format!("{} cannot be read: {error}", path.display()));
                    }
                }
                Some(files)
            }
            (Some(_), None) => {
                self.problem("tls-key", "is needed as well, because tls-cert is set");
                None
            }
            (None, Some(_)) => {
                self.problem("tls-cert", "is needed as well, because tls-key is set");
                None
            }
            (None, None) => None,
        }
    }

    fn public_url(&mut self, listen: Option<SocketAddr>, tls: bool) -> Option<Url> {
        let url = match (self.values.text("public-url"), listen) {
            (Some(_), _) => self.parse::<Url>("public-url", "a URL such as https://connect.example")?,
            (None, Some(listen)) if listen.ip().is_loopback() && !tls => {
                Url::parse(&format!("http://localhost:{}", listen.port())).ok()?
            }
            // The address is the problem, not the URL that would follow from it.
            (None, None) => return None,
            (None, Some(_)) => {
                self.problem("public-url", "is needed: where people and devices reach this server");
                return None;
            }
        };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            self.problem("public-url", "must begin with https:// or http:// and name a host");
        } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            self.problem("public-url", "must have no path: Bramble needs an origin of its own");
        } else if !url.username().is_empty() || url.password().is_some() {
            self.problem("public-url", "must not contain a user name or password");
        }
        let insecure: Option<bool> = self.parse("allow-insecure-http", "true or false");
        if url.scheme() == "http" && !is_loopback(&url) && insecure == Some(false) {
            let text = "is plain HTTP: passwords and session cookies would travel in the clear. Use https, or \
                        --allow-insecure-http on a network that you trust";
            self.problem("public-url", text);
        }
        Some(url)
    }

    fn database(&mut self, data: &std::path::Path) -> Target {
        let Some(url) = self.values.text("database") else { return Target::Sqlite(sqlite_file(data)) };
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Target::Sqlite(path.trim_start_matches("//").into());
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            self.problem(
                "database",
                "must begin with postgres:// (or be left out for SQLite in the data folder)",
            );
        }
        Target::Postgres(url.to_owned())
    }

    fn relay(&mut self) -> Option<RelayConfig> {
        let on = self.word("relay", &[("on", true), ("off", false)])?;
        let (udp, tcp) = (self.parse("relay-udp", ADDRESS), self.parse("relay-tcp", ADDRESS));
        let tls = self.parse("relay-tls", ADDRESS);
        let public_ip = self.parse("relay-public-ip", "an IP address");
        let allow = self.networks("relay-allow");
        let ports = self.ports();
        let rate = self.rate();
        if tls.is_some() && self.values.text("tls-cert").is_none() {
            self.problem("relay-tls", "needs tls-cert and tls-key");
        }
        on.then_some(RelayConfig { udp: udp?, tcp: tcp?, tls, public_ip, ports: ports?, rate: rate?, allow })
    }

    fn ports(&mut self) -> Option<RangeInclusive<u16>> {
        let text = self.values.text("relay-ports")?;
        let pair =
            text.split_once('-').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        match pair {
            Some((first, last)) if first >= 1024 && first <= last => Some(first..=last),
            _ => {
                self.problem("relay-ports", "must be a range above 1023 such as 49152-49999");
                None
            }
        }
    }

    /// In bytes per second.
    fn rate(&mut self) -> Option<u64> {
        let words = "megabits per second from 1 to 10000";
        let megabits: u64 = self.parse("relay-rate", words)?;
        if !(1..=10_000).contains(&megabits) {
            self.problem("relay-rate", format!("must be {words}"));
            return None;
        }
        Some(megabits * 1_000_000 / 8)
    }

    fn smtp_url(&mut self) -> Option<Hidden> {
        let text = self.values.text("smtp-url")?;
        let good =
            Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
        if !good {
            self.problem(
                "smtp-url",
                "must look like smtp://user:password@host:587?tls=required or smtps://…",
            );
        }
        Some(Hidden::new(text))
    }
}

const ADDRESS: &str = "an address and port such as 0.0.0.0:8443";
const REGISTRATIONS: &[(&str, Registration)] = &[
    ("invitation", Registration::Invitation),
    ("open", Registration::Open),
    ("closed", Registration::Closed),
];
const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let find = |name: &str| flags.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Config::from_values(&Values::gather(find, |_| None, None).0)
    }

    #[test]
    fn defaults_work_on_this_machine() {
        let config = read(&[("data", "/x")]).expect("valid");
        assert_eq!(config.origin(), "http://localhost:8080");
        assert_eq!(config.database, Target::Sqlite("/x/bramble.db".into()));
        assert!(!config.https() && !config.insecure_http());
        let relay = config.relay.expect("on");
        assert_eq!((relay.ports, relay.rate), (49152..=49999, 12_500_000));
    }

    #[test]
    fn plain_http_to_elsewhere_needs_a_word() {
        let url = ("public-url", "http://pi.example");
        let problems = read(&[url]).expect_err("refused");
        assert!(problems[0].text.contains("--allow-insecure-http"), "{problems:?}");
        let config = read(&[url, ("allow-insecure-http", "true")]).expect("allowed");
        assert!(config.insecure_http());
        for local in ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost"] {
            assert!(read(&[("public-url", local)]).is_ok(), "{local}");
        }
    }

    #[test]
    fn each_wrong_value_is_named() {
        let cases = [
            ("listen", "nowhere"),
            ("public-url", "https://pi.example/path"),
            ("public-url", "ftp://pi.example"),
            ("public-url", "https://user@pi.example"),
            ("registration", "everyone"),
            ("trusted-proxies", "10.0.0.0/8,abc"),
            ("relay", "maybe"),
            ("relay-ports", "9-1"),
            ("relay-ports", "80-90"),
            ("relay-rate", "0"),
            ("relay-rate", "10001"),
            ("relay-rate", "fast"),
            ("relay-tls", "0.0.0.0:5349"),
            ("smtp-url", "http://mail"),
            ("log-format", "xml"),
            ("ping-interval", "0"),
            ("allow-insecure-http", "perhaps"),
            ("database", "mysql://x"),
        ];
        for (name, value) in cases {
            let problems = read(&[(name, value)]).expect_err(value);
            assert!(problems.iter().all(|p| p.setting == name), "{name}={value}: {problems:?}");
        }
        assert_eq!(read(&[("tls-cert", "/x")]).expect_err("half")[0].setting, "tls-key");
        assert_eq!(read(&[("listen", "0.0.0.0:1")]).expect_err("no URL")[0].setting, "public-url");
    }

    #[test]
    fn passwords_are_in_no_problem() {
        let problems = read(&[("smtp-url", "ftp://u:hunter2@mail"), ("database", "x://u:hunter2@db")]);
        assert!(!format!("{:?}", problems.expect_err("wrong")).contains("hunter2"));
    }
}
