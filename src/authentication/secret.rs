//! Where a secret or a key is read from. It never stands in the configuration itself, which is shown and
//! copied about.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, de};

/// How many bytes a secret or a file of keys may be: far more than any is.
pub const MAX_SECRET: u64 = 1024 * 1024;

/// `{ env = "NAME" }` or `{ file = "/path" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// The value of an environment variable.
    Env(String),
    /// What a file holds.
    File(PathBuf),
}

impl Secret {
    /// Reads it. Line ends behind it are not part of it.
    ///
    /// # Errors
    /// What is wrong, as a sentence that goes on after the key; it does not show the secret.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let mut bytes = match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(value) => value.into_bytes(),
                Err(std::env::VarError::NotPresent) => {
                    return Err(format!("the environment variable {name} is not set"));
                }
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(format!("the environment variable {name} is no UTF-8"));
                }
            },
            Self::File(path) => {
                let mut bytes = Vec::new();
                File::open(path)
                    .and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut bytes))
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                bytes
            }
        };
        if bytes.len() as u64 > MAX_SECRET {
            return Err(format!("must be at most {MAX_SECRET} bytes"));
        }
        let end = bytes
            .iter()
            .rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        bytes.truncate(end.map_or(0, |last| last + 1));
        if bytes.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(bytes)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected { env = \"NAME\" } or { file = \"/path\" }, \
                        because it must not stand in the configuration itself";
        match single(deserializer) {
            Some((key, value)) if key == "env" => Ok(Self::Env(value)),
            Some((key, value)) if key == "file" => Ok(Self::File(value.into())),
            _ => Err(de::Error::custom(expected)),
        }
    }
}

/// Reads a table of one key. What else stands there is not told of, because it may be a secret.
pub(super) fn single<'de, D: Deserializer<'de>>(deserializer: D) -> Option<(String, String)> {
    let table = HashMap::<String, String>::deserialize(deserializer).ok()?;
    let mut entries = table.into_iter();
    let only = entries.next()?;
    entries.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_and_never_stands_there() {
        let read = |text: &str| {
            let table: Result<HashMap<String, Secret>, _> = toml::from_str(text);
            table.map(|mut table| table.remove("x"))
        };
        let env = read("x = { env = 'A' }").expect("a table");
        assert_eq!(env, Some(Secret::Env("A".to_owned())));
        let file = read("x = { file = '/a' }").expect("a table");
        assert_eq!(file, Some(Secret::File("/a".into())));
        for wrong in [
            "x = 'hunter2'",
            "x = { value = 'hunter2' }",
            "x = { env = 'A', file = 'hunter2' }",
            "x = { env = ['hunter2'] }",
            "x = ['hunter2']",
            "x = {}",
        ] {
            let error = read(wrong).expect_err(wrong);
            assert!(error.message().contains("{ env = \"NAME\" }"), "{wrong}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn line_ends_are_not_part_of_it() {
        let path = std::env::temp_dir().join(format!("mirant-secret-{}", std::process::id()));
        let read = |content: &[u8]| {
            std::fs::write(&path, content).expect("a file");
            Secret::File(path.clone()).read()
        };
        assert_eq!(read(b"a b\r\n\n"), Ok(b"a b".to_vec()));
        assert_eq!(read(b" a\nb"), Ok(b" a\nb".to_vec()));
        assert_eq!(read(b"\n"), Err("is empty".to_owned()));
        let long = vec![b'a'; 1024 * 1024 + 1];
        assert_eq!(read(&long), Err("must be at most 1048576 bytes".to_owned()));
        std::fs::remove_file(&path).expect("the file");
        let gone = Secret::File(path).read().expect_err("no file");
        assert!(gone.contains("cannot be read"), "{gone}");
        let unset = Secret::Env("MIRANT_NO_SUCH_VARIABLE".to_owned()).read();
        assert!(unset.expect_err("no variable").contains("is not set"));
    }
}
