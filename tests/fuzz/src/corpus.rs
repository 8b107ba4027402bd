//! Inputs that once found something: `corpus/<target>/<what it found>.hex`.

use crate::hex;
use std::{fs, io, path::Path};

/// An input that is kept.
#[derive(Debug)]
pub struct Kept {
    /// Whose input it is.
    pub target: String,
    /// The file's name without its ending.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All of them.
///
/// # Errors
/// The folder or a file cannot be read, or a file is not hexadecimal.
pub fn kept() -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"))? {
        let folder = folder?;
        let target = folder.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(folder.path())? {
            let path = file?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = hex::decode(&fs::read_to_string(&path)?)
                .ok_or_else(|| io::Error::other(format!("{} is not hexadecimal", path.display())))?;
            found.push(Kept { target: target.clone(), name, bytes });
        }
    }
    Ok(found)
}
