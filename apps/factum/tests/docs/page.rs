//! The fenced blocks of a page in Markdown.

use crate::outside::checkout;
use std::fs;

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The first word after the fence, for example `rust`.
    pub(crate) language: String,
    /// The file that it is: what stands as `title="…"` after the fence.
    pub(crate) title: Option<String>,
    /// What is between the fences.
    pub(crate) text: String,
}

/// A command of a `console` block and the lines that it prints, with `…` for what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) prints: Vec<String>,
}

/// The blocks of a page of this checkout.
pub(crate) fn blocks_of(page: &str) -> Vec<Block> {
    blocks(&fs::read_to_string(checkout().join(page)).unwrap())
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let language = info.split(' ').next().unwrap_or_default().to_owned();
        let title =
            info.split_once("title=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(title, _)| title.to_owned());
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push(Block { language, title, text: inside.join("\n") + "\n" });
    }
    found
}

impl Block {
    /// The commands of a `console` block.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), prints: Vec::new() }),
                (None, Some(step)) => step.prints.push(line.to_owned()),
                (None, None) => panic!("a console block begins with `$ `, not with {line:?}"),
            }
        }
        steps
    }

    /// `text` with a `diff` block's lines changed, which must be in it exactly once.
    pub(crate) fn applied_to(&self, text: &str) -> String {
        let side = |without: char| -> String {
            let lines = self.text.lines().filter(|line| !line.starts_with(without));
            lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect()
        };
        let (old, new) = (side('+'), side('-'));
        assert_eq!(text.matches(&old).count(), 1, "once in the file:\n{old}");
        text.replacen(&old, &new, 1)
    }
}

/// Whether a line is as shown, `…` standing for any text. How wide a table is differs from run to run.
pub(crate) fn fits(shown: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (words(shown), words(line));
    let parts: Vec<&str> = shown.split('…').map(str::trim).collect();
    let [first, between @ .., last] = &parts[..] else { return line == shown };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_shown_line_fits_what_was_printed() {
    for (shown, line, expected) in [
        ("dune  is lent", "dune is  lent  ", true),
        ("dune is lent", "dune is lent to anna", false),
        ("dune … lent", "dune is lent", true),
        ("… at … #…", "accepted at 0@0 #7", true),
        ("… at … #…", "accepted at 0@0", false),
        ("dune…", "emma", false),
        ("…", "", true),
    ] {
        assert_eq!(fits(shown, line), expected, "{shown:?} {line:?}");
    }
}

#[test]
fn a_page_is_its_blocks_and_their_steps() {
    let found = blocks("Text\n```diff title=\"a.rs\"\n one\n-two\n+three\n```\n```console\n$ ls\na.rs\n$ pwd\n```\n");
    assert_eq!((found[0].language.as_str(), found[0].title.as_deref()), ("diff", Some("a.rs")));
    assert_eq!(found[0].applied_to("zero\none\ntwo\n"), "zero\none\nthree\n");
    let step = |command: &str, prints: &[&str]| Step {
        command: command.to_owned(),
        prints: prints.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(found[1].steps(), [step("ls", &["a.rs"]), step("pwd", &[])]);
}
