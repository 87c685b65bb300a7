mod postgres;

use std::path::Path;

use asks_a_database::Library;

/// The library of this slot, with all of its books at home.
fn library() -> Library {
    let programs = std::env::var("POSTGRES_BIN")
        .expect("the fixtures of Cargo.toml should be there: run this with `cargo partest`");
    let library = Library::open(Path::new(&programs).join("psql"));
    library.ask("TRUNCATE loans", &[]).unwrap();
    library
}

#[test]
fn a_book_comes_back_and_is_lent_again() {
    let library = library();
    library.lend("Emma", "Ada").unwrap();
    library.take_back("Emma").unwrap();
    library.lend("Emma", "Charles").unwrap();
    assert_eq!(library.loans().unwrap(), ["Emma|Charles"]);
}

#[test]
fn a_book_is_lent_to_one_reader_only() {
    let library = library();
    library.lend("Emma", "Ada").unwrap();
    let refusal = library.lend("Emma", "Charles").unwrap_err();
    assert!(refusal.contains("duplicate key"), "{refusal}");
}

#[test]
fn a_book_that_is_not_there_is_not_lent() {
    let refusal = library().lend("Ulysses", "Ada").unwrap_err();
    assert!(refusal.contains("foreign key"), "{refusal}");
}

#[test]
fn names_may_contain_anything() {
    let library = library();
    let name = "Robert'); DROP TABLE loans; --";
    library.lend("Emma", name).unwrap();
    assert_eq!(library.loans().unwrap(), [format!("Emma|{name}")]);
}

#[test]
fn nobody_else_lends_meanwhile() {
    let library = library();
    library.lend("Emma", "Ada").unwrap();
    library.lend("Villette", "Ada").unwrap();
    library.ask("SELECT pg_sleep(0.1)", &[]).unwrap();
    assert_eq!(library.loans().unwrap(), ["Emma|Ada", "Villette|Ada"]);
}

#[test]
fn the_database_is_that_of_the_slot() {
    let name = library().ask("SELECT current_database()", &[]).unwrap();
    let slot = std::env::var("PARTEST_SLOT").unwrap();
    assert_eq!(name, [format!("library_{slot}")]);
}
