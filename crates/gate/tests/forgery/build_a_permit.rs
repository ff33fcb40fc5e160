//! A permit for one case, built from that for another.
fn forge(case: gate::Case<()>, permit: gate::Permit<()>) -> gate::Permit<()> {
    gate::Permit { case, ..permit }
}

fn main() {}
