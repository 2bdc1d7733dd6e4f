//! The forms that texts must have: paths, origins, channel patterns, cookie parts, log filters.

use tracing_subscriber::EnvFilter;

/// Finds what is wrong with a path of the server's; `example` is a good one.
pub(super) fn path_fix(path: &str, example: &str) -> Option<String> {
    let fix = if !path.starts_with('/') {
        return Some(format!("must start with '/', such as \"{example}\""));
    } else if path == "/" {
        return Some(format!("must name a path below '/', such as \"{example}\""));
    } else if path.contains(['?', '#']) {
        "must be a path alone, without '?' or '#'"
    } else if path.ends_with('/') {
        "must not end with '/'; what is below it is served alike"
    } else if path.contains("//") || !path.bytes().all(is_path_byte) {
        "must not hold empty segments, and only letters, digits and -._~!$&()*+,;=:@%/"
    } else {
        return None;
    };
    Some(fix.to_owned())
}

/// The characters of a path (RFC 3986 section 3.3), but for the apostrophe, which shells quote with.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@%/".contains(&byte)
}

/// Finds why an origin would never match what a browser sends as `Origin`.
pub(super) fn origin_fix(origin: &str) -> Option<&'static str> {
    if origin == "*" {
        return None;
    }
    if origin == "null" {
        return Some(
            "sandboxed frames and local files of anyone send this origin; \
             name the origins you trust, or \"*\" for any",
        );
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return Some("write scheme://host[:port], such as \"https://example.com\", or \"*\"");
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("write it in lower case, as browsers send it")
    } else if authority.contains(['/', '?', '#']) {
        Some("must end after host and port, without a path or a trailing '/'")
    } else if host.strip_prefix("*.").unwrap_or(host).contains('*') {
        Some(
            "write \"*.\" once, at the beginning of the host: \"https://*.example.com\" is every \
             subdomain of it; \"*\" alone stands for any origin",
        )
    } else if !is_scheme(scheme) || !is_host(host.strip_prefix("*.").unwrap_or(host)) {
        Some(
            "write scheme://host[:port], such as \"https://example.com\"; other scripts in punycode",
        )
    } else if port.is_some_and(|port| !is_port(port)) {
        Some("the port must be a number from 1 to 65535")
    } else if matches!(
        (scheme, port),
        ("http", Some("80")) | ("https", Some("443"))
    ) {
        Some("leave the scheme's own port out, as browsers do")
    } else {
        None
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_host(host: &str) -> bool {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

fn is_port(port: &str) -> bool {
    !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok()
}

/// Finds why a pattern names no channels that options could apply to.
pub(super) fn pattern_fix(pattern: &str) -> Option<&'static str> {
    form_fix(pattern).or_else(|| {
        let is_reserved = matches!(first_segment(pattern), "meta" | "service");
        is_reserved.then_some(
            "options do not apply to meta and service channels; name a broadcast channel",
        )
    })
}

/// Finds why a pattern names no service channels.
pub(super) fn service_fix(pattern: &str) -> Option<&'static str> {
    form_fix(pattern).or_else(|| {
        let names_service =
            pattern.len() > "/service/".len() && first_segment(pattern) == "service";
        (!names_service).then_some("must name service channels, such as \"/service/echo\"")
    })
}

fn first_segment(pattern: &str) -> &str {
    pattern.split('/').nth(1).unwrap_or_default()
}

/// Finds why a text is no channel and no pattern.
pub(super) fn form_fix(pattern: &str) -> Option<&'static str> {
    let Some(name) = pattern.strip_prefix('/') else {
        return Some("must start with '/', such as \"/chat/**\"");
    };
    let segments: Vec<&str> = name.split('/').collect();
    let before_last = &segments[..segments.len() - 1];
    let is_misplaced = |segment: &&str| segment.contains('*');
    let last = segments[segments.len() - 1];
    if segments.iter().any(|segment| segment.is_empty()) {
        Some("must not hold empty segments or end with '/'")
    } else if before_last.iter().any(is_misplaced)
        || (last.contains('*') && last != "*" && last != "**")
    {
        Some("'*' or '**' must be the whole last segment")
    } else {
        None
    }
}

/// Tells whether there are channels that match both of two patterns.
pub(crate) fn may_match_alike(one: &str, other: &str) -> bool {
    one == other || covers(one, other) || covers(other, one)
}

/// Tells whether all that matches the second pattern matches the first, which has a wildcard.
fn covers(pattern: &str, other: &str) -> bool {
    let below = |base: &str| other.strip_prefix(base)?.strip_prefix('/');
    if let Some(base) = pattern.strip_suffix("/**") {
        below(base).is_some()
    } else if let Some(base) = pattern.strip_suffix("/*") {
        below(base).is_some_and(|rest| !rest.contains('/') && rest != "**")
    } else {
        false
    }
}

/// Tells whether a text is a token (RFC 9110), which is what a cookie's name must be.
pub(super) fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Tells whether a text can stand in a `Set-Cookie` header without ending its attribute.
pub(super) fn is_cookie_attribute(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b';')
}

/// Tells whether a text is a level or filter directives.
pub(super) fn is_log_filter(directives: &str) -> bool {
    // `EnvFilter` takes a bare word for a module's name, which would let `inof` pass.
    let is_plausible = |directive: &str| {
        let directive = directive.trim();
        directive.contains(['=', '[', ':'])
            || ["off", "error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|level| level.eq_ignore_ascii_case(directive))
    };
    // A comma inside `[span{a=1,b=2}]` does not part directives.
    let parts: Vec<&str> = if directives.contains('[') {
        vec![directives]
    } else {
        directives.split(',').collect()
    };
    parts.into_iter().all(is_plausible) && EnvFilter::builder().parse(directives).is_ok()
}
