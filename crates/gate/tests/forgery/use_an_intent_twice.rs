//! One intent for two commits, one of them kept for later.
fn forge(intent: &gate::Intent<()>) -> gate::Intent<()> {
    intent.clone()
}

fn main() {}
