//! What the vault must never do.

use secrecy::{SecretSlice, SecretString};

use super::*;

const SECRET: &str = "correct-horse-battery-staple";

fn secret(text: &str) -> SecretSlice<u8> {
    SecretSlice::from(text.as_bytes().to_vec())
}

fn target() -> TargetName {
    "prod-eu".into()
}

/// What a session sees of the secret.
fn seen<U: Usage>(credential: &Credential<U>) -> String {
    let session = credential.session(|bytes| std::str::from_utf8(bytes).map(str::to_owned));
    session.map_or_else(|error| error.to_string(), |session| session.clone())
}

fn everything_in(directory: &Path) -> Vec<u8> {
    std::fs::read_dir(directory).unwrap().flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn a_secret_survives_a_restart_and_is_nowhere_on_disk_in_clear() {
    let directory = tempfile::tempdir().unwrap();
    let (file, key) = (directory.path().join("vault.json"), directory.path().join("vault.key"));
    let vault = Vault::open(&file, Unlock::KeyFile(key.clone())).unwrap();
    vault.put(&target(), Read, &secret(SECRET)).unwrap();
    assert_eq!(seen(&vault.reader(&target())), SECRET);
    drop(vault);

    let vault = Vault::open(&file, Unlock::KeyFile(key)).unwrap();
    assert_eq!(seen(&vault.reader(&target())), SECRET);
    let bytes = everything_in(directory.path());
    for spelling in [SECRET.to_owned(), base64::engine::general_purpose::STANDARD.encode(SECRET)] {
        assert!(!bytes.windows(spelling.len()).any(|window| window == spelling.as_bytes()));
    }
    use base64::Engine as _;
}

#[test]
fn the_wrong_key_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vault.json");
    let passphrase = |text: &str| Unlock::Passphrase(SecretString::from(text));
    Vault::open(&file, passphrase("right")).unwrap().put(&target(), Read, &secret(SECRET)).unwrap();
    assert!(matches!(Vault::open(&file, passphrase("wrong")), Err(VaultError::Locked)));
    let key = directory.path().join("other.key");
    assert!(matches!(Vault::open(&file, Unlock::KeyFile(key)), Err(VaultError::Locked)));
    assert_eq!(seen(&Vault::open(&file, passphrase("right")).unwrap().reader(&target())), SECRET);
}

#[test]
fn a_secret_moved_to_another_use_or_changed_by_a_bit_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let (file, key) = (directory.path().join("vault.json"), directory.path().join("vault.key"));
    let vault = Vault::open(&file, Unlock::KeyFile(key.clone())).unwrap();
    vault.put(&target(), Rehearse, &secret(SECRET)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();

    std::fs::write(&file, text.replace("prod-eu/rehearse", "prod-eu/read")).unwrap();
    let moved = Vault::open(&file, Unlock::KeyFile(key.clone())).unwrap();
    assert!(seen(&moved.reader(&target())).contains("cannot be opened"));

    let mut contents: Contents = serde_json::from_str(&text).unwrap();
    let envelope = contents.secrets.get_mut("prod-eu/rehearse").unwrap();
    let mut flipped = envelope.value.to_text().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    envelope.value = Sealed::from_text(&String::from_utf8(flipped).unwrap()).unwrap();
    std::fs::write(&file, serde_json::to_vec(&contents).unwrap()).unwrap();
    let changed = Vault::open(&file, Unlock::KeyFile(key)).unwrap();
    assert!(seen(&changed.rehearser(&target())).contains("cannot be opened"));
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let vault = Vault::in_memory().unwrap();
    vault.put(&target(), Read, &secret(SECRET)).unwrap();
    let credential = vault.reader(&target());
    let session = credential.session(|bytes| Ok::<_, VaultError>(bytes.to_vec())).unwrap();
    let failed = credential.vault.rehearser(&target()).session(|_| Ok::<(), VaultError>(())).unwrap_err();
    let printed = format!("{vault:?} {credential:?} {session:?} {failed:?} {failed}");
    assert!(!printed.contains(SECRET) && !printed.contains("99, 111, 114"), "{printed}");
    assert!(printed.contains("no credential to rehearse prod-eu"), "{printed}");
}

#[test]
fn a_session_is_built_once_and_again_when_it_is_forgotten_or_its_secret_replaced() {
    let vault = Vault::in_memory().unwrap();
    vault.put(&target(), Read, &secret("first")).unwrap();
    let mut built = 0;
    let mut ask = |vault: &Vault| {
        let credential = vault.reader(&target());
        let session = credential.session(|bytes| {
            built += 1;
            Ok::<_, VaultError>((built, bytes.len()))
        });
        *session.unwrap()
    };
    assert_eq!(ask(&vault), (1, 5));
    assert_eq!(ask(&vault), (1, 5));
    vault.reader(&target()).forget_session();
    assert_eq!(ask(&vault), (2, 5));
    vault.put(&target(), Read, &secret("second")).unwrap();
    assert_eq!(ask(&vault), (3, 6));
}

#[test]
fn a_sealed_call_opens_only_under_its_own_name() {
    let vault = Vault::in_memory().unwrap();
    let sealed = vault.seal(b"DELETE /everything", "prod-eu 7q3k").unwrap();
    assert!(!sealed.contains("DELETE"));
    assert_eq!(vault.unseal(&sealed, "prod-eu 7q3k").unwrap().expose_secret(), b"DELETE /everything");
    assert!(vault.unseal(&sealed, "prod-eu 8r4m").is_err());
}
