//! Tells cargo that the presets are part of the program: a new file in their folder is else not seen.

fn main() {
    println!("cargo::rerun-if-changed=presets");
    println!("cargo::rerun-if-changed=build.rs");
}
