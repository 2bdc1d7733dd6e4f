//! What the server sees of a request that has come through a proxy: its host, and whose it is.

use std::time::Duration;

use super::directives::{Cause, Program, fix};
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
pub(super) fn judge(asked: &Asked, proxy: Option<Program>) -> Vec<Finding> {
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

fn host(is_kept: bool, proxy: Option<Program>) -> Finding {
    if is_kept {
        return Finding::ok(HOST, "the server sees the host that was asked for");
    }
    Finding::wrong(
        HOST,
        "the proxy changes Host: pages of the public host get 403",
        fix(Cause::ChangesHost, proxy),
    )
}

fn address(seen: &Seen, proxy: Option<Program>) -> Finding {
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
    use crate::cli::doctor::finding::State;

    /// What is said of an address, as the server sees it.
    fn line(
        connection: Whose,
        client: Option<&str>,
        header: Option<&str>,
        program: Option<Program>,
    ) -> String {
        let seen = Seen {
            host: true,
            connection,
            client: client.map(str::to_owned),
            headers: header.into_iter().map(str::to_owned).collect(),
        };
        address(&seen, program).to_string()
    }

    #[test]
    fn an_address_that_the_server_knows_is_fine() {
        let own = line(Whose::Client, None, None, None);
        assert!(own.starts_with("ok"), "{own}");
        let forwarded = Some("x-forwarded-for");
        let named = line(Whose::Proxy, Some("192.0.2.1"), forwarded, None);
        assert!(
            named.starts_with("ok") && named.contains("192.0.2.1"),
            "{named}"
        );
    }

    #[test]
    fn an_address_that_it_does_not_know_is_mended_where_it_gets_lost() {
        let nginx = Some(Program::Nginx);
        // (whose the connection is, the header of a proxy, the proxy, a part of the line)
        for (connection, header, program, part) in [
            (Whose::Proxy, None, nginx, "$proxy_add_x_forwarded_for"),
            (
                Whose::Proxy,
                Some("forwarded"),
                nginx,
                "http.forwarded_header",
            ),
            (
                Whose::Other,
                Some("x-forwarded-for"),
                None,
                "http.trusted_proxies",
            ),
            (Whose::Other, None, nginx, "$proxy_add_x_forwarded_for"),
            (Whose::Other, Some("via"), None, "option forwardfor"),
        ] {
            let line = line(connection, None, header, program);
            assert!(line.starts_with("wrong") && line.contains(part), "{line}");
        }
        let unknown = line(Whose::Other, None, None, None);
        assert!(
            unknown.starts_with("warning") && unknown.contains("NAT"),
            "{unknown}"
        );
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
        assert_eq!(
            reach(&asked(502), url, "/cometd").unwrap_err().state,
            State::Wrong
        );
        assert_eq!(
            reach(&asked(404), url, "/cometd").unwrap().state,
            State::Warning
        );
        let unserved = asked(421);
        assert_eq!(reach(&unserved, url, "/cometd").unwrap().state, State::Ok);
        let line = judge(&unserved, Some(Program::Nginx))[0].to_string();
        assert!(
            line.contains("$http_host") && line.contains("http.hosts"),
            "{line}"
        );
    }
}
