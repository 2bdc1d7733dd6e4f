//! What the command line accepts, and what `--demo` changes.

use clap::{CommandFactory, Parser};

use super::{Cli, Command, serve};
use crate::config::{Config, LogFormat};

type Variables<'a> = &'a [(&'a str, &'a str)];

fn configure(arguments: &[&str], environment: Variables<'_>) -> Config {
    let cli = Cli::try_parse_from(["mirant", "serve"].iter().chain(arguments)).unwrap();
    let Command::Serve(args) = cli.command else {
        panic!("not serve: {cli:?}");
    };
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    serve::configure(args, environment).unwrap().config
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_bare_call_prints_help() {
    let error = Cli::try_parse_from(["mirant"]).unwrap_err();
    assert!(error.to_string().contains("check-config"), "{error}");
}

#[test]
fn demo_raises_the_bound_per_browser_unless_it_was_set() {
    let variable = ("MIRANT_BAYEUX__MAX_SESSIONS_PER_BROWSER", "1");
    let set = "--set=bayeux.max_sessions_per_browser=1";
    let cases: [(&[&str], Variables<'_>, i32); 4] = [
        (&[], &[], 1),
        (&["--demo"], &[], 4),
        (&["--demo", set], &[], 1),
        (&["--demo"], &[variable], 1),
    ];
    for (arguments, environment, expected) in cases {
        let config = configure(arguments, environment);
        let bound = config.bayeux.session.max_sessions_per_browser;
        assert_eq!(bound, expected, "{arguments:?} {environment:?}");
    }
}

#[test]
fn demo_adds_its_channels_to_those_that_are_set() {
    let own =
        "--set=channel=[{pattern='/a',lazy=true},{pattern='/demo/chat/*',history={messages=7}}]";
    let config = configure(&["--demo", own], &[]);
    let patterns = config.channel.iter().map(|channel| &*channel.pattern);
    let patterns: Vec<&str> = patterns.collect();
    assert_eq!(patterns[..2], ["/a", "/demo/chat/*"]);
    assert!(patterns[2..].contains(&"/demo/http/*"), "{patterns:?}");
    assert!(!patterns[2..].contains(&"/demo/chat/*"), "{patterns:?}");
    let kept = config.channel[1].history.expect("the operator's");
    assert_eq!(kept.messages, Some(7));
}

#[test]
fn flags_reach_the_configuration() {
    let arguments = [
        "--listen",
        "127.0.0.1:1",
        "--listen",
        "[::1]:2",
        "--listen",
        "localhost:3",
        "--log-level",
        "debug",
        "--log-format",
        "json",
    ];
    let config = configure(&arguments, &[("MIRANT_LOG__LEVEL", "warn")]);
    let listen: Vec<String> = config.http.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:1", "[::1]:2", "localhost:3"]);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.log.format, LogFormat::Json);
}
