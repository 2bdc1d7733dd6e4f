//! Every error a client can read in a reply, and its text (specification section 4.5).

/// Why a message was not successful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BayeuxError {
    /// No connection type in common.
    ConnectionTypes,
    /// The message names no channel, or an unsubscribe names one without a subscriber.
    ChannelMissing,
    /// A publish without data.
    DataMissing,
    /// What a subscribe says of where its client is has not the form that it must have.
    ReplayInvalid,
    /// Some of what came after the position of a subscribe, to this channel and with this number, is not kept
    /// any more, and it is to fail then.
    ReplayExpired,
    /// The client id is missing, unknown, expired, or another browser's.
    SessionUnknown,
    /// A publish names no client, which `bayeux.publish_without_session` would allow.
    SessionMissing,
    /// A subscribe or unsubscribe without a subscription.
    SubscriptionMissing,
    /// The subscription is not a channel, a pattern, or a list of these.
    SubscriptionInvalid,
    /// The session is at `max_subscriptions`, or the server at `max_channels`.
    TooManySubscriptions,
    /// A subscribe to a meta channel that exists.
    SubscribeDenied,
    /// A subscribe that would create a meta channel.
    CreateDenied,
    /// A handshake that access rules do not allow.
    HandshakeForbidden,
    /// A subscribe that access rules do not allow, to this channel.
    SubscribeForbidden,
    /// A publish that access rules do not allow, on this channel.
    PublishForbidden,
    /// History that access rules do not allow to be forgotten, on this channel.
    ForgetForbidden,
    /// A publish to a meta channel that does not exist.
    ChannelCreateDenied,
    /// An unsubscribe from a meta channel.
    UnsubscribeFailed,
    /// The session ended meanwhile.
    SubscribeFailed,
    /// The channel is malformed, or a wildcard where a channel is needed.
    ChannelInvalid,
    /// The message id is neither a string nor a number, or longer than `max_message_id_length`; with
    /// `strict_message_ids`, it is not of letters and digits.
    MessageIdInvalid,
    /// A newer connect took the place of this one, which was held.
    ConnectDisplaced,
    /// Messages come faster than `rates.messages_per_session` or `rates.messages_per_address`; these
    /// milliseconds are to be waited.
    TooManyMessages,
    /// Handshakes come faster than `rates.handshakes_per_address`; these milliseconds are to be waited.
    TooManyHandshakes,
    /// An extension failed while the message waited for it.
    ExtensionFailed,
    /// The user is at `max_sessions_per_user`.
    TooManySessionsOfUser,
    /// The address is at `max_sessions_per_address`.
    TooManySessionsOfAddress,
    /// The memory that all clients share is short.
    MemoryShort,
    /// The server is at `max_sessions`.
    TooManySessions,
    /// What a client shows of who it is does not have the form of a token, or of user and password.
    CredentialsMalformed,
    /// A key (`[[api.key]]`) that is nobody's.
    KeyUnknown,
    /// A token is longer than `authentication.max_token_length`.
    TokenTooLong,
    /// A token is of no issuer that the server knows.
    TokenIssuerUnknown,
    /// A token is signed by a key that its issuer does not have.
    TokenKeyUnknown,
    /// A token names an algorithm that its key is not for.
    TokenAlgorithmDenied,
    /// A token's signature is not that of its key.
    TokenSignatureInvalid,
    /// A token's time is over; its session ends.
    TokenExpired,
    /// A token's time has yet to begin.
    TokenNotYetValid,
    /// A token is meant for others.
    TokenAudienceInvalid,
    /// A token lacks a claim that it must have, or has one of another form.
    TokenClaimInvalid,
    /// The keys of a token's issuer cannot be had now.
    TokenKeysUnavailable,
    /// A token of another user than the session's.
    UserChanged,
    /// The user is refused for a while; these milliseconds are to be waited.
    UserRefused,
    /// No such user, or another password.
    PasswordInvalid,
    /// Too many passwords were wrong, of this user or from this address.
    TooManyAttempts,
    /// The webhook that decides gives no answer now.
    WebhookUnavailable,
    /// The application that was called says that the call failed.
    CallFailed,
    /// The application that was called gives no answer that counts.
    BackendFailed,
    /// The application that was called gives no answer in time.
    BackendTimedOut,
    /// More calls wait for the application that is called than may.
    TooManyCalls,
    /// The message had to wait, and the server is at `extensions.max_waiting`.
    TooManyWaiting,
    /// The message waited for `extensions.max_wait`.
    WaitTimedOut,
    /// More publishes wait to be kept than `history.max_pending`.
    TooManyPending,
    /// What is published on this channel is to be kept, or what is kept to be read, and cannot now.
    HistoryUnavailable,
    /// The Redis of the cluster is away.
    ClusterUnavailable,
    /// There is no application server that takes calls on this channel.
    NoBackend,
    /// The application server that had a call on this channel is gone, and there is no other.
    BackendGone,
}

impl BayeuxError {
    /// Returns the text of the `error` field: `code:arguments:message`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ConnectionTypes => "301::connection_types_unsupported",
            Self::ChannelMissing => "400::channel_missing",
            Self::DataMissing => "400::data_missing",
            Self::ReplayInvalid => "400:SUBSCRIPTION:replay_invalid",
            Self::ReplayExpired => "400:CHANNEL,ID:replay_expired",
            Self::SessionUnknown => "402::session_unknown",
            Self::SessionMissing => "402:bayeux.publish_without_session:session_unknown",
            Self::SubscriptionMissing => "403::subscription_missing",
            Self::SubscriptionInvalid => "403::subscription_invalid",
            Self::TooManySubscriptions => "403::too_many_subscriptions",
            Self::HandshakeForbidden => "403::handshake_denied",
            Self::SubscribeForbidden => "403:CHANNEL:subscribe_denied",
            Self::PublishForbidden => "403:CHANNEL:publish_denied",
            Self::ForgetForbidden => "403:CHANNEL:forget_denied",
            Self::SubscribeDenied => "403:denied_by_security_policy:subscribe_denied",
            Self::CreateDenied => "403:denied_by_security_policy:create_denied",
            Self::ChannelCreateDenied => "403:denied_by_security_policy:channel_create_denied",
            Self::UnsubscribeFailed => "403::unsubscribe_failed",
            Self::SubscribeFailed => "403::subscribe_failed",
            Self::ChannelInvalid => "405::channel_invalid",
            Self::MessageIdInvalid => "405::message_id_invalid",
            Self::ConnectDisplaced => "409::connect_displaced",
            Self::CredentialsMalformed => "401::credentials_malformed",
            Self::KeyUnknown => "401::key_unknown",
            Self::TokenTooLong => "401::token_too_long",
            Self::TokenIssuerUnknown => "401::token_issuer_unknown",
            Self::TokenKeyUnknown => "401::token_key_unknown",
            Self::TokenAlgorithmDenied => "401::token_algorithm_denied",
            Self::TokenSignatureInvalid => "401::token_signature_invalid",
            Self::TokenExpired => "401::token_expired",
            Self::TokenNotYetValid => "401::token_not_yet_valid",
            Self::TokenAudienceInvalid => "401::token_audience_invalid",
            Self::TokenClaimInvalid => "401::token_claim_invalid",
            Self::TokenKeysUnavailable => "503::token_keys_unavailable",
            Self::UserChanged => "403::user_changed",
            Self::UserRefused => "403:MS:user_refused",
            Self::PasswordInvalid => "401::password_invalid",
            Self::TooManyAttempts => "429:MS:too_many_attempts",
            Self::WebhookUnavailable => "503::webhook_unavailable",
            Self::CallFailed => "500:CHANNEL:call_failed",
            Self::BackendFailed => "502:CHANNEL:backend_failed",
            Self::BackendTimedOut => "504:CHANNEL:backend_timed_out",
            Self::TooManyCalls => "503:CHANNEL:too_many_calls",
            Self::TooManySessionsOfUser => "429:user:too_many_sessions",
            Self::TooManySessionsOfAddress => "429:address:too_many_sessions",
            Self::TooManyMessages => "429:MS:too_many_messages",
            Self::TooManyHandshakes => "429:MS:too_many_handshakes",
            Self::ExtensionFailed => "500::extension_failed",
            Self::MemoryShort => "503::memory_short",
            Self::TooManySessions => "503::too_many_sessions",
            Self::TooManyWaiting => "503::too_many_waiting",
            Self::WaitTimedOut => "503::wait_timed_out",
            Self::TooManyPending => "503:CHANNEL:too_many_pending",
            Self::HistoryUnavailable => "503:CHANNEL:history_unavailable",
            Self::ClusterUnavailable => "503::cluster_unavailable",
            Self::NoBackend => "503:CHANNEL:no_backend",
            Self::BackendGone => "503:CHANNEL:backend_gone",
        }
    }

    /// Returns its text with other arguments, of which empty ones are left out: `403:/chat/1:publish_denied`.
    #[must_use]
    pub fn about(self, arguments: &[&str]) -> String {
        let [code, _, message] = {
            let mut parts = self.text().splitn(3, ':');
            [(); 3].map(|()| parts.next().unwrap_or_default())
        };
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .filter(|argument| !argument.is_empty())
            .collect();
        format!("{code}:{}:{message}", arguments.join(","))
    }
}
