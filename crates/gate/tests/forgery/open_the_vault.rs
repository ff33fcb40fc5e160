//! A secret taken out of the vault.
fn forge(vault: &gate::Vault) {
    let _ = vault.reveal("prod-eu/write");
}

fn main() {}
