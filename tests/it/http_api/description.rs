//! The description, held to what the server does.
