//! A shell in which a page's commands are run, one after the other.

use crate::page::{Step, fits};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Long enough to build the project on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);
/// Long enough for a program in the background, which is built, to say that it is ready.
const READY: Duration = Duration::from_secs(240);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Stands before a command's exit code.
const DONE: &str = "@@ done ";

/// A shell with its own processes, which end with it.
pub(crate) struct Shell {
    child: Child,
    input: ChildStdin,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Shell {
    /// Starts `bash` as prepared.
    pub(crate) fn start(mut bash: Command) -> Self {
        bash.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = bash.spawn().unwrap();
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        input.write_all(b"exec 2>&1\n").unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = printed.clone();
        // It ends with the last process that holds the shell's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Shell { child, input, printed }
    }

    /// Runs a step and compares what it prints. One that is shown with an error must
    /// fail, every other one succeed; one that ends in `&` goes on in the background.
    pub(crate) fn run(&mut self, step: &Step) {
        let begin = self.printed.lock().unwrap().len();
        writeln!(self.input, "{{ {}\n}} </dev/null\nprintf '\\n{DONE}%s\\n' $?", step.command).unwrap();
        let background = step.command.ends_with('&');
        let deadline = Instant::now() + if background { READY } else { DEADLINE };
        loop {
            let printed = self.printed.lock().unwrap()[begin..].to_vec();
            let code = printed.iter().find_map(|line| line.strip_prefix(DONE));
            let missing = step.prints.iter().find(|shown| !printed.iter().any(|line| fits(shown, line)));
            let told = || format!("$ {}\n{}", step.command, printed.join("\n"));
            match (code, missing) {
                (Some(code), None) => {
                    let fails = step.prints.iter().any(|line| line.starts_with("error"));
                    return assert_eq!(code != "0", fails, "the exit code is {code}: {}", told());
                }
                (Some(_), Some(missing)) if !background => panic!("not printed: {missing}\n{}", told()),
                _ => assert!(Instant::now() < deadline, "not in time: {}", told()),
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The shell and what it left in the background are one process group; that they are gone already is fine.
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status().ok();
        self.child.wait().ok();
    }
}
