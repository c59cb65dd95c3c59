//! The senders' own libraries as counterparts of the running program, with nothing of ours in between: what they sign
//! must come in, what is changed on the way must not, and what the gateway signs they must verify.
//!
//! `tests/sdk/` has the scripts and pins the libraries; `tests/fetch-sdks.sh` fetches them once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "how much was proved is worth knowing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What senders see; no name of it is ever looked up.
const PUBLIC_URL: &str = "https://hooks.example.com";

/// Signs what is forwarded.
const SECRET: &str = "whsec_bm90LWEtc2VjcmV0LW9mLWFueWJvZHktYXQtYWxs";

/// A request that a library signed, and the source that takes it.
#[derive(Deserialize)]
struct Signed {
    sdk: String,
    provider: String,
    source: String,
    scheme: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    secrets: Vec<String>,
    #[serde(default)]
    query: String,
    headers: BTreeMap<String, String>,
    body: String,
    /// The part of the body that is signed, where it is not all of it.
    bound: Option<String>,
}

/// What the application got.
#[derive(Clone, Debug, Serialize)]
struct Forwarded {
    headers: BTreeMap<String, String>,
    body: String,
}

/// A script of `tests/sdk/`, by the interpreter that has the libraries.
fn script(name: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let is_node = Path::new(name).extension().is_some_and(|extension| extension == "mjs");
    let libraries = folder.join(if is_node { "node_modules" } else { "site-packages" });
    assert!(libraries.is_dir(), "the senders' own libraries are missing: run `sh tests/fetch-sdks.sh` once");
    let mut command = Command::new(if is_node { "node" } else { "python3" });
    command.arg(folder.join(name)).env("PYTHONPATH", folder.join("site-packages")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn printed(name: &str, mut command: Command, input: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} failed");
    String::from_utf8(output.stdout).unwrap()
}

fn sign(name: &str) -> Vec<Signed> {
    let mut command = script(name);
    command.arg(PUBLIC_URL);
    serde_json::from_str(&printed(name, command, b"")).unwrap()
}

#[test]
fn the_senders_own_libraries_agree() {
    let requests: Vec<Signed> = [sign("sign.mjs"), sign("sign.py")].into_iter().flatten().collect();
    let (application, forwarded) = application();
    let gateway = Gateway::start(&requests, application);
    let mut forged = 0;
    for request in &requests {
        let who = format!("{} for {}", request.sdk, request.provider);
        for (what, spoiled) in request.spoiled() {
            assert_eq!(gateway.post(&spoiled), 401, "{who}: {what}");
            forged += 1;
        }
        assert_eq!(gateway.post(request), 200, "{who}");
    }
    let libraries: BTreeSet<&str> = requests.iter().map(|request| request.sdk.as_str()).collect();
    let senders: BTreeSet<&str> = requests.iter().map(|request| request.provider.as_str()).collect();
    println!("{} libraries of {} senders: {libraries:?}; {forged} forgeries refused", libraries.len(), senders.len());
    assert!(libraries.len() >= 20 && senders.len() >= 20 && forged >= 70, "nothing fell out of the scripts");

    let forwarded = forwarded.lock().unwrap();
    assert_eq!(forwarded.len(), requests.len(), "all that is right was forwarded, and nothing else");
    // The libraries read what they have verified as JSON, so forms are none of theirs.
    let is_json = |forwarded: &&Forwarded| serde_json::from_str::<Value>(&forwarded.body).is_ok();
    let forwarded: Vec<&Forwarded> = forwarded.iter().filter(is_json).collect();
    let input = json!({ "secret": SECRET, "requests": forwarded }).to_string();
    for verifier in ["verify.mjs", "verify.py"] {
        let verified: usize = printed(verifier, script(verifier), input.as_bytes()).trim().parse().unwrap();
        assert_eq!(verified, 2 * forwarded.len(), "{verifier}: two libraries verify all that the gateway signed");
    }
}

impl Signed {
    /// The same with one byte of the signed part of the body changed, one of each header that signs, and without it.
    fn spoiled(&self) -> Vec<(String, Self)> {
        let copy = |headers: BTreeMap<String, String>, body: String| Self {
            headers,
            body,
            sdk: self.sdk.clone(),
            provider: self.provider.clone(),
            source: self.source.clone(),
            scheme: None,
            settings: BTreeMap::new(),
            secrets: Vec::new(),
            query: self.query.clone(),
            bound: None,
        };
        let mut spoiled = Vec::new();
        let bound = self.bound.as_deref().unwrap_or(&self.body);
        let start = self.body.find(bound).unwrap();
        for at in [0, bound.len() / 2, bound.len().saturating_sub(1)].map(|at| start + at) {
            let mut body = self.body.clone().into_bytes();
            body[at] = if body[at] == b'0' { b'1' } else { b'0' };
            let is_signed = !bound.is_empty();
            if let Some(body) = String::from_utf8(body).ok().filter(|_| is_signed) {
                spoiled.push((format!("byte {at} of the body is another"), copy(self.headers.clone(), body)));
            }
        }
        let signs = |name: &str| {
            name.contains("signature") && !name.ends_with("version") && !name.ends_with("algorithm")
                || ["authorization", "plaid-verification", "x-shopify-hmac-sha256"].contains(&name)
        };
        for (name, value) in self.headers.iter().filter(|(name, _)| signs(name)) {
            let mut headers = self.headers.clone();
            headers.insert(name.clone(), changed(value));
            spoiled.push((format!("{name} is another"), copy(headers.clone(), self.body.clone())));
            headers.remove(name);
            spoiled.push((format!("{name} is missing"), copy(headers, self.body.clone())));
        }
        spoiled
    }
}

/// The value with another letter near its end, where its signature is and no padding.
fn changed(value: &str) -> String {
    let mut bytes = value.as_bytes().to_vec();
    let at = bytes.len() - 8;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).unwrap()
}

/// `hooksieve run`, with one source for each request.
struct Gateway {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start(requests: &[Signed], application: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file: PathBuf = folder.path().join("hooksieve.toml");
        fs::write(&file, configuration(requests, application)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hooksieve"));
        command.arg("run").arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut line) = (String::new(), String::new());
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the gateway does not start:\n{said}");
            said.push_str(&line);
            let listen = line.contains("\"ready\"").then(|| line.split("\"listen\":\"").nth(1)?.split('"').next());
            if let Some(Some(listen)) = listen {
                break listen.parse().unwrap();
            }
        };
        thread::spawn(move || log.lines().for_each(drop));
        Self { child, address, _folder: folder }
    }

    /// The status of the answer.
    fn post(&self, request: &Signed) -> u16 {
        let mut head =
            format!("POST /in/{}{} HTTP/1.1\r\nhost: hooks\r\nconnection: close\r\n", request.source, request.query);
        for (name, value) in &request.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "content-length: {}\r\n\r\n{}", request.body.len(), request.body);
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(requests: &[Signed], application: SocketAddr) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"{PUBLIC_URL}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [log]\nformat = \"json\"\n[upstreams.app]\nurl = \"http://{application}/\"\nsign = {{ value = \"{SECRET}\" }}\n"
    );
    for Signed { provider, source, scheme, settings, secrets, .. } in requests {
        let secrets: Vec<_> = secrets.iter().map(|secret| format!("{{ value = {} }}", json!(secret))).collect();
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let _ = write!(
            text,
            "[sources.{source}]\npath = \"/in/{source}\"\nprovider = \"{provider}\"\nupstream = \"app\"\n\
             secrets = [{}]\nsettings = {{ {} }}\nreply = {{ unauthenticated = 401 }}\n",
            secrets.join(", "),
            settings.join(", "),
        );
        if let Some(scheme) = scheme {
            let _ = writeln!(text, "scheme = \"{scheme}\"");
        }
    }
    text
}

/// An application that takes everything, and what it got.
fn application() -> (SocketAddr, Arc<Mutex<Vec<Forwarded>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = seen.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, all) = (stream.unwrap(), all.clone());
            thread::spawn(move || serve(BufReader::new(stream), &all));
        }
    });
    (address, seen)
}

fn serve(mut stream: BufReader<TcpStream>, all: &Mutex<Vec<Forwarded>>) {
    loop {
        let (mut headers, mut line) = (BTreeMap::new(), String::new());
        while stream.read_line(&mut line).unwrap() > 2 {
            if let Some((name, value)) = line.trim_end().split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            line.clear();
        }
        let Some(length) = headers.get("content-length") else { return };
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        all.lock().unwrap().push(Forwarded { headers, body: String::from_utf8(body).unwrap() });
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}
