//! A session kept for longer than its credential is lent.
fn forge(vault: &gate::Vault, target: &model::TargetName) -> gate::vault::Session<'static, u8> {
    let credential = vault.reader(target);
    credential.session(|secret| Ok::<_, ()>(secret[0])).unwrap()
}

fn main() {}
