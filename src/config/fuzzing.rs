//! What fuzzers do to configuration files.

use super::ConfigError;
use super::layers::Layers;
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "config",
        check: config,
        seeds: &[
            b"[bayeux]\ntimeout = \"30s\"\nmax_batch = 10\ntransports = [\"websocket\"]\n",
            b"[http]\nlisten = [\"127.0.0.1:8080\"]\nmax_header_size = \"8KiB\"\n",
            b"[[channel]]\npattern = \"/a/**\"\nresource = true\n",
            b"[log]\nformat = \"json\"\n",
        ],
    },
    Target {
        name: "config_argument",
        check: argument,
        seeds: &[
            b"bayeux.timeout=30s",
            b"bayeux.transports=websocket,long-polling",
        ],
    },
];

/// Whatever is wrong is said; what is not can be checked.
fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let mut layers = Layers::new();
    let loaded = layers.text(text, "mirant.toml");
    is_right(loaded.map(|()| layers))
}

/// The same for what stands on a command line.
fn argument(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let mut layers = Layers::new();
    layers.set(text);
    is_right(Ok(layers))
}

fn is_right(layers: Result<Layers, ConfigError>) -> bool {
    match layers.and_then(Layers::finish) {
        Ok(loaded) => {
            for problem in loaded.config.validate() {
                assert!(!problem.to_string().is_empty());
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
