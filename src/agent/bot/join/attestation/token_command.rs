//! Runs the command that prints an ID token, for the join method `generic_oidc`.
//!
//! The command runs without a shell, with the environment of the agent, and writes its errors to the agent's standard error.
//! Neither its output nor its arguments, which may contain secrets, appear in a log line or an error.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::error::{AttestationError, CommandProblem, MAX_BYTES, RequestContext};
use super::jwt::Jwt;
use crate::agent::platform::Environment;
use crate::untrusted::escape;

const HINT: &str = "run the command as the agent's user, in its environment: it must print an ID token and exit with status 0; \
                    the restrictions of a systemd unit apply to it as well";

/// A command that prints an ID token.
pub(super) struct TokenCommand {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// The time after which the command is killed.
    pub(super) timeout: Duration,
}

/// The process group of a running command. Dropping it kills every process in the group.
struct ProcessGroup(Option<Pid>);

impl TokenCommand {
    /// Runs the command, and returns the ID token that it prints. If dropped, kills the command.
    pub(super) async fn run(&self, environment: &Environment) -> Result<Jwt, AttestationError> {
        let context = RequestContext::id_token(HINT);
        let program = escape(&self.program).to_string();
        let failed = |problem| context.command_failed(&program, problem);
        let run = tokio::time::timeout(self.timeout, self.output(environment));
        let output = run.await.unwrap_or(Err(CommandProblem::TimedOut(self.timeout))).map_err(failed)?;
        let location = format!("the output of {program}");
        match std::str::from_utf8(&output) {
            Ok(token) => Jwt::parse(token, context, location),
            Err(_) => Err(context.malformed(location, "it is not UTF-8")),
        }
    }

    /// Returns what the command prints before it exits with success, up to one byte more than [`MAX_BYTES`].
    async fn output(&self, environment: &Environment) -> Result<Vec<u8>, CommandProblem> {
        let mut child = self.spawn(environment).map_err(CommandProblem::NotStarted)?;
        // Dropped before `child`, and not used after the wait, so that the id cannot belong to other processes.
        let mut group = ProcessGroup::of(&child);
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(MAX_BYTES as u64 + 1);
            stdout.read_to_end(&mut output).await.map_err(CommandProblem::Unreadable)?;
        }
        if output.len() > MAX_BYTES {
            return Ok(output);
        }
        let status = child.wait().await.map_err(CommandProblem::Unreadable)?;
        group.0 = None;
        if status.success() { Ok(output) } else { Err(CommandProblem::Failed(status)) }
    }

    fn spawn(&self, environment: &Environment) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(environment.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0);
        if let Some(home) = environment.get_os("HOME") {
            command.current_dir(home);
        }
        command.spawn()
    }
}

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // Fails only if every process has ended.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::fs::{Mode, OFlags};

    use super::*;

    const TOKEN: &str = "head.hunter1.hunter2";

    async fn run_in(home: &Path, script: &str, timeout: Duration) -> Result<Jwt, AttestationError> {
        let variables = [("HOME", home.to_str().unwrap()), ("PATH", "/usr/bin:/bin"), ("TOKEN", TOKEN)];
        let arguments = ["-c", script, "sh", "hunter3"].map(str::to_owned).to_vec();
        let command = TokenCommand { program: "sh".to_owned(), arguments, timeout };
        command.run(&variables.into_iter().collect()).await
    }

    async fn run(script: &str) -> Result<Jwt, AttestationError> {
        let home = tempfile::tempdir().unwrap();
        run_in(home.path(), script, Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn a_command_runs_in_the_home_directory_with_the_agents_environment() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("file"), TOKEN).unwrap();
        let limit = Duration::from_secs(60);
        for script in ["cat file", "echo \" $TOKEN\n\"", "printenv TOKEN; cat"] {
            let token = run_in(home.path(), script, limit).await.unwrap();
            assert_eq!(token.expose(), TOKEN, "{script}");
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_or_prints_no_token_is_an_error_without_its_output() {
        for (script, expected) in [
            ("echo $TOKEN; exit 3", "it failed with exit status: 3"),
            ("echo $TOKEN; kill -9 $$", "it failed with signal: 9 (SIGKILL)"),
            ("true", "it is empty"),
            ("echo hunter2", "a JWT has three base64url parts, separated by dots"),
            ("printf '\\377'", "it is not UTF-8"),
            ("yes hunter2", "it is larger than 64 KiB"),
        ] {
            let error = run(script).await.unwrap_err();
            let message = format!("{error} {error:?} {:?}", error.hint());
            assert!(error.to_string().contains(expected), "{script}: {error}");
            assert!(!message.contains("hunter"), "{message}");
        }
        let missing = TokenCommand {
            program: "/does/not/exist".to_owned(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        let error = missing.run(&Environment::default()).await.unwrap_err();
        let AttestationError::Command { problem: CommandProblem::NotStarted(error), .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_the_processes_that_it_started() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("pipe");
        let created = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(created.success());
        // Without blocking, because there is no writer yet.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let reader = rustix::fs::open(&pipe, flags, Mode::empty()).unwrap();
        let script = "(sleep 20; echo alive) > pipe & wait";
        let error = run_in(home.path(), script, Duration::from_millis(200)).await.unwrap_err();
        assert!(
            matches!(error, AttestationError::Command { problem: CommandProblem::TimedOut(_), .. }),
            "{error:?}"
        );
        // The pipe ends when the last process that has opened it ends.
        rustix::fs::fcntl_setfl(&reader, OFlags::empty()).unwrap();
        let written = std::io::read_to_string(std::fs::File::from(reader)).unwrap();
        assert_eq!(written, "");
    }
}
