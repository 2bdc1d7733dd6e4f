//! Lays the sources over each other, and remembers who set what.
//!
//! Every value is tried on its own when it arrives, so that a refusal can name its source.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::keys::{self, Kind, List, SECTIONS};
use super::{
    CLIENT_VARIABLES, CONFIG_VARIABLE, Config, ConfigError, LOG_VARIABLE, Loaded, PassedOver,
    STANDARD_INPUT, Sources,
};

const PREFIX: &str = "MIRANT_";

/// Where a value came from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The configuration file, by its name.
    File(String),
    /// An environment variable.
    Variable(String),
    /// A `--set` argument.
    Set(String),
    /// A flag of its own.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "{name}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Set(argument) => write!(f, "--set {argument}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// The values so far, and what was wrong with the others.
#[derive(Debug)]
pub(super) struct Layers {
    known: Vec<String>,
    values: BTreeMap<String, Value>,
    origins: BTreeMap<String, Source>,
    passed_over: Vec<PassedOver>,
    problems: Vec<String>,
}

impl Layers {
    pub(super) fn new() -> Self {
        Self {
            known: keys::known(),
            values: BTreeMap::new(),
            origins: BTreeMap::new(),
            passed_over: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Reads the values of a text that is part of the program.
    pub(super) fn below(text: &str) -> Result<BTreeMap<String, Value>, ConfigError> {
        let mut layers = Self::new();
        layers.text(text, "the program")?;
        layers.finish().map(|loaded| loaded.values)
    }

    /// Lays a TOML file over what is there; `-` is standard input.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let is_input = path == Path::new(STANDARD_INPUT);
        let text = if is_input {
            io::read_to_string(io::stdin())
        } else {
            std::fs::read_to_string(path)
        };
        let name = shown(path);
        let text = text.map_err(|source| ConfigError::Read {
            name: name.clone(),
            source,
        })?;
        self.text(&text, &name)
    }

    /// Lays the TOML of a file of this name over what is there.
    pub(super) fn text(&mut self, text: &str, name: &str) -> Result<(), ConfigError> {
        let table: Table = text
            .parse()
            .map_err(|error| syntax_error(name, text, &error))?;
        let origin = Source::File(name.to_owned());
        for (section, value) in table {
            match value {
                Value::Table(entries) if keys::list(&section).is_none() && !entries.is_empty() => {
                    for (name, value) in entries {
                        self.put(&format!("{section}.{name}"), value, &origin);
                    }
                }
                Value::Table(_) if SECTIONS.contains(&section.as_str()) => {}
                value => self.put(&section, value, &origin),
            }
        }
        Ok(())
    }

    /// Lays the `MIRANT_SECTION__KEY` variables over what is there. What has no two underscores is
    /// passed over: Kubernetes sets `MIRANT_PORT` and more beside a Service named `mirant`.
    pub(super) fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if name == LOG_VARIABLE || name == CONFIG_VARIABLE || CLIENT_VARIABLES.contains(&&*name)
            {
                continue;
            }
            let key = rest.to_lowercase().replacen("__", ".", 1);
            if key.contains('.') {
                self.put_text(&key, &text, &Source::Variable(name));
            } else {
                self.pass_over(name, &key);
            }
        }
    }

    /// Lays one `KEY=VALUE` over what is there.
    pub(super) fn set(&mut self, argument: &str) {
        let origin = Source::Set(argument.to_owned());
        match argument.split_once('=') {
            Some((key, text)) => self.put_text(key.trim(), text.trim(), &origin),
            None => self.problems.push(format!(
                "{origin}: expected KEY=VALUE, such as --set bayeux.timeout=20s"
            )),
        }
    }

    /// Lays the flags that stand for a key over what is there.
    pub(super) fn flags(&mut self, sources: &Sources) {
        if !sources.listen.is_empty() {
            let addresses = sources.listen.iter().map(ToString::to_string);
            let addresses: Vec<Value> = addresses.map(Value::String).collect();
            self.put("http.listen", addresses.into(), &Source::Flag("--listen"));
        }
        if let Some(level) = &sources.log_level {
            let origin = Source::Flag("--log-level (or MIRANT_LOG)");
            self.put("log.level", level.as_str().into(), &origin);
        }
        if let Some(format) = sources.log_format {
            let format = Value::try_from(format).unwrap_or_else(|_| "".into());
            self.put("log.format", format, &Source::Flag("--log-format"));
        }
    }

    /// Builds the configuration, if nothing was wrong.
    pub(super) fn finish(mut self) -> Result<Loaded, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid(self.problems));
        }
        let values = &self.values;
        let is_secret = |name: &str| values.values().any(|value| reads(value, name));
        self.passed_over
            .retain(|variable| !is_secret(&variable.name));
        let config = config_of(&self.values)?;
        Ok(Loaded {
            config,
            values: self.values,
            origins: self.origins,
            passed_over: self.passed_over,
        })
    }

    fn put_text(&mut self, key: &str, text: &str, origin: &Source) {
        if self.known.iter().any(|known| known == key) {
            self.put(key, Kind::of(key).read(text), origin);
        } else {
            self.refuse_key(key, origin);
        }
    }

    fn put(&mut self, key: &str, value: Value, origin: &Source) {
        if !self.known.iter().any(|known| known == key) {
            self.refuse_key(key, origin);
        } else if let Some(list) = keys::list(key) {
            self.put_list(list, value, origin);
        } else if keys::check(key, value.clone()).is_err() {
            if key.ends_with(".secret") {
                self.refuse_secret(key, key, origin);
            } else {
                self.refuse_value(key, key, &value, origin);
            }
        } else {
            self.keep(key, value, origin);
        }
    }

    /// Takes a list of tables, which replaces the one of earlier sources.
    fn put_list(&mut self, list: &List, value: Value, origin: &Source) {
        let &List {
            key,
            required,
            secret,
            ..
        } = list;
        let entries: Option<Vec<&Table>> = value
            .as_array()
            .and_then(|entries| entries.iter().map(Value::as_table).collect());
        let Some(entries) = entries else {
            self.refuse_value(key, key, &value, origin);
            return;
        };
        let known = keys::known_of(list);
        for (index, entry) in entries.into_iter().enumerate() {
            if let Some((required, advice)) = required
                && !entry.contains_key(required)
            {
                self.problems.push(format!(
                    "{origin}: {key}[{index}] has no {required}; {advice}"
                ));
            }
            for (name, value) in entry {
                let full = format!("{key}[{index}].{name}");
                let of_entry = format!("{key}.{name}");
                if !known.contains(name) {
                    let hint = hint(keys::nearest(name, known.iter().map(String::as_str)));
                    self.problems
                        .push(format!("{origin}: unknown key {full}; {hint}"));
                } else if keys::check(&of_entry, value.clone()).is_ok() {
                } else if secret.contains(&name.as_str()) {
                    self.refuse_secret(&full, &of_entry, origin);
                } else {
                    self.refuse_value(&full, &of_entry, value, origin);
                }
            }
        }
        self.keep(key, value, origin);
    }

    fn keep(&mut self, key: &str, value: Value, origin: &Source) {
        self.values.insert(key.to_owned(), value);
        self.origins.insert(key.to_owned(), origin.clone());
    }

    fn refuse_value(&mut self, shown: &str, key: &str, value: &Value, origin: &Source) {
        let refusal = Kind::of(key).refusal(value);
        self.problems
            .push(format!("{origin}: {shown} = {value}: {refusal}"));
    }

    /// Refuses a value that may be a secret, without showing it.
    fn refuse_secret(&mut self, shown: &str, key: &str, origin: &Source) {
        let refusal = Kind::of(key).refusal(&Value::Boolean(false));
        let origin = match origin {
            Source::Set(argument) => {
                let (key, _) = argument.split_once('=').unwrap_or((argument, ""));
                Source::Set(format!("{key}=…"))
            }
            other => other.clone(),
        };
        self.problems.push(format!("{origin}: {shown}: {refusal}"));
    }

    fn refuse_key(&mut self, key: &str, origin: &Source) {
        let list = keys::list_above(key).map(|(list, _)| list);
        let problem = if SECTIONS.contains(&key) {
            format!("{origin}: {key} is a section, not a key; set one of the keys in it")
        } else if let Some(list) = list {
            let refusal = Kind::Tables(list).refusal(&Value::Boolean(false));
            format!("{origin}: unknown key {key}; {}: {refusal}", list.key)
        } else {
            let near = keys::nearest(key, self.known.iter().map(String::as_str));
            let hint = match (origin, near) {
                (Source::Variable(_), Some(near)) => {
                    format!("did you mean {near} ({})?", variable_of(near))
                }
                _ => hint(near),
            };
            format!("{origin}: unknown key {key}; {hint}")
        };
        self.problems.push(problem);
    }

    /// Notes a variable that is not configuration, with what was meant if that is hardly in doubt.
    fn pass_over(&mut self, name: String, key: &str) {
        let flags = [LOG_VARIABLE, CONFIG_VARIABLE];
        let flags = flags.map(|flag| flag.trim_start_matches(PREFIX).to_lowercase());
        let names = self.known.iter().filter(|known| known.contains('.'));
        let names = names.chain(&flags).map(String::as_str);
        let meant = keys::like(key, names, keys::ALMOST_CERTAIN).map(variable_of);
        self.passed_over.push(PassedOver { name, meant });
    }
}

/// Makes the configuration in which these keys are set.
pub(super) fn config_of(values: &BTreeMap<String, Value>) -> Result<Config, ConfigError> {
    let mut table = Table::new();
    for (key, value) in values {
        match key.split_once('.') {
            Some((section, name)) => {
                let section = table
                    .entry(section)
                    .or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(name.to_owned(), value.clone());
                }
            }
            None => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
    Config::deserialize(Value::Table(table))
        .map_err(|error| ConfigError::Invalid(vec![error.message().to_owned()]))
}

/// Whether a value says that a secret is in a variable: `{ env = "NAME" }`.
fn reads(value: &Value, name: &str) -> bool {
    match value {
        Value::Table(table) => table
            .iter()
            .any(|(key, value)| key == "env" && value.as_str() == Some(name) || reads(value, name)),
        Value::Array(values) => values.iter().any(|value| reads(value, name)),
        _ => false,
    }
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn hint(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean {near}?"),
        None => "`mirant default-config` lists all keys".to_owned(),
    }
}

/// Names a file as messages do.
pub(super) fn shown(path: &Path) -> String {
    if path == Path::new(STANDARD_INPUT) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn syntax_error(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Syntax {
        name: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: error.message().replace('\n', "; "),
    }
}
