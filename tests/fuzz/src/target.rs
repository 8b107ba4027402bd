//! What is fed with bytes.

use crate::Draw;

/// A reader of bytes from outside.
pub trait Target {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// How many inputs it gets where others get 100: fewer where one takes long.
    fn share(&self) -> u64 {
        100
    }

    /// A valid encoding of something.
    fn example(&self, draw: &mut Draw) -> Vec<u8>;

    /// Words of its language, put between the bytes now and then.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads an input, and what was read again after it was written.
    ///
    /// # Errors
    /// What does not hold. A refusal of the input is none.
    fn run(&mut self, input: &[u8]) -> Result<(), String>;
}

/// An error unless both are equal.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?} became {right:?}")) }
}
