//! One configuration after another: nothing is forgotten, nothing is weaker in between.

use crate::support::{
    gateway::{Gateway, K1, K2, T, gateway},
    request::Request,
    senders::{ACME, BODY, standard},
};

/// A Standard Webhooks request for [`ACME`], signed with this secret.
fn signed<'g>(gateway: &'g Gateway, secret: &str, id: &str) -> Request<'g> {
    let signature = format!("v1,{}", standard(secret, id, &T.to_string(), BODY));
    gateway.acme_with(id, signature, BODY)
}

#[tokio::test]
async fn r_14_a_replay_after_a_reload_is_a_duplicate() {
    let gateway = gateway(ACME).await;
    signed(&gateway, K1, "evt_1").send().await.is_forwarded();
    gateway.reload(&format!("{ACME}\n[log]\nlevel = \"debug\"\n")).unwrap();
    signed(&gateway, K1, "evt_1").send().await.is(200, "duplicate");
    signed(&gateway, K1, "evt_2").send().await.is_forwarded();
}

#[tokio::test]
async fn w_50_the_secret_changes_without_a_restart() {
    let gateway = gateway(ACME).await;
    let both = ACME
        .replace(r#"{ name = "first", env = "K1" }"#, r#"{ name = "new", env = "K2" }, { name = "old", env = "K1" }"#);
    let new = ACME.replace(r#"{ name = "first", env = "K1" }"#, r#"{ name = "new", env = "K2" }"#);
    assert!(both != ACME && new != ACME, "the configuration names its secret as this test expects");
    signed(&gateway, K2, "evt_0").send().await.is_401("auth_mismatch");
    gateway.reload(&both).unwrap();
    signed(&gateway, K1, "evt_1").send().await.is_forwarded();
    assert_eq!(gateway.record()["key"], "old");
    signed(&gateway, K2, "evt_2").send().await.is_forwarded();
    assert_eq!(gateway.record()["key"], "new");
    gateway.reload(&new).unwrap();
    signed(&gateway, K1, "evt_3").send().await.is_401("auth_mismatch");
    signed(&gateway, K2, "evt_4").send().await.is_forwarded();
}

#[tokio::test]
async fn w_02_a_bad_file_changes_nothing() {
    let gateway = gateway(ACME).await;
    for (change, problem) in [
        (ACME.replace(r#"env = "K1""#, r#"env = "NOT_SET""#), "is not set"),
        (ACME.replace("[[sources.acme.auth]]", "[[sources.acme.atuh]]"), "did you mean `auth`?"),
        ("[".to_owned(), "this is not TOML"),
    ] {
        let said = gateway.reload(&change).unwrap_err();
        assert!(said.contains(problem), "{said}");
    }
    signed(&gateway, K1, "evt_1").send().await.is_forwarded();
    signed(&gateway, K2, "evt_2").send().await.is_401("auth_mismatch");
}

#[tokio::test]
async fn budgets_that_did_not_change_are_kept() {
    let gateway = gateway(&format!("{ACME}\n[sources.acme.limit]\nrate = \"1/h\"\nburst = 2\n")).await;
    signed(&gateway, K1, "evt_1").send().await.is_forwarded();
    gateway.reload(&format!("{ACME}\n[sources.acme.limit]\nrate = \"1/h\"\nburst = 2\n")).unwrap();
    signed(&gateway, K1, "evt_2").send().await.is_forwarded();
    signed(&gateway, K1, "evt_3").send().await.is(429, "reject rate_source");
    gateway.reload(&format!("{ACME}\n[sources.acme.limit]\nrate = \"1/h\"\nburst = 3\n")).unwrap();
    signed(&gateway, K1, "evt_4").send().await.is_forwarded();
}
