//! HTTP Archives (HAR 1.2): what browsers and debugging proxies save. Bodies are text there, not bytes.

use bytes::Bytes;
use data_encoding::BASE64;
use http::Uri;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Capture, Documents, Wanted, number, origin, received, several};

#[derive(Debug, Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Debug, Deserialize)]
struct Log {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Option<String>,
    request: Request,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Field>,
    post_data: Option<PostData>,
    /// -1 where the archive does not know.
    body_size: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Field {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
struct PostData {
    text: Option<String>,
    #[serde(default)]
    params: Vec<Field>,
    /// `base64` says that `text` is the bytes in base64: not in HAR 1.2, but written by those who care for bytes.
    encoding: Option<String>,
}

/// Reads one request of the archive: the one that is wanted, or the only one that was posted to the source's path.
pub(super) fn read(json: Value, wanted: Wanted<'_>) -> Result<Capture, String> {
    let Archive { log: Log { entries } } =
        serde_json::from_value(json).map_err(|error| format!("it is no HTTP Archive: {error}"))?;
    let index = choose(&entries, wanted)?;
    let entry = entries.into_iter().nth(index).expect("it was counted");
    let at = entry.started_date_time.and_then(|text| text.parse::<Timestamp>().ok());
    let Request { method, url, headers, post_data, body_size } = entry.request;
    let url: Uri = url.parse().map_err(|error| format!("the URL cannot be read: {error}"))?;
    let (body, mut remarks) = post_data.map_or_else(|| Ok((Vec::new(), Vec::new())), body)?;
    if let Some(size) = body_size.and_then(|size| usize::try_from(size).ok())
        && size != body.len()
    {
        remarks.push(format!("the archive says that the body had {size} bytes, and holds {}", body.len()));
    }
    // HTTP/2 writes the request line as headers.
    let headers = headers.into_iter().filter(|field| !field.name.starts_with(':'));
    let headers = headers.map(|field| (field.name, field.value.into_bytes()));
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let request = received(&method, target, headers, Bytes::from(body))?;
    let (form, documents) = ("an HTTP Archive", Documents::default());
    Ok(Capture { form, request, at, origin: origin(&url), documents, remarks })
}

fn choose(entries: &[Entry], wanted: Wanted<'_>) -> Result<usize, String> {
    let path = |url: &str| url.parse::<Uri>().map(|url| url.path().to_owned()).unwrap_or_default();
    let names: Vec<_> = entries.iter().map(|it| format!("{} {}", it.request.method, path(&it.request.url))).collect();
    if let Some(entry) = wanted.entry {
        return number(entry, names.len()).ok_or_else(|| several(&names));
    }
    let mut fitting = (0..entries.len()).filter(|index| path(&entries[*index].request.url) == wanted.path);
    match (fitting.next(), fitting.next()) {
        (Some(index), None) => Ok(index),
        (None, _) if entries.len() == 1 => Ok(0),
        (None | Some(_), _) => Err(several(&names)),
    }
}

fn body(data: PostData) -> Result<(Vec<u8>, Vec<String>), String> {
    let PostData { text, params, encoding } = data;
    match (text, encoding.as_deref()) {
        (Some(text), Some("base64")) => {
            let bytes = BASE64.decode(text.as_bytes()).map_err(|error| format!("`postData.text`: {error}"))?;
            Ok((bytes, Vec::new()))
        }
        (Some(text), _) => {
            let remark = "an HTTP Archive holds the body as text: line ends, byte order marks and bytes that are no UTF-8 \
                          may not be as they were on the wire";
            Ok((text.into_bytes(), vec![remark.to_owned()]))
        }
        (None, _) => {
            let remark = "the archive holds the form's fields and not its bytes: order and escapes are made up";
            Ok((form(&params).into_bytes(), vec![remark.to_owned()]))
        }
    }
}

/// Fields as a form has them.
fn form(fields: &[Field]) -> String {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let pairs = fields.iter().map(|field| format!("{}={}", encode(&field.name), encode(&field.value)));
    pairs.collect::<Vec<_>>().join("&")
}
