//! Who may name whom (ARCHITECTURE.md), checked on the sources as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Bottom to top: a module, and the modules it may name beside itself.
const LAYERS: [(&str, &[&str]); 18] = [
    ("bayeux", &[]),
    ("metrics", &[]),
    ("web", &[]),
    ("extensions", &["bayeux"]),
    ("services", &["bayeux"]),
    ("session", &["bayeux", "metrics", "extensions"]),
    ("router", &["bayeux", "session"]),
    ("resources", &["bayeux", "metrics"]),
    (
        "operations",
        &[
            "bayeux",
            "metrics",
            "extensions",
            "session",
            "router",
            "resources",
        ],
    ),
    (
        "server",
        &[
            "bayeux",
            "metrics",
            "extensions",
            "services",
            "session",
            "router",
            "resources",
            "operations",
        ],
    ),
    (
        "transports",
        &["bayeux", "metrics", "session", "resources", "server", "web"],
    ),
    ("admin", &["server", "web"]),
    ("demo", &["web"]),
    ("plugins", &["web"]),
    ("client", &["web"]),
    (
        "endpoint",
        &["transports", "admin", "demo", "plugins", "metrics", "web"],
    ),
    (
        "config",
        &[
            "bayeux",
            "extensions",
            "services",
            "session",
            "router",
            "resources",
            "transports",
            "endpoint",
            "web",
        ],
    ),
    (
        "run",
        &[
            "config",
            "endpoint",
            "admin",
            "demo",
            "transports",
            "server",
            "bayeux",
            "extensions",
            "services",
            "router",
            "metrics",
            "web",
        ],
    ),
];

/// The top, which may name anything: the map itself, the program, and its commands.
const FREE: [&str; 3] = ["lib", "main", "cli"];

/// Where neither the network nor the clock may be named.
const PURE: [&str; 8] = [
    "bayeux",
    "extensions",
    "router",
    "resources",
    "operations",
    "session/state.rs",
    "session/queue.rs",
    "session/queue",
];

const BANNED: [&str; 6] = [
    "tokio",
    "hyper",
    "std::net",
    "Instant::now",
    "SystemTime::now",
    ".await",
];

struct Source {
    /// The path below `src`, with slashes.
    name: String,
    text: String,
}

impl Source {
    /// The folder or file directly below `src`.
    fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        self.name.ends_with("/tests.rs") || self.name.contains("/tests/")
    }

    /// The text without comments, and without the tests at its end.
    fn code(&self) -> String {
        let without_tests = self.text.split("#[cfg(test)]").next().unwrap();
        without_tests
            .lines()
            .map(|line| line.split("//").next().unwrap())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    found
        .into_iter()
        .map(|path| Source {
            name: path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/"),
            text: fs::read_to_string(path).unwrap(),
        })
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules of this crate that a text names: `crate::x`, and each of `crate::{x, y::z}`.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(identifier(rest)),
            Some(list) => {
                let mut depth = 0;
                for part in list.split_inclusive([',', '{', '}']) {
                    if depth == 0 {
                        names.extend(identifier(part.trim_start()));
                    }
                    match part.as_bytes().last() {
                        Some(b'{') => depth += 1,
                        Some(b'}') if depth == 0 => break,
                        Some(b'}') => depth -= 1,
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = &text[..end.unwrap_or(text.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

#[test]
fn a_module_names_only_what_is_below_it() {
    let mut problems = Vec::new();
    for source in sources() {
        let module = source.module();
        if FREE.contains(&module) || source.is_test() {
            continue;
        }
        let layer = LAYERS.iter().find(|(name, _)| *name == module);
        let Some((_, may_name)) = layer else {
            problems.push(format!("{} is in no layer of this table", source.name));
            continue;
        };
        for name in named(&source.code()) {
            if name != module && !may_name.contains(&&*name) {
                problems.push(format!("{} names {name}", source.name));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_table_has_no_circle_and_no_module_that_is_gone() {
    let all = sources();
    for (index, (module, may_name)) in LAYERS.iter().enumerate() {
        assert!(
            all.iter().any(|source| source.module() == *module),
            "{module}"
        );
        for name in *may_name {
            let below = LAYERS[..index].iter().any(|(below, _)| below == name);
            assert!(below, "{module} names {name}, which is not below it");
        }
    }
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let mut problems = Vec::new();
    for source in sources() {
        let is_pure = PURE
            .iter()
            .any(|place| source.name == *place || source.name.starts_with(&format!("{place}/")));
        if !is_pure || source.is_test() {
            continue;
        }
        let code = source.code();
        for banned in BANNED {
            if code.contains(banned) {
                problems.push(format!("{} names {banned}", source.name));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_bayeux_server_knows_no_http() {
    for source in sources() {
        let knows_none = [
            "bayeux",
            "session",
            "router",
            "resources",
            "operations",
            "server",
        ];
        if knows_none.contains(&source.module()) {
            let code = source.code();
            for name in ["http::", "hyper", "crate::web"] {
                assert!(!code.contains(name), "{} names {name}", source.name);
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{}", source.name);
    }
}

#[test]
fn names_are_read_from_paths_and_lists() {
    let code = "use crate::a::{B, c::D}; use crate::{e, f::{G, h}, i}; crate::j::k(); pub(crate) x";
    let expected = ["a", "e", "f", "i", "j"].map(str::to_owned);
    assert_eq!(named(code), BTreeSet::from(expected));
}
