#[test]
fn a_book_comes_back() {
    assert_eq!(borrower::fine(0), 0);
}
