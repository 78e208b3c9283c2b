//! Which layer each value comes from: flags win over the environment, the environment over the file,
//! the file over the defaults.

use super::settings::{self, ALL};
use super::validate::Problem;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `--name`.
    Flag,
    /// `BRAMBLE_NAME`.
    Environment,
    /// The TOML file.
    File(PathBuf),
    /// Nobody said.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was written, and where.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "the text may be a secret")]
pub struct Value {
    /// The text.
    pub text: String,
    /// Its layer.
    pub source: Source,
}

/// The effective text of every setting that has one, by name.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<&'static str, Value>);

impl fmt::Debug for Values {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// Lays the layers over each other. `flags` and `environment` answer by setting name and by
    /// variable name. What is wrong with the file becomes problems; the rest still counts.
    pub fn gather(
        flags: impl Fn(&str) -> Option<String>,
        environment: impl Fn(&str) -> Option<String>,
        config_file: Option<&Path>,
    ) -> (Self, Vec<Problem>) {
        let mut values = BTreeMap::new();
        for setting in ALL {
            let variable = settings::environment_name(setting.name);
            let found = flags(setting.name)
                .map(|text| Value { text, source: Source::Flag })
                .or_else(|| environment(&variable).map(|text| Value { text, source: Source::Environment }))
                .or_else(|| {
                    setting.default.map(|text| Value { text: text.to_owned(), source: Source::Default })
                });
            if let Some(value) = found {
                values.insert(setting.name, value);
            }
        }
        let mut values = Self(values);
        let mut problems = Vec::new();
        values.read_file(config_file, &mut problems);
        (values, problems)
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text of a setting.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|value| value.text.as_str())
    }

    fn read_file(&mut self, named: Option<&Path>, problems: &mut Vec<Problem>) {
        let path = match named {
            Some(path) => path.to_owned(),
            None => Path::new(self.text("data").unwrap_or_default()).join("bramble.toml"),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return,
            Err(error) => {
                problems.push(Problem::new("config", format!("{} cannot be read: {error}", path.display())));
                return;
            }
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
                let what = error.message();
                problems.push(Problem::new("config", format!("{} line {line}: {what}", path.display())));
                return;
            }
        };
        for (key, value) in table {
            let Some(setting) = settings::find(&key) else {
                let text = format!("{} has a setting that does not exist: {key}", path.display());
                problems.push(Problem::new("config", text));
                continue;
            };
            let Some(text) = as_text(&value) else {
                let text = "must be a text, a number, true, false, or a list of texts".to_owned();
                problems.push(Problem::new(setting.name, text));
                continue;
            };
            if key == "data" {
                let text = format!(
                    "{} cannot name the data folder that it is read from. Use --data or BRAMBLE_DATA.",
                    path.display()
                );
                problems.push(Problem::new("data", text));
                continue;
            }
            let stands = self.0.get(setting.name).is_some_and(|v| v.source != Source::Default);
            if !stands {
                self.0.insert(setting.name, Value { text, source: Source::File(path.clone()) });
            }
        }
    }
}

fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bramble.toml");
        std::fs::write(&file, "listen = \"1.1.1.1:1\"\nregistration = \"open\"\nrelay = \"off\"\n")
            .expect("written");
        let data = folder.path().display().to_string();
        let flags = |name: &str| match name {
            "data" => Some(data.clone()),
            "listen" => Some("3.3.3.3:3".to_owned()),
            _ => None,
        };
        let environment = |name: &str| match name {
            "BRAMBLE_LISTEN" => Some("2.2.2.2:2".to_owned()),
            "BRAMBLE_RELAY" => Some("on".to_owned()),
            _ => None,
        };
        let (values, problems) = Values::gather(flags, environment, None);
        assert_eq!(problems, []);
        let found = |name: &str| {
            let value = values.get(name).expect("a value");
            (value.text.clone(), value.source.clone())
        };
        assert_eq!(found("listen"), ("3.3.3.3:3".to_owned(), Source::Flag));
        assert_eq!(found("relay"), ("on".to_owned(), Source::Environment));
        assert_eq!(found("registration"), ("open".to_owned(), Source::File(file)));
        assert_eq!(found("ping-interval"), ("25".to_owned(), Source::Default));
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("other.toml");
        let problems = |text: &str| {
            std::fs::write(&file, text).expect("written");
            Values::gather(|_| None, |_| None, Some(&file)).1
        };
        assert!(problems("listn = \"x\"")[0].text.contains("does not exist: listn"));
        assert!(problems("a = 1\nb = =\n")[0].text.contains("line 2"));
        assert!(problems("data = \"/x\"")[0].text.contains("--data"));
        assert!(problems("listen = 1.5")[0].text.contains("must be a text"));
        let missing = folder.path().join("none.toml");
        let (_, problems) = Values::gather(|_| None, |_| None, Some(&missing));
        assert!(problems[0].text.contains("cannot be read"));
    }
}
