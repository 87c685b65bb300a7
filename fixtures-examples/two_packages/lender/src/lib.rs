//! One of two packages whose integration tests are both called `api`; this one is the workspace's
//! default member.
//!
//! Under `cargo partest` its three tests run and pass; with `--workspace` those of `borrower` too,
//! and both tests `a_book_comes_back` have their own verdict: their ids begin with the package,
//! `lender::api::a_book_comes_back` and `borrower::api::a_book_comes_back`.

pub fn days_left(lent_on: u32, today: u32) -> u32 {
    28_u32.saturating_sub(today - lent_on)
}

#[cfg(test)]
mod tests {
    #[test]
    fn four_weeks_at_first() {
        assert_eq!(super::days_left(3, 3), 28);
    }
}
