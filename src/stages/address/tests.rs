use super::*;

fn list(hosts: &[&str], path: &str, query: Option<&str>) -> AllowList {
    let shape = |text: &str| Regex::new(&format!("^(?:{text})$")).unwrap();
    let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    AllowList { hosts, path: shape(path), query: query.map(shape) }
}

fn check(list: &AllowList, url: &str, listed: bool) {
    assert_eq!(list.admit(url.as_bytes()).is_ok(), listed, "{url}");
}

#[test]
fn w_52_urls_on_the_list() {
    let sns = list(&["sns.us-east-1.amazonaws.com", "sns.*.amazonaws.com"], r"/[A-Za-z0-9-]+\.pem", None);
    for good in [
        "https://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-central-1.amazonaws.com:443/a.pem",
        "https://SNS.eu-central-1.amazonaws.com/a.pem",
    ] {
        check(&sns, good, true);
    }
    let port = list(&["rp-*.eventgrid.azure.net:553"], "/validate", Some("id=[a-z0-9]+"));
    check(&port, "https://rp-eastus2.eventgrid.azure.net:553/validate?id=1", true);
    check(&port, "https://rp-eastus2.eventgrid.azure.net:553/validate?id=1&x=2", false);
    check(&port, "https://rp-eastus2.eventgrid.azure.net/validate?id=1", false);
}

#[test]
fn w_52_urls_that_are_not() {
    let sns = list(&["sns.us-east-1.amazonaws.com", "sns.*.amazonaws.com"], r"/[A-Za-z0-9/.-]+\.pem", None);
    for bad in [
        "",
        "https://",
        "https:///x.pem",
        "http://sns.eu-1.amazonaws.com/x.pem",
        "HTTPS://sns.eu-1.amazonaws.com/x.pem",
        "https:sns.eu-1.amazonaws.com/x.pem",
        "//sns.eu-1.amazonaws.com/x.pem",
        "https://sns.eu-1.amazonaws.com.evil.test/x.pem",
        "https://sns.eu-1.amazonaws.com@evil.test/x.pem",
        "https://user@sns.eu-1.amazonaws.com/x.pem",
        "https://sns.eu-1.amazonaws.com:443@evil.test/x.pem",
        "https://evil.test/https://sns.eu-1.amazonaws.com/x.pem",
        "https://evil.test#sns.eu-1.amazonaws.com/x.pem",
        "https://evil.test\\sns.eu-1.amazonaws.com/x.pem",
        "https://sns.evil.test\\.amazonaws.com/x.pem",
        "https://sns.eu-1.amazonaws.com./x.pem",
        "https://sns.eu.1.amazonaws.com/x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://sns.-.amazonaws.com/x.pem",
        "https://sns.xn--1.amazonaws.com/x.pem",
        "https://sns.é.amazonaws.com/x.pem",
        "https://sns.eu%2d1.amazonaws.com/x.pem",
        "https://sns.eu-1.amazonaws.com:80/x.pem",
        "https://sns.eu-1.amazonaws.com:0443/x.pem",
        "https://sns.eu-1.amazonaws.com:/x.pem",
        "https://sns.eu-1.amazonaws.com/../x.pem",
        "https://sns.eu-1.amazonaws.com/a/./x.pem",
        "https://sns.eu-1.amazonaws.com/%2e%2e/x.pem",
        "https://sns.eu-1.amazonaws.com/x.pem?y",
        "https://sns.eu-1.amazonaws.com/x.pem?",
        "https://sns.eu-1.amazonaws.com/x.pem#y",
        "https://sns.eu-1.amazonaws.com/x.pem\n",
        " https://sns.eu-1.amazonaws.com/x.pem",
        "https://sns.eu-1.amazonaws.com/x.exe",
        "https://sns.eu-1.amazonaws.com",
        "https://127.0.0.1/x.pem",
        "https://169.254.169.254/x.pem",
        "https://[::1]/x.pem",
        // Buckets and load balancers: anybody can have one of these names.
        "https://sns.s3.amazonaws.com/x.pem",
        "https://sns.s3-us-west-2.amazonaws.com/x.pem",
        "https://sns.elb.amazonaws.com/x.pem",
    ] {
        check(&sns, bad, false);
    }
    let long = format!("https://sns.eu-1.amazonaws.com/{}.pem", "x".repeat(URL_MAX));
    check(&sns, &long, false);
    assert_eq!(sns.admit(b"https://sns.eu-1.amazonaws.com/\xff.pem"), Err(NoAddress));
}

#[test]
fn w_52_open_lists() {
    for (open, complaint) in [
        ("*", "not the full name"),
        ("localhost", "not the full name"),
        ("", "not the full name"),
        ("127.0.0.1", "not the full name"),
        ("keys.example.com.", "not the full name"),
        ("user@example.com", "not the full name"),
        ("https://example.com", "is a URL"),
        ("example.com/keys", "is a URL"),
        ("example.com:0", "a host is a name"),
        ("example.com:x", "a host is a name"),
        ("*.com", "strangers"),
        ("keys.*.com", "strangers"),
        ("*.co.uk", "strangers"),
        ("*.github.io", "strangers"),
        ("*.s3.amazonaws.com", "strangers"),
        ("*.compute.amazonaws.com", "strangers"),
        ("*example.com", "strangers"),
        ("keys.example.*", "strangers"),
    ] {
        let problem = HostPattern::parse(open).expect_err(open);
        assert!(problem.contains(complaint), "{open}: {problem}");
    }
    for good in ["example.com", "*.example.com", "a-*b.example.co.uk:8443", "keys.*.*.example.com"] {
        assert!(HostPattern::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn addresses_and_how_they_are_shown() {
    let address = Address::fixed("https://keys.example.com:8443/a?token=1").unwrap();
    assert_eq!((address.host(), address.port(), address.target()), ("keys.example.com", 8443, "/a?token=1"));
    assert_eq!(address.to_string(), "https://keys.example.com:8443/a?token=1");
    assert_eq!(format!("{address:?}"), "https://keys.example.com:8443/a");
    let root = Address::fixed("https://keys.example.com").unwrap();
    assert_eq!((root.target(), root.authority()), ("/", "keys.example.com".to_owned()));
    assert_eq!(Address::fixed("http://keys.example.com/"), Err(NoAddress));
}
