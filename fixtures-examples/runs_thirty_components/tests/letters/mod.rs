//! The tests, which are the same for a system of threads and for one of processes.

mod post;

use runs_thirty_components::OFFICES;

use post::post;

#[test]
fn a_letter_to_the_next_office_makes_one_step() {
    post().send(3, 4, "ada", "hello");
    assert_eq!(post().collect(4, "ada", 1), ["hello/1"]);
}

#[test]
fn a_letter_to_the_office_before_goes_round() {
    post().send(17, 16, "blaise", "bonjour");
    assert_eq!(post().collect(16, "blaise", 1), ["bonjour/29"]);
}

#[test]
fn a_letter_within_an_office_stays_there() {
    post().send(8, 8, "charles", "hello");
    assert_eq!(post().collect(8, "charles", 1), ["hello/0"]);
}

#[test]
fn a_letter_is_collected_once() {
    post().send(0, 5, "emmy", "guten-tag");
    assert_eq!(post().collect(5, "emmy", 1), ["guten-tag/5"]);
    assert_eq!(post().collect(5, "emmy", 0), [""; 0]);
}

#[test]
fn every_office_reaches_every_other() {
    for from in 0..OFFICES {
        for to in (0..OFFICES).step_by(7) {
            post().send(from, to, "everybody", &from.to_string());
        }
    }
    for to in (0..OFFICES).step_by(7) {
        let mut letters = post().collect(to, "everybody", OFFICES);
        letters.sort();
        let steps = |from: usize| (to + OFFICES - from) % OFFICES;
        let mut expected: Vec<String> = (0..OFFICES).map(|f| format!("{f}/{}", steps(f))).collect();
        expected.sort();
        assert_eq!(letters, expected, "at office {to}");
    }
}

#[test]
fn letters_of_one_sender_keep_their_order() {
    let texts = ["one", "two", "three", "four"];
    texts
        .iter()
        .for_each(|text| post().send(29, 1, "grace", text));
    let letters = post().collect(1, "grace", texts.len());
    assert_eq!(letters, texts.map(|text| format!("{text}/2")));
}

#[test]
fn thirty_offices_are_open() {
    for number in 0..OFFICES {
        let (answered, process) = post().who(number);
        assert_eq!(answered, number);
        // In `FIXTURE_LOG`, for whoever wants to know whether these are threads or processes.
        let binary = module_path!().split("::").next().unwrap();
        runs_thirty_components::system::log(binary, &process);
    }
}
