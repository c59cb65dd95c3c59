//! hooksieve, the program: hands the words of the command line to `cli`, and its outcome to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    hooksieve::cli::main()
}
