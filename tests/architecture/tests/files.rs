//! What holds for every file.
#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file is one noun; a longer one is split.
const MAX_LINES: usize = 600;

/// Folders that are not the project's sources.
const NOT_SOURCES: &[&str] = &["target", ".git"];

fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// The text files of the project, by their path from its root.
fn files() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if NOT_SOURCES.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 100, "only {} files were found", found.len());
    found
}

/// Whether `text` names a path below one of the folders that hold a person's or a machine's own things.
fn absolute_path(text: &str) -> Option<&str> {
    // In two parts, or this file would name them itself.
    let private = [("/ho", "me/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/Us", "ers/"), ("C:\\Us", "ers")];
    private.into_iter().find_map(|(begin, end)| {
        let folder = format!("{begin}{end}");
        text.match_indices(&folder).find_map(|(at, _)| {
            // `core/src/view/work/…` is a path within the project.
            let inner = text[..at].ends_with(|before: char| before.is_alphanumeric() || "-_.}".contains(before));
            (!inner).then(|| text[at..].lines().next().unwrap_or_default())
        })
    })
}

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<String> = files()
        .into_iter()
        .filter(|(path, text)| path.ends_with(".rs") && text.lines().count() > MAX_LINES)
        .map(|(path, text)| format!("{path} has {} lines", text.lines().count()))
        .collect();
    assert_eq!(long, Vec::<String>::new(), "the limit is {MAX_LINES} lines");
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let wrong: Vec<String> =
        files().iter().filter_map(|(path, text)| absolute_path(text).map(|found| format!("{path}: {found}"))).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_absolute_path_is_told_from_one_within_the_project() {
    let private = ["/ho", "me/somebody/x"].concat();
    assert_eq!(absolute_path(&format!("see {private}\nmore")), Some(private.as_str()));
    assert_eq!(absolute_path(&["core/src/wo", "rk/mod.rs"].concat()), None);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let without: Vec<String> = files()
        .into_iter()
        .filter(|(path, text)| {
            path.ends_with("Cargo.toml")
                && text.contains("[package]")
                && !text.contains("\n[lints]\nworkspace = true\n")
        })
        .map(|(path, _)| path)
        .collect();
    assert_eq!(without, Vec::<String>::new());
}

/// The code without its layout: the page is narrower than the source.
fn tokens(code: &str) -> String {
    let dense: String = code.split_whitespace().collect();
    dense.replace(",}", "}").replace(",)", ")").replace(",]", "]")
}

#[test]
fn the_readme_shows_the_example_that_is_compiled_and_tested() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let readme = read("README.md");
    let shown =
        readme.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```\n")).expect("a block of Rust").0;
    assert_eq!(tokens(shown), tokens(&read("examples/account.rs")), "README.md shows examples/account.rs");
}

#[test]
fn the_import_page_is_the_help_of_the_import() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (source, page) = (read("src/import/mod.rs"), read("docs/import.md"));
    let help = source.split_once("pub const HELP: &str = r#\"").and_then(|(_, rest)| rest.split_once("\"#;"));
    let help = help.expect("src/import/mod.rs holds HELP").0;
    assert!(page.contains(&format!("```text\n{help}```\n")), "copy HELP into docs/import.md");
}
