//! A permit issued by whoever has a case.
fn forge(case: gate::Case<()>) {
    let _ = gate::Permit::issue(case, gate::Mode::Observe, None, None, false);
}

fn main() {}
