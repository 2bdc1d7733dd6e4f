//! Black-box tests: a real server on a free port, and clients that speak to it over TCP.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and says where"
)]

mod support;

mod access;
mod ack;
mod additions;
mod addresses;
mod admin;
mod architecture;
mod authentication;
mod backends;
mod batches;
mod bench;
mod browsers;
mod callback_polling;
mod cli;
mod clients_table;
mod coding;
mod connect;
mod connections;
mod cookies;
mod cors;
mod delivery;
mod differential;
mod disconnect;
mod event_source;
mod extensions;
mod framing;
mod handshake;
mod hostile;
mod hosts;
mod http;
mod http_api;
mod lazy;
mod legacy;
mod limits;
mod logins;
mod logs;
mod long_polling;
mod lost_polls;
mod many;
mod memory;
mod message_http;
mod one_door;
mod passwords;
mod pauses;
mod plugins;
mod proxy_protocol;
mod publish;
mod queue;
mod rates;
mod reconnects;
mod repeats;
mod resources;
mod services;
mod shares;
mod shutdown;
mod signals;
mod slow_readers;
mod slow_streams;
mod streamed;
mod subscribe;
mod timeouts;
mod tokens;
mod unix_socket;
mod unsubscribe;
mod waiting;
mod webhook;
mod websocket;
mod who_may;
mod work;
