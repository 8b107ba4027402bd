//! Files of deposits to import.

use std::{fs, path::Path};

/// What the file's columns are.
const MAPPING: &str = r#"
command = "Deposit"
aggregate = "{account}"
id = "{id}"
[fields]
cents = { column = "amount", as = "integer" }
"#;

/// A mapping's line: a row expects its account to have the version that all rows of it before give it.
pub(crate) const ORDINAL: &str = "expected_version = \"ordinal\"";

/// Writes a file of deposits (account, cents) and its mapping, which has more lines, into a folder;
/// returns the arguments that import it. A row's id is the file's name and its number.
pub(crate) fn deposits(
    folder: &Path,
    name: &str,
    more: &str,
    rows: impl IntoIterator<Item = (String, String)>,
) -> [String; 4] {
    let (file, mapping) = (folder.join(format!("{name}.csv")), folder.join(format!("{name}.toml")));
    let rows = rows.into_iter().enumerate().map(|(row, (account, cents))| format!("{name}-{row},{account},{cents}\n"));
    fs::write(&file, format!("id,account,amount\n{}", rows.collect::<String>())).unwrap();
    fs::write(&mapping, [more, MAPPING].concat()).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    ["--file".to_owned(), text(&file), "--mapping".to_owned(), text(&mapping)]
}
