//! A commit of a permit that no journal knows.
use gate::Target;

async fn forge<T: Target>(target: &T, permit: gate::Permit<T::Call>, vault: &gate::Vault) {
    let _ = target.commit(&permit, &vault.writer(&permit)).await;
}

fn main() {}
