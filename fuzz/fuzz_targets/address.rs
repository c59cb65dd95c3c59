#![no_main]

use hooksieve::fuzzing::{DOMAINS, address};
use url::{Host, Url};

// Whatever is followed is `https`, to a host of the sender's by another reader of URLs, and read alike in every part.
libfuzzer_sys::fuzz_target!(|data: &[u8]| if let Some(followed) = address(data) {
    let url = Url::parse(&followed.url).expect("another reader can read it");
    assert_eq!(url.scheme(), "https");
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
    assert_eq!(url.host(), Some(Host::Domain(followed.host.as_str())));
    assert_eq!(url.port_or_known_default(), Some(followed.port));
    assert!(DOMAINS.iter().any(|domain| followed.host.ends_with(domain)), "{}", followed.host);
    // The other reader escapes what a query may hold, but nothing of a path.
    assert_eq!(url.path(), followed.target.split('?').next().unwrap_or_default());
});
