//! Mirant, a standalone Bayeux 1.0 Comet push server: the map of its modules, bottom to top.

// The protocol, without I/O or a clock.
pub mod bayeux;
// Who may do what.
pub mod access;
// Who is at the other end of a connection.
pub mod peer;
// What the server counts.
pub mod metrics;
// How a pause of the process is told from silence.
pub mod pause;
// What looks at messages on their way.
pub mod extensions;
// What takes the messages on service channels.
pub mod services;
// One client: its queue, its held connect, its end.
pub mod session;
// From a channel to the sessions subscribed to it.
pub mod router;
// The last message of channels that are resources.
pub mod resources;
// What each kind of message does.
pub mod operations;
// The Bayeux server: batches in, replies and events out.
pub mod server;
// HTTP pieces.
pub mod web;
// Bayeux over HTTP, one file a transport.
pub mod transports;
// What requests reach that speak no Bayeux.
pub mod api;
// Who answers a request.
pub mod service;
// The operator's listener, the demonstration page, and transports for web pages to load.
pub mod admin;
pub mod demo;
pub mod plugins;
// Listeners and connections.
pub mod listener;
// Settings from file, environment and command line.
pub mod config;
// A Bayeux client, for the commands that speak to a server.
pub mod client;
// All of it together, and the program's commands.
pub mod cli;
pub mod run;
