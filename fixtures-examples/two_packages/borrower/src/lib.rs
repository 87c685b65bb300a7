//! The other of the two packages: see `lender`. Its two tests run with `--workspace` or with
//! `-p borrower`.

pub fn fine(days_late: u32) -> u32 {
    days_late * 10
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_day_costs_ten() {
        assert_eq!(super::fine(1), 10);
    }
}
