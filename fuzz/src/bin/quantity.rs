//! Quantities: reading, adding, printing. What is printed is read as the same.

use std::process::ExitCode;

use cluster::quantity::Quantity;

fn main() -> ExitCode {
    fuzz::fuzz("quantity", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let Some(quantity) = Quantity::parse(text) else { return "no quantity".to_owned() };
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).unwrap_or_else(|| panic!("{text:?} is printed as {printed:?}"));
        assert_eq!(again.as_milli(), quantity.as_milli(), "{text:?} is printed as {printed:?}");
        let _ = (quantity + quantity, quantity - quantity, quantity.as_whole());
        let unit: String = printed.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        format!("a quantity of {unit}")
    })
}
