//! Argon2: hashes as text (PHC strings), and what they cost.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use bytesize::ByteSize;

/// More would be seconds for each check, whatever the memory.
pub const MAX_PASSES: u32 = 64;
/// They are computed one after the other, so more only look like more work.
pub const MAX_LANES: u32 = 64;
const SALT_LENGTH: usize = 16;

/// The hash of a password, with which one can be checked.
#[derive(Debug, Clone)]
pub struct Hash(PasswordHash);

impl Hash {
    /// Reads a hash whose check takes no more memory than this.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str, max_memory: ByteSize) -> Result<Self, String> {
        const NO_HASH: &str = "is no hash of Argon2, such as \"$argon2id$v=19$m=19456,t=2,p=1$…\"; \
                               `mirant hash-password` makes one";
        let hash = PasswordHash::new(text).map_err(|_| NO_HASH)?;
        Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| NO_HASH)?;
        let version = hash.version.ok_or(NO_HASH)?;
        Version::try_from(version).map_err(|_| NO_HASH)?;
        let params = Params::try_from(&hash).map_err(|_| NO_HASH)?;
        let is_whole = hash.hash.is_some() && hash.salt.is_some_and(|salt| salt.len() >= 8);
        if !is_whole {
            return Err(NO_HASH.to_owned());
        }
        let memory = ByteSize::kib(u64::from(params.m_cost()));
        if memory > max_memory {
            return Err(format!(
                "its check takes {memory} of memory, more than authentication.max_password_memory \
                 ({max_memory})"
            ));
        }
        if params.t_cost() > MAX_PASSES {
            return Err(format!("its check takes more than {MAX_PASSES} passes (t)"));
        }
        if params.p_cost() > MAX_LANES {
            return Err(format!("its check takes more than {MAX_LANES} lanes (p)"));
        }
        Ok(Self(hash))
    }

    /// Tells whether it is that of a password. Takes its time and memory.
    pub fn is_of(&self, password: &str) -> bool {
        let checked = Argon2::default().verify_password(password.as_bytes(), &self.0);
        checked.is_ok()
    }
}

/// What a hash costs whoever checks a password, or guesses it.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The memory.
    pub memory: ByteSize,
    /// How often it is gone through.
    pub passes: u32,
    /// In how many lanes it is parted.
    pub lanes: u32,
}

/// A cost that cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// The memory is too much or too little.
    #[error("the memory must be at least 8KiB for each lane, and at most 4GiB")]
    Memory,
    /// The passes.
    #[error("the passes must be 1 to {MAX_PASSES}")]
    Passes,
    /// The lanes.
    #[error("the lanes must be 1 to {MAX_LANES}")]
    Lanes,
    /// There was no memory, or no salt, to be had.
    #[error("the password cannot be hashed: the system has no memory or no random bytes left")]
    System,
}

/// Makes the hash of a password, with a salt of its own, as text.
///
/// # Errors
/// Nothing costs that, or the system is out of memory.
pub fn hash(password: &str, cost: Cost) -> Result<String, CostError> {
    let Cost {
        memory,
        passes,
        lanes,
    } = cost;
    if !(1..=MAX_PASSES).contains(&passes) {
        return Err(CostError::Passes);
    }
    if !(1..=MAX_LANES).contains(&lanes) {
        return Err(CostError::Lanes);
    }
    if memory > ByteSize::gib(4) {
        return Err(CostError::Memory);
    }
    let kibibytes = u32::try_from(memory.as_u64() / 1024).map_err(|_| CostError::Memory)?;
    let params = Params::new(kibibytes, passes, lanes, None).map_err(|_| CostError::Memory)?;
    let mut salt = [0; SALT_LENGTH];
    getrandom::fill(&mut salt).map_err(|_| CostError::System)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashed = argon2.hash_password_with_salt(password.as_bytes(), &salt);
    hashed
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(|_| CostError::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost {
        memory: ByteSize::kib(8),
        passes: 1,
        lanes: 1,
    };
    const ENOUGH: ByteSize = ByteSize::mib(64);

    #[test]
    fn a_hash_is_of_its_password_only() {
        let text = hash("sesame", CHEAP).expect("a hash");
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{text}");
        assert_ne!(text, hash("sesame", CHEAP).expect("another salt"));
        let hash = Hash::parse(&text, ENOUGH).expect(&text);
        for (password, expected) in [("sesame", true), ("Sesame", false), ("sesame ", false)] {
            assert_eq!(hash.is_of(password), expected, "{password}");
        }
        assert!(!hash.is_of(""));
    }

    /// Those of the tests of the reference implementation.
    #[test]
    fn hashes_of_others_are_understood() {
        let cases = [
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
            "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
        ];
        for text in cases {
            let hash = Hash::parse(text, ENOUGH).expect(text);
            assert!(hash.is_of("password"), "{text}");
            assert!(!hash.is_of("passwort"), "{text}");
        }
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        let tail = "$c29tZXNhbHQ$IDCc8b1lFtJSm8e5FmcQyPDVKJ1ZECzHkxyJ5TRXdFo";
        let cases = [
            ("sesame".to_owned(), "is no hash"),
            (String::new(), "is no hash"),
            ("$2y$10$abcdefghijklmnopqrstuv".to_owned(), "is no hash"),
            (format!("$scrypt$v=19$m=64,t=1,p=1{tail}"), "is no hash"),
            (format!("$argon2id$m=64,t=1,p=1{tail}"), "is no hash"),
            (format!("$argon2id$v=20$m=64,t=1,p=1{tail}"), "is no hash"),
            (format!("$argon2id$v=19$m=1,t=1,p=1{tail}"), "is no hash"),
            (
                "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ".to_owned(),
                "is no hash",
            ),
            ("$argon2id$v=19$m=64,t=1,p=1".to_owned(), "is no hash"),
            (
                format!("$argon2id$v=19$m=4194304,t=1,p=1{tail}"),
                "its check takes 4.0 GiB of memory, more than authentication.max_password_memory (64.0 MiB)",
            ),
            (
                format!("$argon2id$v=19$m=64,t=65,p=1{tail}"),
                "its check takes more than 64 passes",
            ),
            (
                format!("$argon2id$v=19$m=1024,t=1,p=65{tail}"),
                "its check takes more than 64 lanes",
            ),
        ];
        for (text, expected) in cases {
            let fix = Hash::parse(&text, ENOUGH).expect_err(&text);
            assert!(fix.starts_with(expected), "{text}: {fix}");
        }
    }

    #[test]
    fn a_cost_that_cannot_be_had_is_refused() {
        let cases = [
            (Cost { passes: 0, ..CHEAP }, CostError::Passes),
            (
                Cost {
                    passes: 65,
                    ..CHEAP
                },
                CostError::Passes,
            ),
            (Cost { lanes: 0, ..CHEAP }, CostError::Lanes),
            (Cost { lanes: 2, ..CHEAP }, CostError::Memory),
            (
                Cost {
                    memory: ByteSize::kib(7),
                    ..CHEAP
                },
                CostError::Memory,
            ),
            (
                Cost {
                    memory: ByteSize::gib(5),
                    ..CHEAP
                },
                CostError::Memory,
            ),
        ];
        for (cost, expected) in cases {
            assert_eq!(hash("sesame", cost), Err(expected), "{cost:?}");
        }
    }
}
