//! Who may name whom (ARCHITECTURE.md), checked on the sources as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Bottom to top: a module, and the modules it may name beside itself.
const LAYERS: [(&str, &[&str]); 41] = [
    ("live", &[]),
    ("stripes", &[]),
    ("smallest", &[]),
    ("memory", &["stripes"]),
    ("bayeux", &["memory"]),
    ("alias", &["bayeux"]),
    ("network", &[]),
    ("feeds", &["bayeux"]),
    ("access", &["bayeux", "network"]),
    ("peer", &[]),
    ("metrics", &["stripes", "memory", "peer"]),
    ("lifecycle", &["bayeux", "alias", "metrics"]),
    ("traces", &[]),
    ("outbound", &["network", "traces"]),
    (
        "authentication",
        &["bayeux", "network", "access", "metrics", "outbound"],
    ),
    ("pause", &[]),
    ("rates", &["network", "metrics"]),
    ("web", &["memory", "pause", "peer"]),
    ("extensions", &["bayeux", "access", "authentication"]),
    (
        "services",
        &[
            "memory",
            "bayeux",
            "alias",
            "access",
            "metrics",
            "lifecycle",
        ],
    ),
    ("history", &["memory", "bayeux", "metrics"]),
    (
        "cluster",
        &[
            "memory",
            "bayeux",
            "authentication",
            "metrics",
            "history",
            "traces",
        ],
    ),
    (
        "hooks",
        &[
            "memory",
            "bayeux",
            "alias",
            "access",
            "metrics",
            "lifecycle",
            "outbound",
            "authentication",
            "services",
        ],
    ),
    (
        "session",
        &[
            "live",
            "feeds",
            "cluster",
            "history",
            "smallest",
            "memory",
            "bayeux",
            "alias",
            "access",
            "network",
            "rates",
            "metrics",
            "lifecycle",
            "pause",
            "extensions",
        ],
    ),
    (
        "router",
        &[
            "live",
            "cluster",
            "history",
            "smallest",
            "memory",
            "bayeux",
            "lifecycle",
            "session",
        ],
    ),
    ("resources", &["memory", "bayeux", "metrics"]),
    (
        "sequence",
        &[
            "memory",
            "bayeux",
            "history",
            "cluster",
            "resources",
            "router",
        ],
    ),
    (
        "operations",
        &[
            "live",
            "cluster",
            "sequence",
            "history",
            "memory",
            "bayeux",
            "authentication",
            "access",
            "rates",
            "metrics",
            "extensions",
            "services",
            "session",
            "router",
            "resources",
        ],
    ),
    (
        "server",
        &[
            "live",
            "feeds",
            "cluster",
            "sequence",
            "history",
            "smallest",
            "memory",
            "bayeux",
            "alias",
            "lifecycle",
            "authentication",
            "access",
            "rates",
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
        &[
            "live",
            "cluster",
            "authentication",
            "memory",
            "bayeux",
            "metrics",
            "pause",
            "peer",
            "session",
            "resources",
            "server",
            "web",
        ],
    ),
    (
        "api",
        &[
            "history",
            "bayeux",
            "metrics",
            "resources",
            "server",
            "transports",
            "web",
        ],
    ),
    (
        "http_api",
        &[
            "traces",
            "live",
            "access",
            "feeds",
            "cluster",
            "history",
            "memory",
            "smallest",
            "authentication",
            "alias",
            "bayeux",
            "metrics",
            "network",
            "session",
            "router",
            "server",
            "transports",
            "web",
        ],
    ),
    (
        "service",
        &["bayeux", "metrics", "transports", "api", "web"],
    ),
    ("admin", &["server", "web"]),
    ("demo", &["bayeux", "server", "web"]),
    ("plugins", &["web"]),
    ("client", &["web"]),
    ("access_log", &["bayeux", "peer", "metrics", "web"]),
    (
        "listener",
        &[
            "access_log",
            "live",
            "network",
            "memory",
            "peer",
            "server",
            "transports",
            "http_api",
            "service",
            "metrics",
            "pause",
            "web",
        ],
    ),
    (
        "config",
        &[
            "outbound",
            "traces",
            "access_log",
            "cluster",
            "memory",
            "bayeux",
            "access",
            "authentication",
            "extensions",
            "history",
            "hooks",
            "services",
            "rates",
            "session",
            "router",
            "resources",
            "transports",
            "http_api",
            "listener",
            "web",
        ],
    ),
    (
        "run",
        &[
            "access_log",
            "live",
            "cluster",
            "history",
            "memory",
            "lifecycle",
            "config",
            "authentication",
            "rates",
            "access",
            "listener",
            "admin",
            "demo",
            "plugins",
            "transports",
            "http_api",
            "service",
            "server",
            "bayeux",
            "extensions",
            "hooks",
            "services",
            "router",
            "metrics",
            "web",
        ],
    ),
];

/// The top, which may name anything: the map itself, the program, its commands, and what is done to all readers.
const FREE: [&str; 4] = ["lib", "main", "cli", "fuzzing"];

/// Where neither the network nor the clock may be named.
const PURE: [&str; 17] = [
    "smallest",
    "bayeux",
    "rates",
    "access",
    "extensions",
    "router",
    "resources",
    "operations",
    "hooks/answer.rs",
    "hooks/backoff.rs",
    "hooks/delivery.rs",
    "hooks/delivery",
    "session/state.rs",
    "session/state",
    "session/queue.rs",
    "session/queue",
    "client/course.rs",
];

const BANNED: [&str; 6] = [
    "tokio",
    "hyper",
    "std::net",
    "Instant::now",
    "SystemTime::now",
    ".await",
];

/// What stands before what is no code of a server.
const FOR_TESTS: [&str; 2] = ["#[cfg(test)]", "#[cfg(any(test, feature = \"fuzzing\"))]"];

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
        ["tests", "simulation", "fuzzing"].iter().any(|tests| {
            self.name.ends_with(&format!("/{tests}.rs"))
                || self.name.contains(&format!("/{tests}/"))
        })
    }

    /// The text without comments, and without what is there for tests.
    fn code(&self) -> String {
        let mut lines = self.text.lines();
        let mut code = Vec::new();
        while let Some(line) = lines.next() {
            if FOR_TESTS.contains(&line.trim()) {
                skip_item(&mut lines);
            } else {
                code.push(line.split("//").next().unwrap());
            }
        }
        code.join("\n")
    }

    /// The names that lead to the module, without `crate`.
    fn path(&self) -> Vec<&str> {
        let name = self.name.strip_suffix(".rs").unwrap();
        name.strip_suffix("/mod")
            .unwrap_or(name)
            .split('/')
            .collect()
    }
}

/// Passes over an item: to the line that ends it, or the brace that closes what it opens.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let Some(first) = lines.find(|line| !line.trim_start().starts_with("#[")) else {
        return;
    };
    let indent = first.len() - first.trim_start().len();
    let is_end = |line: &str| line.ends_with(';') || line.ends_with('}');
    if !is_end(first) {
        lines.find(|line| line.len() - line.trim_start().len() == indent && is_end(line));
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

/// The paths that follow a word such as `super::`: one, or each of a list in braces.
fn paths_after<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = Vec<String>> + 'a {
    let starts_a_path = |at: usize| !code[..at].ends_with("::");
    let found = code.match_indices(word).map(|(at, _)| at);
    found
        .filter(move |at| starts_a_path(*at))
        .flat_map(move |at| {
            let mut paths = Vec::new();
            read_paths(&code[at + word.len()..], &[], &mut paths);
            paths
        })
}

/// Reads `a::b` or `a::{b, c::d}`; returns what follows.
fn read_paths<'a>(text: &'a str, before: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut list) = text.strip_prefix('{') {
        loop {
            list = read_paths(list, before, paths).trim_start();
            match list.strip_prefix(',') {
                Some(rest) => list = rest,
                None => return list.strip_prefix('}').unwrap_or(list),
            }
        }
    }
    let Some(name) = identifier(text) else {
        return text;
    };
    let rest = &text[name.len()..];
    let path = [before, &[name]].concat();
    match rest.strip_prefix("::") {
        Some(rest) => read_paths(rest, &path, paths),
        None => {
            paths.push(path);
            rest
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

/// The modules that a file names beside it and below those, as paths from the crate's root. What
/// stands above it is left out: a folder's `mod.rs` says what its files share.
fn siblings_named(source: &Source) -> BTreeSet<String> {
    let own = source.path();
    let code = source.code();
    let up = |count: usize| own[..own.len().saturating_sub(count)].to_vec();
    let from = |word, base: Vec<&str>| {
        let base: Vec<String> = base.into_iter().map(str::to_owned).collect();
        paths_after(&code, word).map(move |path| [&base[..], &path[..]].concat())
    };
    from("crate::", Vec::new())
        .chain(from("super::super::", up(2)))
        .chain(from("super::", up(1)))
        .map(|path| path.join("/"))
        .collect()
}

/// Of each folder: which of what stands in it names which.
#[test]
fn files_of_a_folder_do_not_name_each_other_in_a_circle() {
    let all: Vec<Source> = sources().into_iter().filter(|s| !s.is_test()).collect();
    let mut arrows: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let paths: BTreeSet<String> = all.iter().map(|source| source.path().join("/")).collect();
    for source in &all {
        let own = source.path();
        for named in siblings_named(source) {
            let named: Vec<&str> = named.split('/').collect();
            let common = own.iter().zip(&named).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (own.get(common), named.get(common)) else {
                continue;
            };
            let folder = own[..common].join("/");
            let is_module = paths.contains([&folder, *to].join("/").trim_matches('/'));
            if is_module && !FREE.contains(&&*folder) {
                let place = (folder, (*from).to_owned());
                arrows.entry(place).or_default().insert((*to).to_owned());
            }
        }
    }
    assert!(arrows.len() > 40, "{}", arrows.len());
    let circles: Vec<_> = arrows
        .keys()
        .filter(|place| reaches_itself(place, &arrows))
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

fn reaches_itself(
    (folder, start): &(String, String),
    arrows: &BTreeMap<(String, String), BTreeSet<String>>,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![start.clone()];
    while let Some(name) = next.pop() {
        for to in arrows.get(&(folder.clone(), name)).into_iter().flatten() {
            if to == start {
                return true;
            }
            if seen.insert(to.clone()) {
                next.push(to.clone());
            }
        }
    }
    false
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

/// What does something for a client, and where alone it may stand: beside where it is made, in operations,
/// where the extensions have looked at it.
const OPERATIONS: [(&str, &[&str]); 9] = [
    ("router.publish(", &["operations"]),
    ("router.subscribe(", &["operations"]),
    ("router.unsubscribe(", &["operations"]),
    ("resources.write(", &["operations"]),
    ("resources.keep(", &["operations"]),
    ("resources.current(", &["operations"]),
    ("resources.watch(", &["operations"]),
    ("Session::new(", &["operations"]),
    ("extensions.incoming(", &["operations"]),
];

#[test]
fn all_that_is_done_for_clients_is_an_operation() {
    let mut problems = Vec::new();
    let mut found = BTreeSet::new();
    for source in sources() {
        if source.is_test() {
            continue;
        }
        // However the lines are broken.
        let code: String = source.code().split_whitespace().collect();
        for (call, places) in OPERATIONS {
            if !code.contains(call) {
                continue;
            }
            found.insert(call);
            if !places.contains(&source.module()) {
                problems.push(format!("{} calls {call}…)", source.name));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(found.len(), OPERATIONS.len(), "a name is gone: {found:?}");
}

#[test]
fn every_file_says_what_it_is() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{}", source.name);
    }
}

#[test]
fn what_is_there_for_tests_is_no_code() {
    let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nimpl X {\n    c {\n    }\n}\nd // e";
    let name = "x.rs".to_owned();
    let source = Source {
        name,
        text: text.to_owned(),
    };
    assert_eq!(source.code(), "a\nb\nd ");
}

#[test]
fn paths_are_read_whole() {
    let code = "use super::a::{B, c::{D, e}, f}; super::super::g::h();";
    let read = |word| {
        let paths = paths_after(code, word).map(|path| path.join("/"));
        paths.collect::<Vec<_>>()
    };
    assert_eq!(
        read("super::"),
        ["a/B", "a/c/D", "a/c/e", "a/f", "super/g/h"]
    );
    assert_eq!(read("super::super::"), ["g/h"]);
}

#[test]
fn names_are_read_from_paths_and_lists() {
    let code = "use crate::a::{B, c::D}; use crate::{e, f::{G, h}, i}; crate::j::k(); pub(crate) x";
    let expected = ["a", "e", "f", "i", "j"].map(str::to_owned);
    assert_eq!(named(code), BTreeSet::from(expected));
}
