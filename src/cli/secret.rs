//! Secrets of the command line: as they are, or `@FILE`, which keeps them out of the list of processes.

use crate::authentication;
use crate::client::Secret;

/// Reads a secret from where an argument or a variable says.
///
/// # Errors
/// The file cannot be read, or holds no text; the error does not show the secret.
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(Secret::new(text.to_owned()));
    };
    let bytes = authentication::Secret::File(path.into()).read()?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is no UTF-8"))?;
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_text_or_what_a_file_holds() {
        assert_eq!(secret("a@b").unwrap().reveal(), "a@b");
        let path = std::env::temp_dir().join(format!("mirant-cli-secret-{}", std::process::id()));
        std::fs::write(&path, "s3\n").unwrap();
        let argument = format!("@{}", path.display());
        assert_eq!(secret(&argument).unwrap().reveal(), "s3");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(secret(&argument).unwrap_err().contains("no UTF-8"));
        std::fs::remove_file(&path).unwrap();
        assert!(secret(&argument).unwrap_err().contains("cannot be read"));
    }
}
