//! The program as it is run from a shell.

use std::{
    fs,
    process::{Child, Command, Output},
};

use tempfile::TempDir;

/// Everything that the example takes from the environment.
pub(crate) const SECRETS: [(&str, &str); 7] = [
    ("APP_SIGNING_SECRET", "c3a1f0729be64d58a1d07e2fb6c94a13"),
    ("CAKEWALK_SECRET", "5b0d9c2e71f84a36b8e2d4c6fa109375"),
    ("AWORK_TOKEN", "e81c4f6a02b94d7793acd15be7f6208c"),
    ("SKILLMINE_KEY", "0f7ab3d9c52e4816b4f9e6a81d2c7350"),
    ("ELAN_SECRET", "92d6e0c7b3a84f15a7f1c8e4d5b60932"),
    ("ACME_SECRET", "7c15e9f4a6d0432b8b9de3f2c0a1864e"),
    ("SHOP_SECRET", "d40b8e72f1c64a95b3e6a7c9f25d1083"),
];

/// A folder with a configuration in it, and the program.
pub(crate) struct Shell {
    pub(crate) folder: TempDir,
    pub(crate) variables: Vec<(String, String)>,
}

impl Shell {
    pub(crate) fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hooksieve.toml"), config).unwrap();
        let variables = SECRETS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { folder, variables }
    }

    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hooksieve"));
        command.args(arguments).current_dir(&self.folder).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs a command and expects this exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.out, ran.err);
        ran
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A process that runs until it is told to stop.
pub(crate) struct Served(pub(crate) Child);

impl Served {
    /// Asks for the end as an operator would, and waits for it.
    pub(crate) fn terminate(mut self) -> i32 {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.0.wait().unwrap().code().expect("it ends by itself")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}
