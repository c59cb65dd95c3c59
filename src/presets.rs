//! The presets, as they lie in `presets/`: a TOML file for each sender, its schemas in a folder beside it, and sample
//! bodies in a folder there. Data only; no code anywhere asks for a preset by name.

use include_dir::{Dir, include_dir};

static PRESETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/presets");

/// All presets: id and text, in the order of their ids.
pub fn all() -> Vec<(&'static str, &'static str)> {
    let toml = |file: &'static include_dir::File<'static>| {
        let id = file.path().file_name()?.to_str()?.strip_suffix(".toml")?;
        Some((id, file.contents_utf8()?))
    };
    let mut presets: Vec<_> = PRESETS.files().filter_map(toml).collect();
    presets.sort_unstable();
    presets
}

/// The text of one preset.
pub fn text(id: &str) -> Option<&'static str> {
    all().into_iter().find(|(known, _)| *known == id).map(|(_, text)| text)
}

/// The schemas of one preset: event type (or `envelope`) and text.
pub fn schemas(id: &str) -> Vec<(String, &'static str)> {
    json(PRESETS.get_dir(id))
}

/// The sample bodies of one preset, event type and text, in the order of the types. `${now}`, `${uuid}` and `${hex}`
/// stand in them for what is different in every event.
pub fn samples(id: &str) -> Vec<(String, &'static str)> {
    let mut samples = json(PRESETS.get_dir(format!("{id}/samples")));
    samples.sort_unstable();
    samples
}

fn json(folder: Option<&'static Dir<'static>>) -> Vec<(String, &'static str)> {
    let json = |file: &'static include_dir::File<'static>| {
        let name = file.path().file_name()?.to_str()?.strip_suffix(".json")?;
        Some((name.to_owned(), file.contents_utf8()?))
    };
    folder.into_iter().flat_map(Dir::files).filter_map(json).collect()
}
