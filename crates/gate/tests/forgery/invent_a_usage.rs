//! A use of credentials that the gate does not know.
struct Everything;
impl gate::vault::Usage for Everything {}

fn main() {}
