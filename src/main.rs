//! hooksieve, the program.

fn main() {}
