use super::*;
use crate::config::raw::auth::Encoding;

#[test]
fn a_source_takes_over_its_preset() {
    let raw = good(
        &source(
            "provider = \"cakewalk\"\nevents.id = \"json:/other\"\n[[sources.a.handshake]]\nwhen = { present = \"body\" }",
        ),
        &[],
    );
    let source = &raw.sources.entries["a"];
    assert_eq!(source.auth.len(), 1, "the default scheme's");
    assert_eq!(source.auth[0].at.preset(), Some("cakewalk"));
    assert_eq!(source.events.r#type[0].0, "json:/type", "the preset's");
    assert_eq!(source.events.id.0[0][0].0, "json:/other", "the file's");
    assert_eq!(source.events.id.0[0][0].key.preset(), None);
    assert_eq!(source.dedup.window.as_secs(), 3 * 86400);
    assert_eq!(source.dedup.join_timeout.as_secs(), 2, "the built-in default");
    assert_eq!(
        format!("{:?}", source.settings),
        "{\"encoding\": Plain(Text(\"auto\")), \"region\": Plain(Text(\"eu\"))}"
    );

    let own = good(
        &self::source(
            "provider = \"cakewalk\"\nscheme = \"token\"\nauth = [{ kind = \"none\" }]\nsettings.header = \"x\"",
        ),
        &[],
    );
    assert_eq!(own.sources.entries["a"].auth[0].at.preset(), None);
    assert_eq!(own.sources.entries["a"].auth.len(), 1, "the operator's rules replace the preset's");
}

#[test]
fn presets_that_do_not_fit() {
    check(&source("provider = \"cakewak\""), &[r#"4:12 there is no preset "cakewak" -> did you mean `cakewalk`?"#]);
    check(
        &source("provider = \"orders-of-cakewalk\""),
        &[r#"4:12 there is no preset "orders-of-cakewalk" -> did you mean `cakewalk`?"#],
    );
    check(
        &source("provider = \"unheard\""),
        &[r#"4:12 there is no preset "unheard" -> `hooksieve presets` lists them"#],
    );
    check(
        &source("provider = \"broken\""),
        &[
            r#"broken 3:10 `dedup.window` must be a duration -> a whole number and its unit: "300ms", "5s", "10m", "24h" or "7d""#,
        ],
    );
    check(
        &source("provider = \"plain\"\nscheme = \"hmac\""),
        &[r#"5:10 there is no scheme "hmac" -> this preset has one scheme only: leave the line out"#],
    );
    check(
        &source("provider = \"cakewalk\"\nscheme = \"tokn\""),
        &[r#"5:10 there is no scheme "tokn" in this preset -> did you mean `token`?"#],
    );
    check(
        &source("scheme = \"hmac\""),
        &[
            "4:1 a scheme is chosen, but no preset -> name the preset with `provider = …`, or describe the sender with `[[…auth]]` tables",
        ],
    );
    check(
        &source("provider = \"cakewalk\"\nscheme = \"token\""),
        &[
            "1:10 `sources.a.settings.header` is missing -> add `settings = { header = … }`: the header that carries the token",
        ],
    );
    check(
        &source("provider = \"cakewalk\"\nsettings = { regoin = \"eu\", team = { env = \"A\" } }"),
        &[
            "5:14 the preset does not ask for a setting `regoin` -> did you mean `region`?",
            "5:36 the setting `team` is not a secret -> write the value itself: the team",
        ],
    );
    check(
        &source("provider = \"cakewalk\"\nsettings = { region = \"uk\" }"),
        &[r#"5:23 the setting `region` must be "eu" or "us" -> did you mean `us`?"#],
    );
    check(
        &source(
            "provider = \"cakewalk\"\nscheme = \"token\"\nsettings = { header = \"x\", client_state = \"hunter2\" }",
        ),
        &[
            r#"6:43 the setting `client_state` is a secret -> write `{ env = "NAME" }` or `{ file = "PATH" }`: its second half"#,
        ],
    );
    check_with(
        &source("provider = \"cakewalk\""),
        &[("HOOKSIEVE_SOURCES__A__EVENTS__SPLIT", "x")],
        &[
            r#"`sources.a.events.split` must be a JSON pointer (found "x") -> a pointer is empty or starts with `/`, for example "/data/id""#,
        ],
    );
}

#[test]
fn a_setting_can_stand_for_a_word() {
    let encoding = |answer: &str| {
        let raw = good(&source(&format!("provider = \"cakewalk\"\nsettings = {answer}")), &[]);
        raw.sources.entries["a"].auth[0].signature.as_ref().unwrap().encoding.value
    };
    assert_eq!(encoding("{}"), Encoding::Auto);
    assert_eq!(encoding("{ encoding = \"hex\" }"), Encoding::Hex);
    check(
        &source("provider = \"cakewalk\"\nsettings = { encoding = \"hexx\" }"),
        &[
            r#"5:25 `sources.a.settings.encoding` must be "hex", "base64", "base64url" or "auto" -> did you mean `hex`?"#,
        ],
    );
}
