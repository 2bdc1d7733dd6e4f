//! When a key takes effect that is changed while the server runs: at once, or with the next start.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::keys::{self, List};
use super::{Config, ConfigError, Loaded, layers};
use table::{AT_ONCE, AT_START, Keys};

/// What becomes of a configuration while the server runs.
#[derive(Debug)]
pub struct Change {
    /// What counts from now on: the new values of the keys that count at once, and the old ones of all others.
    pub loaded: Loaded,
    /// The keys whose new values count.
    pub changed: Vec<String>,
    /// The keys whose new values count with the next start.
    pub needs_restart: Vec<String>,
}

impl Loaded {
    /// Returns what changes if another configuration takes the place of this one while the server runs.
    ///
    /// # Errors
    /// What counts at once does not fit what stays as it is.
    pub fn change_to(&self, new: Self) -> Result<Change, ConfigError> {
        let (mut changed, mut needs_restart) = (Vec::new(), Vec::new());
        let mut values = BTreeMap::new();
        let keys: BTreeSet<&String> = self.values.keys().chain(new.values.keys()).collect();
        for key in keys {
            let both = [self.values.get(key), new.values.get(key)];
            let counts = match keys::list(key) {
                Some(list) => {
                    let (entries, waiting) = entries(list, both);
                    needs_restart.extend(waiting);
                    entries
                }
                None if is_in(AT_ONCE, key) => both[1].cloned(),
                None => {
                    if both[0] != both[1] && !are_same(key, [&self.config, &new.config]) {
                        needs_restart.push(key.clone());
                    }
                    both[0].cloned()
                }
            };
            if counts.as_ref() != both[0] && !is_default(key, both[0], counts.as_ref(), self, &new)
            {
                changed.push(key.clone());
            }
            values.extend(counts.map(|value| (key.clone(), value)));
        }
        let config = layers::config_of(&values)?;
        let loaded = Self {
            config,
            values,
            ..new
        };
        Ok(Change {
            loaded: loaded.checked()?,
            changed,
            needs_restart,
        })
    }
}

/// Tells whether a key, or one of the entries of a list, is one of these.
fn is_in(keys: &Keys, key: &str) -> bool {
    let (place, name) = key.rsplit_once('.').unwrap_or((key, ""));
    let mut sections = keys.iter().filter(|(section, _)| *section == place);
    sections.any(|(_, names)| names.contains(&name))
}

/// Tells whether nothing but the mention of a default has changed.
fn is_default(
    key: &str,
    before: Option<&Value>,
    now: Option<&Value>,
    old: &Loaded,
    new: &Loaded,
) -> bool {
    let is_mention = before.is_none() || now.is_none();
    is_mention && keys::list(key).is_none() && are_same(key, [&old.config, &new.config])
}

/// Tells whether a key has the same value in both, as far as it can be shown.
fn are_same(key: &str, both: [&Config; 2]) -> bool {
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    let [old, new] = both.map(|config| {
        let all = serde_json::to_value(config).unwrap_or_default();
        all[section][name].clone()
    });
    old == new
}

fn list_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns the entries of a list that count from now on, and the keys of entries that do not yet.
fn entries(list: &List, [old, new]: [Option<&Value>; 2]) -> (Option<Value>, Vec<String>) {
    let waits = |name: &String| is_in(AT_START, &format!("{}.{name}", list.key));
    let names = keys::known_of(list);
    let waiting: Vec<&String> = names.iter().filter(|name| waits(name)).collect();
    if waiting.is_empty() {
        return (new.cloned(), Vec::new());
    }
    if waiting.len() == names.len() {
        let is_new = old.map_or(&[][..], list_of) != new.map_or(&[][..], list_of);
        return (
            old.cloned(),
            is_new.then(|| list.key.to_owned()).into_iter().collect(),
        );
    }
    // Its entries are told apart by what each of them needs.
    let by = list.required.map_or("", |(name, _)| name);
    let tables = |list: Option<&Value>| -> Vec<Table> {
        let entries = list.and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(Value::as_table).cloned().collect()
    };
    let (old, mut now) = (tables(old), tables(new));
    for entry in &old {
        if now.iter().all(|other| other.get(by) != entry.get(by)) {
            now.push(Table::from_iter(
                entry.get(by).map(|id| (by.to_owned(), id.clone())),
            ));
        }
    }
    let mut differing = BTreeSet::new();
    for entry in &mut now {
        let before = old.iter().find(|other| other.get(by) == entry.get(by));
        for name in &waiting {
            let value = before.and_then(|before| before.get(*name));
            if entry.get(*name) != value {
                differing.insert(format!("{}.{name}", list.key));
            }
            match value {
                Some(value) => drop(entry.insert((*name).clone(), value.clone())),
                None => drop(entry.remove(*name)),
            }
        }
    }
    // One that says nothing does no harm, but should not be there.
    now.retain(|entry| entry.len() > 1);
    let now: Vec<Value> = now.into_iter().map(Value::Table).collect();
    (
        (!now.is_empty()).then_some(now.into()),
        differing.into_iter().collect(),
    )
}

#[cfg(test)]
mod tests;
