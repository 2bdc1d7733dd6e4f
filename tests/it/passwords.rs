//! Users who log in with a password, and how its hash is made.

use std::process::Output;

use crate::support::program::{ConfigFile, run, run_with, stderr};

fn hash_password(arguments: &[&str], input: &str) -> Output {
    run_with(&[&["hash-password"], arguments].concat(), input)
}

fn hash_of(input: &str) -> String {
    let output = hash_password(&["--memory", "8KiB", "--passes", "1"], input);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn a_piped_password_becomes_a_hash_that_a_server_takes() {
    let hash = hash_of("sesame\n");
    assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
    let user = |hash: &str| format!("[[user]]\nname = \"u1\"\npassword_hash = \"{hash}\"\n");
    let file = ConfigFile::new("user", &user(&hash));
    let output = run(&["check-config", file.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let costly = hash.replace("m=8,", "m=4194304,");
    for refused in ["sesame", &costly] {
        let file = ConfigFile::new("refused-user", &user(refused));
        let output = run(&["check-config", file.path()]);
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        assert!(error.contains("user[0].password_hash = \"…\": "), "{error}");
        assert!(!error.contains(refused), "{error}");
    }
}

#[test]
fn a_password_that_is_none_is_refused() {
    let long = "x".repeat(300);
    let cases: [(&[&str], &str, &str); 6] = [
        (&[], "", "the password is empty"),
        (&[], "\r\nsesame", "the password is empty"),
        (&[], &long, "the password is longer than 256 bytes"),
        (&["--memory", "7KiB"], "sesame", "the memory must be"),
        (&["--memory", "5GiB"], "sesame", "the memory must be"),
        (&["--passes", "0"], "sesame", "invalid value '0'"),
    ];
    for (arguments, input, expected) in cases {
        let output = hash_password(arguments, input);
        assert_eq!(output.status.code(), Some(2), "{expected}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}
