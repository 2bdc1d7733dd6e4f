//! Tables of lists as proxies and those who want to be taken for others write them.

use super::*;

/// Of these the addresses that begin with 10 are of trusted proxies.
fn found(header: ForwardedHeader, lines: &[(&str, &str)]) -> String {
    let lines = lines
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
    let client = header.client(&lines.collect(), is_trusted);
    client.map_or_else(|| "proxy".to_owned(), |address| address.to_string())
}

#[test]
fn of_x_forwarded_for_the_last_counts_that_is_no_proxy_s() {
    let many = format!("192.0.2.9, {}", vec!["10.0.0.1"; 40].join(", "));
    let cases: [(&[&str], &str); 31] = [
        (&[], "proxy"),
        (&[""], "proxy"),
        (&[","], "proxy"),
        (&["192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1,192.0.2.2"], "192.0.2.2"),
        (&["192.0.2.1", "192.0.2.2"], "192.0.2.2"),
        (&["192.0.2.1", "10.0.0.1"], "192.0.2.1"),
        (&["192.0.2.1", "10.0.0.1", ""], "192.0.2.1"),
        (&["evil, 192.0.2.2, 10.0.0.1 ,10.0.0.2"], "192.0.2.2"),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (&["192.0.2.1, unknown"], "proxy"),
        (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.1, _hidden"], "proxy"),
        (&["192.0.2.1, for=192.0.2.2"], "proxy"),
        (&["192.0.2.1 192.0.2.2"], "proxy"),
        (&["192.0.2.1, \u{e9}"], "proxy"),
        (&["\u{e9}, 192.0.2.1"], "192.0.2.1"),
        (&["\", 192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1:1234"], "192.0.2.1"),
        (&["192.0.2.1:"], "proxy"),
        (&["192.0.2.1:port"], "proxy"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["[2001:db8::1]"], "2001:db8::1"),
        (&["[2001:db8::1]:443"], "2001:db8::1"),
        (&["\"[2001:db8::1]:443\""], "2001:db8::1"),
        (&["[2001:db8::1"], "proxy"),
        (&["[2001:db8::1]443"], "proxy"),
        (&["[192.0.2.1]"], "proxy"),
        (&["fe80::1%eth0"], "proxy"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&[&many], "10.0.0.1"),
    ];
    for (lines, expected) in cases {
        let fields: Vec<_> = lines
            .iter()
            .map(|line| ("X-Forwarded-For", *line))
            .collect();
        let client = found(ForwardedHeader::XForwardedFor, &fields);
        assert_eq!(client, expected, "{lines:?}");
    }
}

#[test]
fn of_forwarded_the_last_for_counts_that_is_no_proxy_s() {
    let cases: [(&[&str], &str); 28] = [
        (&["for=192.0.2.1"], "192.0.2.1"),
        (&["For=\"192.0.2.1:80\""], "192.0.2.1"),
        (&["for=192.0.2.1;proto=https;by=203.0.113.43"], "192.0.2.1"),
        (&["proto=https; FOR=192.0.2.1 ;;"], "192.0.2.1"),
        (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
        (&["for=\"[2001:db8::1]:4711\";host=x"], "2001:db8::1"),
        (&["for=\"[2001:db8::1]:_port\""], "2001:db8::1"),
        (&["for=192.0.2.1, for=192.0.2.2"], "192.0.2.2"),
        (&["for=192.0.2.1", "for=10.0.0.1"], "192.0.2.1"),
        (&["for=192.0.2.1, for=unknown"], "proxy"),
        (&["for=192.0.2.1, for=_hidden"], "proxy"),
        (
            &["for=192.0.2.1, for=\"_hidden\", for=10.0.0.2"],
            "10.0.0.2",
        ),
        (&["for=192.0.2.1, by=10.0.0.2"], "proxy"),
        (&["for=192.0.2.1;for=192.0.2.2"], "proxy"),
        (&["192.0.2.1"], "proxy"),
        (&["for"], "proxy"),
        (&["for="], "proxy"),
        (&["for=\""], "proxy"),
        (&["for = 192.0.2.1"], "proxy"),
        (&["for=\", for=192.0.2.1"], "192.0.2.1"),
        (&["for=\"", "for=192.0.2.1"], "192.0.2.1"),
        (&["x=\"\\\", for=192.0.2.1"], "192.0.2.1"),
        (&["for=192.0.2.1;host=\"x, for=192.0.2.9;a=\""], "192.0.2.1"),
        (
            &["for=192.0.2.1;host=\"x\\\", for=192.0.2.9;a=\\\"\""],
            "192.0.2.1",
        ),
        (
            &["for=192.0.2.1;host=\"x\\\\\", for=192.0.2.2"],
            "192.0.2.2",
        ),
        (&["for=192.0.2.1;host=\"x;for=192.0.2.9\""], "192.0.2.1"),
        (&["for=192.0.2.1;host=\"x=y\""], "192.0.2.1"),
        (&["for=192.0.2.1,"], "192.0.2.1"),
    ];
    for (lines, expected) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let client = found(ForwardedHeader::Forwarded, &fields);
        assert_eq!(client, expected, "{lines:?}");
    }
}

#[test]
fn the_other_header_means_nothing() {
    let both = [
        ("Forwarded", "for=192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.2"),
    ];
    assert_eq!(found(ForwardedHeader::Forwarded, &both), "192.0.2.1");
    assert_eq!(found(ForwardedHeader::XForwardedFor, &both), "192.0.2.2");
    assert_eq!(found(ForwardedHeader::Forwarded, &both[1..]), "proxy");
    assert_eq!(found(ForwardedHeader::XForwardedFor, &both[..1]), "proxy");
}
