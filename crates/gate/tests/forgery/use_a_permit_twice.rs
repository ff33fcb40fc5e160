//! One permit for two changes.
fn forge(permit: gate::Permit<()>) -> (gate::Permit<()>, gate::Permit<()>) {
    (permit.clone(), permit)
}

fn main() {}
