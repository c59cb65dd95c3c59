use super::*;

#[test]
fn no_secret_is_shown() {
    for text in [
        "[sources.a]\nsecrets = [{ value = \"hunter2\", nmae = \"x\" }]\n",
        "[sources.a]\nsecrets = [{ value = \"hunter2\" }, { value = \"\"\"hunter2\nhunter2\"\"\", x = 1 }]\n",
        "[sources.a]\nsecrets = \"hunter2\"\n",
        "[sources.a]\nsecret = 'hunter2'\n",
        "[sources.a]\nclient_secret = 'hunter2' # after it\n",
        "[sources.a]\nrequire_headers = { x = \"hunter2\" }\n",
        "[sources.a]\nsettings.token_password = { vlaue = \"hunter2\" }\n",
        "[sources.a]\nprovider = \"cakewalk\"\nscheme = \"token\"\nsettings = { clinet_state = 1, client_state = \"hunter2\" }\n",
        "[upstreams.a]\nsign = \"hunter2\"\n",
        "[admin]\ntoken = \"hunter2\"\n",
        "[admin]\ntoken = { vlaue = \"hunter2\" }\n",
        "[upstreams.a]\nurl = \"http://me:hunter2@127.0.0.1\"\n",
        "[upstreams.a]\nheaders = { authorization = \"hunter2\\u0001\" }\n",
        "[sources.a]\nsecrets = [{ value = \"hunter2\" }\n",
        "[sources.a]\nsecrets = [\n{ value = \"hunter2\n]\n",
        "[sources.a]\nsecrets = [{ value = hunter2 }]\n",
        "[sources.a]\nsecrets = [{ value = \"\"\"\nhunter2=\nhunter2 }]\n",
        "[sources.a]\nsecrets = [\"hunter2\"\n[sources.b]\nx = \"hunter2",
        "[sources.a]\nvalue = \"hunter2\"\nvalue = \"hunter2\"\n",
    ] {
        let read = read_with(text, &[]);
        assert!(read.diagnostics.has_errors(), "{text}");
        for shown in [
            read.diagnostics.render(true),
            serde_json::to_string(&read.diagnostics).unwrap(),
            format!("{:?} {:?} {:?}", read.diagnostics, read.raw, read.presets),
        ] {
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
}

#[test]
fn carets_stay_under_their_word() {
    let text = "[sources.a]\nsecrets = [{ value = \"hünter2\", nmae = \"é\" }]\n";
    insta::assert_snapshot!(rendered(text, &[]), @r#"
    error: `sources.a.path` is missing
     --> hooksieve.toml:1:10
      |
    1 | [sources.a]
      |          ^
      |
      = help: add `path = …`: The path, byte for byte as the sender must request it

    error: `sources.a.upstream` is missing
     --> hooksieve.toml:1:10
      |
    1 | [sources.a]
      |          ^
      |
      = help: add `upstream = …`: The upstream that gets the events

    error: there is no key `nmae` in `sources.a.secrets[0]`
     --> hooksieve.toml:2:34
      |
    2 | secrets = [{ value = "********", nmae = "**" }]
      |                                  ^^^^
      |
      = help: did you mean `name`?
    "#);
}
