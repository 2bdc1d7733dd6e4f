//! What is counted by kind: bounds that were reached, sessions that ended, events that were dropped.

/// A bound that was reached; its label is the option that sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `http.max_connections`.
    MaxConnections,
    /// `http.max_connections_per_address`.
    MaxConnectionsPerAddress,
    /// `http.http2_max_streams`.
    Http2MaxStreams,
    /// `http.http2_ping_timeout`.
    Http2PingTimeout,
    /// What a client may do by HTTP/2 that costs more than it says, which is no key.
    Http2Flood,
    /// The process's own limit on file descriptors, which is no key.
    FileDescriptors,
    /// `tls.handshake_timeout`.
    HandshakeTimeout,
    /// `http.header_timeout`.
    HeaderTimeout,
    /// `http.body_timeout`.
    BodyTimeout,
    /// `http.write_timeout`.
    WriteTimeout,
    /// `http.min_write_rate`.
    MinWriteRate,
    /// `http.max_header_size` or `http.max_headers`.
    MaxHeaderSize,
    /// `bayeux.max_message_size`.
    MaxMessageSize,
    /// `bayeux.max_batch`.
    MaxBatch,
    /// `bayeux.max_depth`.
    MaxDepth,
    /// `bayeux.max_message_id_length`.
    MaxMessageIdLength,
    /// `bayeux.max_sessions`.
    MaxSessions,
    /// `bayeux.max_sessions_per_user`.
    MaxSessionsPerUser,
    /// `bayeux.max_sessions_per_address`.
    MaxSessionsPerAddress,
    /// `bayeux.max_refused_users`.
    MaxRefusedUsers,
    /// `rates.messages_per_session`.
    MessagesPerSession,
    /// `rates.messages_per_address`.
    MessagesPerAddress,
    /// `rates.handshakes_per_address`.
    HandshakesPerAddress,
    /// `rates.max_addresses`.
    MaxAddresses,
    /// `bayeux.max_subscriptions`.
    MaxSubscriptions,
    /// `bayeux.max_channels`.
    MaxChannels,
    /// `bayeux.max_sessions_per_browser` or `bayeux.http2_max_sessions_per_browser`.
    MaxSessionsPerBrowser,
    /// `bayeux.max_reconnect_spread`.
    MaxReconnectSpread,
    /// `bayeux.max_unconnected`.
    MaxUnconnected,
    /// `bayeux.max_queue` or `bayeux.max_queue_bytes`.
    MaxQueue,
    /// `max_queue` of a `[[channel]]`.
    MaxChannelQueue,
    /// `resources.max_resources`.
    MaxResources,
    /// `resources.max_bytes`.
    MaxResourceBytes,
    /// `history.max_bytes`.
    MaxHistoryBytes,
    /// `history.max_channels`.
    MaxHistoryChannels,
    /// `streaming.max_embedded_requests`.
    MaxEmbeddedRequests,
    /// `extensions.max_wait`.
    MaxWait,
    /// `extensions.max_waiting`.
    MaxWaiting,
    /// `memory.budget`.
    Memory,
    /// `authentication.max_token_length`.
    MaxTokenLength,
    /// `authentication.max_token_claims`.
    MaxTokenClaims,
    /// `webhook.max_waiting`.
    MaxWebhookWaiting,
    /// `backends.max_calls` or `backends.max_calls_per_session`.
    MaxCalls,
    /// `max_waiting` of a `[[hook]]`.
    MaxHookWaiting,
    /// `max_queue` of a `[[hook]]`.
    MaxHookQueue,
    /// `api.max_messages`.
    MaxApiMessages,
    /// `api.max_idempotency_keys`.
    MaxIdempotencyKeys,
    /// `api.max_watchers`.
    MaxWatchers,
    /// `admin.max_logins`.
    MaxLogins,
    /// `history.max_pending`.
    MaxPending,
    /// `history.max_replay_messages`.
    MaxReplayMessages,
    /// `cluster.max_passed`.
    MaxPassed,
    /// `log.access_max_waiting`.
    AccessMaxWaiting,
    /// `cluster.max_inbox`.
    MaxInbox,
}

impl Limit {
    pub(super) const ALL: [Self; 54] = [
        Self::MaxConnections,
        Self::MaxConnectionsPerAddress,
        Self::Http2MaxStreams,
        Self::Http2PingTimeout,
        Self::Http2Flood,
        Self::FileDescriptors,
        Self::HandshakeTimeout,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::WriteTimeout,
        Self::MinWriteRate,
        Self::MaxHeaderSize,
        Self::MaxMessageSize,
        Self::MaxBatch,
        Self::MaxDepth,
        Self::MaxMessageIdLength,
        Self::MaxSessions,
        Self::MaxSessionsPerUser,
        Self::MaxSessionsPerAddress,
        Self::MaxRefusedUsers,
        Self::MessagesPerSession,
        Self::MessagesPerAddress,
        Self::HandshakesPerAddress,
        Self::MaxAddresses,
        Self::MaxSubscriptions,
        Self::MaxChannels,
        Self::MaxSessionsPerBrowser,
        Self::MaxReconnectSpread,
        Self::MaxUnconnected,
        Self::MaxQueue,
        Self::MaxChannelQueue,
        Self::MaxResources,
        Self::MaxResourceBytes,
        Self::MaxHistoryBytes,
        Self::MaxHistoryChannels,
        Self::MaxEmbeddedRequests,
        Self::MaxWait,
        Self::MaxWaiting,
        Self::Memory,
        Self::MaxTokenLength,
        Self::MaxTokenClaims,
        Self::MaxWebhookWaiting,
        Self::MaxCalls,
        Self::MaxHookWaiting,
        Self::MaxHookQueue,
        Self::MaxApiMessages,
        Self::MaxIdempotencyKeys,
        Self::MaxWatchers,
        Self::MaxLogins,
        Self::MaxPending,
        Self::MaxReplayMessages,
        Self::AccessMaxWaiting,
        Self::MaxPassed,
        Self::MaxInbox,
    ];

    /// Tells whether whoever reaches it logs that with more than its name, or whether it is reached in
    /// the ordinary course of things.
    pub(super) fn is_told_elsewhere(self) -> bool {
        !matches!(
            self,
            Self::WriteTimeout
                | Self::Http2MaxStreams
                | Self::Http2PingTimeout
                | Self::Http2Flood
                | Self::MaxMessageIdLength
                | Self::MaxSubscriptions
                | Self::MaxChannels
                | Self::MaxResources
                | Self::MaxResourceBytes
                | Self::MaxHistoryBytes
                | Self::MaxHistoryChannels
                | Self::MaxEmbeddedRequests
                | Self::MaxWait
                | Self::MaxWaiting
                | Self::MaxTokenLength
                | Self::MaxTokenClaims
                | Self::MaxWebhookWaiting
                | Self::MaxCalls
                | Self::MaxHookWaiting
                | Self::MaxHookQueue
                | Self::MaxApiMessages
                | Self::MaxIdempotencyKeys
                | Self::MaxWatchers
                | Self::AccessMaxWaiting
        )
    }

    /// Returns the label that metrics and log lines carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::MaxConnections => "http.max_connections",
            Self::MaxConnectionsPerAddress => "http.max_connections_per_address",
            Self::Http2MaxStreams => "http.http2_max_streams",
            Self::Http2PingTimeout => "http.http2_ping_timeout",
            Self::Http2Flood => "http2_flood",
            Self::FileDescriptors => "file_descriptors",
            Self::HandshakeTimeout => "tls.handshake_timeout",
            Self::HeaderTimeout => "http.header_timeout",
            Self::BodyTimeout => "http.body_timeout",
            Self::WriteTimeout => "http.write_timeout",
            Self::MinWriteRate => "http.min_write_rate",
            Self::MaxHeaderSize => "http.max_header_size",
            Self::MaxMessageSize => "bayeux.max_message_size",
            Self::MaxBatch => "bayeux.max_batch",
            Self::MaxDepth => "bayeux.max_depth",
            Self::MaxMessageIdLength => "bayeux.max_message_id_length",
            Self::MaxSessions => "bayeux.max_sessions",
            Self::MaxSessionsPerUser => "bayeux.max_sessions_per_user",
            Self::MaxSessionsPerAddress => "bayeux.max_sessions_per_address",
            Self::MaxRefusedUsers => "bayeux.max_refused_users",
            Self::MessagesPerSession => "rates.messages_per_session",
            Self::MessagesPerAddress => "rates.messages_per_address",
            Self::HandshakesPerAddress => "rates.handshakes_per_address",
            Self::MaxAddresses => "rates.max_addresses",
            Self::MaxSubscriptions => "bayeux.max_subscriptions",
            Self::MaxChannels => "bayeux.max_channels",
            Self::MaxSessionsPerBrowser => "bayeux.max_sessions_per_browser",
            Self::MaxReconnectSpread => "bayeux.max_reconnect_spread",
            Self::MaxUnconnected => "bayeux.max_unconnected",
            Self::MaxQueue => "bayeux.max_queue",
            Self::MaxChannelQueue => "channel.max_queue",
            Self::MaxResources => "resources.max_resources",
            Self::MaxResourceBytes => "resources.max_bytes",
            Self::MaxHistoryBytes => "history.max_bytes",
            Self::MaxHistoryChannels => "history.max_channels",
            Self::MaxEmbeddedRequests => "streaming.max_embedded_requests",
            Self::MaxWait => "extensions.max_wait",
            Self::MaxWaiting => "extensions.max_waiting",
            Self::Memory => "memory.budget",
            Self::MaxTokenLength => "authentication.max_token_length",
            Self::MaxTokenClaims => "authentication.max_token_claims",
            Self::MaxWebhookWaiting => "webhook.max_waiting",
            Self::MaxCalls => "backends.max_calls",
            Self::MaxHookWaiting => "hook.max_waiting",
            Self::MaxHookQueue => "hook.max_queue",
            Self::MaxApiMessages => "api.max_messages",
            Self::MaxIdempotencyKeys => "api.max_idempotency_keys",
            Self::MaxWatchers => "api.max_watchers",
            Self::MaxLogins => "admin.max_logins",
            Self::MaxPending => "history.max_pending",
            Self::MaxReplayMessages => "history.max_replay_messages",
            Self::AccessMaxWaiting => "log.access_max_waiting",
            Self::MaxPassed => "cluster.max_passed",
            Self::MaxInbox => "cluster.max_inbox",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its client disconnected.
    Disconnect,
    /// Its client did not connect again in time.
    Expired,
    /// Its queue was full.
    MaxQueue,
    /// An extension ended it.
    Refused,
    /// What its client had shown of who it is has expired.
    IdentityExpired,
    /// Memory was short, and it took much.
    Memory,
    /// An administrator, or a program of theirs, ended it.
    Administrator,
    /// It was left by the process before, and the rules or bounds of this one do not let it go on.
    NotRestored,
    /// It goes on at another node of the cluster.
    Moved,
    /// Access rules that were changed do not allow it any more.
    Forbidden,
}

impl EndReason {
    pub(super) const ALL: [Self; 10] = [
        Self::Disconnect,
        Self::Expired,
        Self::MaxQueue,
        Self::Refused,
        Self::IdentityExpired,
        Self::Memory,
        Self::Administrator,
        Self::NotRestored,
        Self::Moved,
        Self::Forbidden,
    ];

    /// Returns the label that metrics and log lines carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Expired => "expired",
            Self::MaxQueue => "max_queue",
            Self::Refused => "refused",
            Self::IdentityExpired => "identity_expired",
            Self::Memory => "memory",
            Self::Administrator => "administrator",
            Self::NotRestored => "not_restored",
            Self::Moved => "moved",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What access rules did not allow; its label is the action, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// To have a session.
    Handshake,
    /// To receive what is published on a channel, or to read a resource.
    Subscribe,
    /// To publish, to call a service, or to change a resource.
    Publish,
    /// To have history forgotten.
    Forget,
}

impl Forbidden {
    pub(super) const ALL: [Self; 4] = [
        Self::Handshake,
        Self::Subscribe,
        Self::Publish,
        Self::Forget,
    ];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Forget => "forget",
        }
    }
}

/// What a password turned out to be; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordOutcome {
    /// It is the user's.
    Right,
    /// There is no such user, or the password is another.
    Wrong,
    /// It was not looked at, after too many that were wrong.
    Delayed,
}

impl PasswordOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Right, Self::Wrong, Self::Delayed];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Delayed => "delayed",
        }
    }
}

/// What became of a question to the webhook; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It may be.
    Allowed,
    /// It may not.
    Denied,
    /// There was no answer, or none that is understood.
    Failed,
    /// Its client went away, or had waited for too long.
    GivenUp,
    /// The answer was known: nobody was asked.
    Cached,
}

impl WebhookOutcome {
    pub(super) const ALL: [Self; 5] = [
        Self::Allowed,
        Self::Denied,
        Self::Failed,
        Self::GivenUp,
        Self::Cached,
    ];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Cached => "cached",
        }
    }
}

/// What became of a call that a connected application server was to answer; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was answered.
    Answered,
    /// It was answered with a failure.
    Failed,
    /// It was not answered in time.
    TimedOut,
    /// The application server went away, and there was no other.
    Gone,
    /// There were too many.
    Refused,
    /// An answer came that nobody waited for any more.
    Late,
}

impl CallOutcome {
    pub(super) const ALL: [Self; 6] = [
        Self::Answered,
        Self::Failed,
        Self::TimedOut,
        Self::Gone,
        Self::Refused,
        Self::Late,
    ];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Late => "late",
        }
    }
}

/// What became of a message that an application server sent over HTTP; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiOutcome {
    /// It was sent.
    Accepted,
    /// It was sent before, and not again.
    Repeated,
    /// It was not sent.
    Refused,
}

impl ApiOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Accepted, Self::Repeated, Self::Refused];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
        }
    }
}

/// Which of the events a session may not have queued was dropped; its label is the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// The oldest.
    Oldest,
    /// The new one.
    Newest,
    /// One that was not the latest of its channel.
    Superseded,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Oldest, Self::Newest, Self::Superseded];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Oldest => "drop_oldest",
            Self::Newest => "drop_newest",
            Self::Superseded => "conflate",
        }
    }
}
