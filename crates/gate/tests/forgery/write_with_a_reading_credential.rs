//! A commit with a credential that anyone can have.
use gate::Target;

async fn forge<T: Target>(target: &T, intent: &gate::Intent<T::Call>, vault: &gate::Vault) {
    let _ = target.commit(intent, &vault.reader(target.name())).await;
}

fn main() {}
