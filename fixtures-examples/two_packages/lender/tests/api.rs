#[test]
fn a_book_comes_back() {
    assert_eq!(lender::days_left(0, 27), 1);
}

#[test]
fn a_book_is_late() {
    assert_eq!(lender::days_left(0, 40), 0);
}
