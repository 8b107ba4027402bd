//! The child process: it runs the inputs that it is told.

use crate::{Guarded, input, targets};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    time::Instant,
};

/// The stack of the thread that reads, in bytes: what threads of Rust and of tokio have.
const STACK_BYTES: usize = 2 << 20;

/// Takes lines `target first-seed count` and answers each with `ok microseconds`
/// or `bad seed what-is-wrong`, until its input ends.
///
/// # Errors
/// Those of its pipes.
pub fn work() -> io::Result<()> {
    Guarded::keep_panics();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the worker panicked")))
}

fn serve() -> io::Result<()> {
    let mut guarded: BTreeMap<&'static str, Guarded> =
        targets::all().into_iter().map(|target| (target.name(), Guarded::new(target))).collect();
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = answer(&line, &mut guarded).ok_or_else(|| io::Error::other(format!("no job: {line}")))?;
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(line: &str, guarded: &mut BTreeMap<&'static str, Guarded>) -> Option<String> {
    let mut parts = line.split(' ');
    let guarded = guarded.get_mut(parts.next()?)?;
    let (first, count): (u64, u64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let began = Instant::now();
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let input = input(guarded.target(), seed);
        if let Err(wrong) = guarded.run(&input) {
            return Some(format!("bad {seed} {}", wrong.replace('\n', " ")));
        }
    }
    Some(format!("ok {}", began.elapsed().as_micros()))
}
