//! What the server sees of a request that has come through a proxy: its host, and whose it is.

use std::time::Duration;

use super::directives::{Cause, Proxy, fix};
use crate::cli::doctor::asking::{Asked, BELOW, Seen, Whose};
use crate::cli::doctor::clock;
use crate::cli::doctor::finding::Finding;

const REACH: &str = "reach";
const HOST: &str = "host";
const ADDRESS: &str = "address";
/// Tokens and cookies that are valid for a time begin to fail.
const APART: Duration = Duration::from_secs(30);

/// Whether the server is reached at all; `Err` if nothing more can be found.
pub(super) fn reach(asked: &Asked, url: &str, path: &str) -> Result<Finding, Finding> {
    let by = match &asked.program {
        Some(program) => format!(" by {program}"),
        None => String::new(),
    };
    match asked.status {
        _ if asked.seen.is_some() => {
            Ok(Finding::ok(REACH, format!("a Mirant answers at {url}{by}")))
        }
        // It is another host that is not served: what changes it is found below.
        _ if asked.is_misdirected() => Ok(Finding::ok(REACH, format!("{url} answers{by}"))),
        status @ 500.. => Err(Finding::wrong(
            REACH,
            format!("{url} answers status {status}{by}"),
            "start the server, and have the proxy pass on to an address of http.listen",
        )),
        status => Ok(Finding::warning(
            REACH,
            format!(
                "{url}{BELOW} answers status {status}{by}, and not what a Mirant says of requests there"
            ),
            format!(
                "have the proxy pass on all that is below {path}; a server that is no Mirant has nothing there"
            ),
        )),
    }
}

/// What came of host, address and clock.
pub(super) fn judge(asked: &Asked, proxy: Option<Proxy>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &asked.seen {
        Some(seen) => {
            findings.push(host(seen.host, proxy));
            findings.push(address(seen, proxy));
        }
        None if asked.is_misdirected() => findings.push(Finding::wrong(
            HOST,
            "the server does not serve the host that it is asked for (421)",
            format!(
                "{}; or the public host in http.hosts",
                fix(Cause::ChangesHost, proxy)
            ),
        )),
        None => {}
    }
    if let Some((theirs, ours)) = asked.clocks {
        findings.push(clock::judge("what answers", theirs, ours, APART));
    }
    findings
}

fn host(is_kept: bool, proxy: Option<Proxy>) -> Finding {
    if is_kept {
        return Finding::ok(HOST, "the server sees the host that was asked for");
    }
    Finding::wrong(
        HOST,
        "the proxy changes Host: pages of the public host get 403",
        fix(Cause::ChangesHost, proxy),
    )
}

fn address(seen: &Seen, proxy: Option<Proxy>) -> Finding {
    let named = seen
        .headers
        .iter()
        .any(|name| matches!(&**name, "x-forwarded-for" | "forwarded"));
    let trust = "http.trusted_proxies names the proxy's address, or \"unix\"";
    match (seen.connection, &seen.client) {
        (Whose::Client, _) => {
            Finding::ok(ADDRESS, "the connection to the server is this client's own")
        }
        (Whose::Proxy, Some(client)) => Finding::ok(
            ADDRESS,
            format!("the server takes this client for {client}, as a trusted proxy says"),
        ),
        (Whose::Proxy, None) if named => Finding::wrong(
            ADDRESS,
            format!(
                "the server does not read an address in {}",
                seen.headers.join(", ")
            ),
            "http.forwarded_header names the header to which the proxy adds its client's address",
        ),
        (Whose::Proxy, None) => Finding::wrong(
            ADDRESS,
            "the proxy does not say whom it speaks for: the server takes all clients for the proxy",
            fix(Cause::HidesClient, proxy),
        ),
        (Whose::Other, _) if named => Finding::wrong(
            ADDRESS,
            "the proxy says whom it speaks for, and the server does not trust it: all clients count as the proxy",
            trust,
        ),
        (Whose::Other, _) if proxy.is_some() || !seen.headers.is_empty() => Finding::wrong(
            ADDRESS,
            "the proxy does not say whom it speaks for: the server takes all clients for the proxy",
            format!("{}; and {trust}", fix(Cause::HidesClient, proxy)),
        ),
        (Whose::Other, _) => Finding::warning(
            ADDRESS,
            "the server sees another address than this client's: its addresses are translated on the way (NAT), or \
             a proxy hides them",
            format!(
                "if there is a proxy: {}; and {trust}",
                fix(Cause::HidesClient, proxy)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State::{self, Ok, Warning, Wrong};

    #[test]
    fn an_address_that_the_server_knows_is_fine() {
        let nginx = Some(Proxy::Nginx);
        let client = Some("192.0.2.1");
        // (whose the connection is, the client that is named, headers, the proxy, how it is, a part of the line)
        type Case<'a> = (
            Whose,
            Option<&'a str>,
            &'a [&'a str],
            Option<Proxy>,
            State,
            &'a str,
        );
        let cases: [Case<'_>; 8] = [
            (Whose::Client, None, &[], None, Ok, "own"),
            (
                Whose::Proxy,
                client,
                &["x-forwarded-for"],
                nginx,
                Ok,
                "192.0.2.1",
            ),
            (
                Whose::Proxy,
                None,
                &[],
                nginx,
                Wrong,
                "$proxy_add_x_forwarded_for",
            ),
            (
                Whose::Proxy,
                None,
                &["forwarded"],
                nginx,
                Wrong,
                "http.forwarded_header",
            ),
            (
                Whose::Other,
                None,
                &["x-forwarded-for"],
                None,
                Wrong,
                "http.trusted_proxies",
            ),
            (
                Whose::Other,
                None,
                &[],
                nginx,
                Wrong,
                "$proxy_add_x_forwarded_for",
            ),
            (
                Whose::Other,
                None,
                &["via"],
                None,
                Wrong,
                "option forwardfor",
            ),
            (Whose::Other, None, &[], None, Warning, "NAT"),
        ];
        for (connection, client, headers, proxy, state, part) in cases {
            let seen = Seen {
                host: true,
                connection,
                client: client.map(str::to_owned),
                headers: headers.iter().map(|&name| name.to_owned()).collect(),
            };
            let finding = address(&seen, proxy);
            assert_eq!(finding.state, state, "{finding}");
            assert!(finding.to_string().contains(part), "{finding}");
        }
    }

    #[test]
    fn what_answers_is_told_from_a_mirant() {
        let asked = |status| Asked {
            status,
            program: Some("nginx".to_owned()),
            clocks: None,
            seen: None,
        };
        let url = "http://h/cometd";
        assert_eq!(reach(&asked(502), url, "/cometd").unwrap_err().state, Wrong);
        assert_eq!(reach(&asked(404), url, "/cometd").unwrap().state, Warning);
        let unserved = asked(421);
        assert_eq!(reach(&unserved, url, "/cometd").unwrap().state, Ok);
        let line = judge(&unserved, Some(Proxy::Nginx))[0].to_string();
        assert!(
            line.contains("$http_host") && line.contains("http.hosts"),
            "{line}"
        );
    }
}
