//! What a signature may look like: the first half of group W of the catalogue, over a socket.

use data_encoding::{BASE64, BASE64URL, HEXLOWER};

use crate::support::{
    gateway::{K1, K2, Setup, T, gateway},
    senders::{ACME, BODY, HUB, STRIPE, hex, hub, right, sha1, sha256, standard, together},
};

/// These values of `webhook-signature` are refused for this reason, and the right one is still taken afterwards.
async fn refused(signatures: &[&str], reason: &str) {
    let gateway = gateway(ACME).await;
    for signature in signatures {
        println!("{signature:?}");
        gateway.acme_with("evt_1", signature, BODY).send().await.is_401(reason);
    }
    gateway.acme("evt_1", BODY).send().await.is_forwarded();
}

#[tokio::test]
async fn w_03_the_empty_key_forges_nothing() {
    let forged = format!("v1,{}", standard("", "evt_1", &T.to_string(), BODY));
    refused(&[&forged], "auth_mismatch").await;
}

#[tokio::test]
async fn w_10_known_vectors() {
    // The example of Svix's "verifying manually", which Standard Webhooks' libraries share.
    let acme = ACME.replace("message", "key = { decode = \"base64\", strip = [\"whsec_\"] }\nmessage");
    let gateway = Setup::new(&acme).variable("K1", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").at(1_614_265_330);
    let gateway = gateway.start().await;
    let request = gateway.post("/in/acme").header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek");
    let request = request.header("webhook-timestamp", "1614265330").body(r#"{"test": 2432232314}"#);
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    request.header("webhook-signature", signature).send().await.is_forwarded();
}

#[tokio::test]
async fn w_11_no_signature_header() {
    let gateway = gateway(ACME).await;
    gateway.acme_bare("evt_1", BODY).send().await.is_401("auth_missing");
}

#[tokio::test]
async fn w_12_present_but_empty() {
    refused(&["", " ", ",", " v1,", "v1, v1,"], "auth_malformed").await;
    let gateway = gateway(HUB).await;
    let empty = gateway.post("/in/hub").header("x-hub-signature-256", "").body(BODY);
    empty.send().await.is_401("auth_missing");
}

#[tokio::test]
async fn w_13_empty_signature_value() {
    refused(&["v1,", "v1,="], "auth_malformed").await;
}

#[tokio::test]
async fn w_14_every_truncation() {
    let right = right();
    let cut: Vec<_> = (0..right.len()).map(|length| format!("v1,{}", &right[..length])).collect();
    refused(&cut.iter().map(String::as_str).collect::<Vec<_>>(), "auth_malformed").await;
}

#[tokio::test]
async fn w_15_extension() {
    let right = right();
    let longer = ["A", "=", ",x"].map(|more| format!("v1,{right}{more}"));
    refused(&longer.each_ref().map(String::as_str), "auth_malformed").await;
    // A tab at the end of a line is white space that HTTP takes away: it is no part of the value.
    let gateway = gateway(ACME).await;
    gateway.acme_with("evt_1", format!("v1,{right}\t"), BODY).send().await.is_forwarded();
}

#[tokio::test]
async fn w_16_version_games() {
    let right = right();
    let games = ["v2,", "V1,", "v1a,", "v1 ,", ",", "v1", "v1=", "v1,v1,"].map(|version| format!("{version}{right}"));
    refused(&games.each_ref().map(String::as_str), "auth_malformed").await;
}

#[tokio::test]
async fn w_17_w_20_prefix_and_hex_spelling() {
    let right = hex(K1, &[BODY.as_bytes()]);
    let gateway = gateway(HUB).await;
    let send = |value: String| gateway.post("/in/hub").header("x-hub-signature-256", value).body(BODY).send();
    for wrong in [
        right.clone(),
        format!("sha256=sha256={right}"),
        format!("SHA256={right}"),
        format!("sha256 ={right}"),
        format!("sha256={}", &right[..63]),
        format!("sha256=0x{right}"),
        format!("sha256=0x{}", &right[2..]),
        format!("sha256=g{}", &right[1..]),
    ] {
        println!("{wrong}");
        send(wrong).await.is_401("auth_malformed");
    }
    send(format!("sha256={}", right.to_uppercase())).await.is_forwarded();
}

#[tokio::test]
async fn w_18_algorithm_downgrade() {
    let gateway = gateway(HUB).await;
    let right = HEXLOWER.encode(&sha1(K1.as_bytes(), BODY.as_bytes()));
    let post = || gateway.post("/in/hub").body(BODY).header("x-algorithm", "sha1");
    post().header("x-hub-signature", format!("sha1={right}")).send().await.is_401("auth_missing");
    post().header("x-hub-signature-256", format!("sha1={right}")).send().await.is_401("auth_malformed");
    post().header("x-hub-signature-256", format!("sha256={right}")).send().await.is_401("auth_malformed");
}

#[tokio::test]
async fn w_19_a_public_key_is_no_shared_secret() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/cakewalk");
    let key = std::fs::read(directory.join("vectors/test-key.pub.pem")).unwrap();
    let text = r#"
        [sources.s]
        path = "/in/s"
        secrets = [{ file = "vectors/test-key.pub.pem" }]
        upstream = "app"
        [[sources.s.auth]]
        kind = "rsa"
        signature = { from = "header:x-signature", encoding = "base64" }
        key = { decode = "pem" }
    "#;
    let gateway = Setup::new(text).directory(&directory).start().await;
    for key in [key.as_slice(), key.trim_ascii()] {
        let digest = sha256(key, &[BODY.as_bytes()]);
        for forged in [format!("v1,{}", BASE64.encode(&digest)), BASE64.encode(&digest), HEXLOWER.encode(&digest)] {
            let request = gateway.post("/in/s").header("x-signature", forged).body(BODY);
            request.send().await.is_401("auth_malformed");
        }
    }
}

#[tokio::test]
async fn w_21_base64_spelling() {
    let right = right();
    let url_safe = BASE64URL.encode(&BASE64.decode(right.as_bytes()).unwrap());
    // The last character before the padding has two bits that mean nothing; only zeros are taken for them.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at = alphabet.iter().position(|byte| *byte == right.as_bytes()[42]).unwrap();
    let loose = format!("{}{}=", &right[..42], char::from(alphabet[at + 1]));
    let wrong = [loose, right[..43].to_owned(), format!("{}\t{}", &right[..20], &right[20..])];
    let mut wrong: Vec<_> = wrong.iter().map(|value| format!("v1,{value}")).collect();
    if url_safe != right {
        wrong.push(format!("v1,{url_safe}"));
    }
    refused(&wrong.iter().map(String::as_str).collect::<Vec<_>>(), "auth_malformed").await;
}

#[tokio::test]
async fn w_22_w_23_bytes_that_are_no_text() {
    let gateway = gateway(ACME).await;
    let right = right();
    for wrong in [b"v1,\xff\xfe".as_slice(), format!("v1,{}%00", &right[..41]).as_bytes()] {
        gateway.acme_with("evt_1", wrong, BODY).send().await.is_401("auth_malformed");
    }
    // A raw NUL is not even a head: the parser answers, and says so.
    gateway.acme_with("evt_1", format!("v1,{right}\0"), BODY).send().await.is(400, "reject framing").reaches_nobody();
}

#[tokio::test]
async fn w_24_too_short_header() {
    let gateway = gateway(HUB).await;
    for length in 1..=7 {
        let request = gateway.post("/in/hub").header("x-hub-signature-256", &"sha256="[..length]).body(BODY);
        request.send().await.is_401("auth_malformed");
    }
}

#[tokio::test]
async fn w_25_signature_header_twice() {
    let gateway = gateway(&together(&[ACME, HUB])).await;
    let (right, wrong) = (format!("v1,{}", right()), format!("v1,{}", standard(K2, "evt_1", "1", BODY)));
    for (first, second) in [(&right, &wrong), (&wrong, &right), (&right, &right)] {
        let request = gateway.acme_with("evt_1", first, BODY).header("Webhook-Signature", second);
        request.send().await.is_401("auth_ambiguous");
        let first = hub(if first == &right { K1 } else { K2 }, BODY);
        let second = hub(if second == &right { K1 } else { K2 }, BODY);
        let request = gateway.post("/in/hub").header("x-hub-signature-256", first).body(BODY);
        request.header("x-hub-signature-256", second).send().await.is_401("auth_ambiguous");
    }
}

#[tokio::test]
async fn w_26_repeated_parameter() {
    let gateway = gateway(STRIPE).await;
    let (now, old) = (T.to_string(), (T - 4_000).to_string());
    let right = hex(K1, &[now.as_bytes(), b".", BODY.as_bytes()]);
    let send = |value: String| gateway.post("/in/stripe").header("stripe-signature", value).body(BODY).send();
    for twice in [
        format!("t={now},t={old},v1={right}"),
        format!("t={now},v1={right},t={old}"),
        format!("t={now},t={now},v1={right}"),
    ] {
        send(twice).await.is_401("auth_ambiguous");
    }
    send(format!("t={now},v1={right}")).await.is_forwarded();
}

#[tokio::test]
async fn w_27_mixed_header_families() {
    let gateway = gateway(ACME).await;
    let request = gateway.post("/in/acme").header("svix-id", "evt_1").header("webhook-timestamp", T.to_string());
    let request = request.header("webhook-signature", format!("v1,{}", right())).body(BODY);
    request.send().await.is_401("auth_missing");

    let both = ACME.replace(
        "from = \"header:webhook-signature\"",
        "from = [\"header:webhook-signature\", \"header:svix-signature\"]",
    );
    let gateway = self::gateway(&both).await;
    let (right, wrong) = (format!("v1,{}", right()), format!("v1,{}", standard(K2, "evt_1", "1", BODY)));
    for (first, second) in [(&right, &wrong), (&wrong, &right)] {
        let request = gateway.acme_with("evt_1", first, BODY).header("svix-signature", second);
        request.send().await.is_401("auth_ambiguous");
    }
    let request = gateway.acme_with("evt_1", &right, BODY).header("svix-signature", &right);
    request.send().await.is_forwarded();
}

#[tokio::test]
async fn w_28_the_right_one_last() {
    let gateway = gateway(ACME).await;
    let wrong = standard(K2, "evt_1", "1", BODY);
    let value = format!("v1,{wrong} v2,{wrong} v1,{}", right());
    gateway.acme_with("evt_1", value, BODY).send().await.is_forwarded();
    let record = gateway.record();
    assert_eq!((record["tokens"].as_u64(), record["secrets_tried"].as_u64()), (Some(2), Some(1)));
}

#[tokio::test]
async fn w_29_ten_thousand_tokens() {
    let two = ACME.replace("[{ name = \"first\", env = \"K1\" }]", "[{ env = \"K1\" }, { env = \"K2\" }]");
    let gateway = gateway(&two).await;
    // As many as the header limit lets in.
    let many = "v1,xxxx ".repeat(3_900);
    gateway.acme_with("evt_1", many.trim_end(), BODY).send().await.is_401("auth_malformed");
    assert_eq!(gateway.record()["secrets_tried"], 0, "no digest for a header that is refused unread");
    let wrong = format!("v1,{} ", standard("somebody-else", "evt_1", "1", BODY)).repeat(16);
    gateway.acme_with("evt_1", wrong.trim_end(), BODY).send().await.is_401("auth_mismatch");
    let record = gateway.record();
    assert_eq!((record["tokens"].as_u64(), record["secrets_tried"].as_u64()), (Some(16), Some(2)));
}
