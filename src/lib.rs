//! Mirant, a standalone Bayeux 1.0 Comet push server: the map of its modules, bottom to top.
//!
//! Public is what a program needs that builds a server into itself ([`run`], [`config`]) or adds extensions
//! and handlers to one ([`extensions`], [`services`], [`bayeux`]), and the core that benchmarks measure. How
//! HTTP is spoken is private.

// A value that is replaced as a whole.
pub mod live;
// How threads count beside each other.
mod stripes;
// The first of many in order.
pub mod smallest;
// One budget of memory for all that clients make grow.
pub mod memory;
// The protocol, without I/O or a clock.
pub mod bayeux;
// What a session is called in the hearing of others.
pub mod alias;
// Networks of addresses, such as 10.0.0.0/8.
mod network;
// What somebody watches as it happens.
pub mod feeds;
// Who may do what.
pub mod access;
// What is told of requests between programs, for OpenTelemetry.
pub mod traces;
// HTTP requests that the server makes itself.
pub mod outbound;
// Who a client is.
pub mod authentication;
// Who is at the other end of a connection.
mod peer;
// What the server counts.
pub mod metrics;
// What begins and ends, for application servers.
pub mod lifecycle;
// How a pause of the process is told from silence.
mod pause;
// How fast clients may be.
pub mod rates;
// What looks at messages on their way.
pub mod extensions;
// What takes the messages on service channels.
pub mod services;
// Messages that can be had again.
pub mod history;
// More than one machine: through Redis, and from node to node.
pub mod cluster;
// Applications that are called by HTTP.
pub mod hooks;
// One client: its queue, its held connect, its end.
pub mod session;
// From a channel to the sessions subscribed to it.
pub mod router;
// The last message of channels that are resources.
pub mod resources;
// Messages that are kept before they are sent, in one order.
mod sequence;
// What each kind of message does.
mod operations;
// The Bayeux server: batches in, replies and events out.
pub mod server;
// HTTP pieces.
pub mod web;
// Bayeux over HTTP, one file a transport.
mod transports;
// What requests reach that speak no Bayeux.
mod api;
// What application servers may ask for over HTTP.
mod http_api;
// Who answers a request.
mod service;
// The operator's listener, the demonstration page, and transports for web pages to load.
mod admin;
mod demo;
mod plugins;
// A line for each request.
mod access_log;
// Listeners and connections.
mod listener;
// Settings from file, environment and command line.
pub mod config;
// A Bayeux client, for the commands that speak to a server.
mod client;
// What fuzzers, and tests in their stead, do to each reader of foreign bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
// All of it together, and the program's commands.
pub mod cli;
pub mod run;
