use super::*;

fn frame(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let length = (fields.len() as u32 + 1).to_ne_bytes();
    [&length[..], &[kind], &fields].concat()
}

fn all(bytes: &[u8]) -> Result<Vec<Frame>, Garbage> {
    let mut decoder = Decoder::default();
    decoder.add(bytes);
    std::iter::from_fn(|| decoder.next_frame().transpose()).take(100).collect()
}

fn number(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

#[test]
fn frames_come_out_as_they_went_in() {
    let hello = frame(kinds::HELLO, &[&number(1), &number(77), &number(61)]);
    let detached = frame(kinds::THREAD_DETACHED, &[&number(3)]);
    assert_eq!(
        all(&[hello, detached].concat()),
        Ok(vec![
            Frame::Hello { version: 1, process: 77, asks_for_stacks: 61 },
            Frame::ThreadDetached { thread: 3 },
        ])
    );
}

#[test]
fn a_stack_ends_before_the_text() {
    let stack = [&[2][..], &7u64.to_ne_bytes(), &9u64.to_ne_bytes()].concat();
    let numbers = [number(1), number(2), number(3)].concat();
    let methods = [7, 8u64].map(u64::to_ne_bytes).concat();
    let fields = [&numbers, &methods[..], &stack, b"oh"];
    let raised = frame(kinds::PANIC_RAISED, &fields);
    let (stack, message) = (vec![7, 9], b"oh".to_vec());
    let expected =
        Frame::PanicRaised { thread: 1, test: 2, panic: 3, methods: [7, 8], stack, message };
    assert_eq!(all(&raised), Ok(vec![expected]));
}

#[test]
fn what_was_before_ends_where_what_is_now_begins() {
    let states = [7, 8u64].map(u64::to_ne_bytes).concat();
    let of_static = [&number(1)[..], &number(2), &states];
    let changed = |text: &[u8]| all(&frame(kinds::STATIC_CHANGED, &[&of_static.concat(), text]));
    let (before, after) = (b"old".to_vec(), b"new".to_vec());
    let states_of = [7, 8];
    let expected = Frame::StaticChanged { test: 1, index: 2, states: states_of, before, after };
    assert_eq!(changed(b"oldnew"), Ok(vec![expected]));
    assert_eq!(changed(b"odd"), Err(Garbage::Fields(kinds::STATIC_CHANGED)));

    let of_process = [&number(1)[..], &[3], &number(2), &states];
    let changed = |text: &[u8]| all(&frame(kinds::STATE_CHANGED, &[&of_process.concat(), text]));
    let (before, after) = (b"/old".to_vec(), b"/newer".to_vec());
    let (test, what, number) = (1, 3, 2);
    let expected = Frame::StateChanged { test, what, number, states: states_of, before, after };
    assert_eq!(changed(b"\x04/old/newer"), Ok(vec![expected]));
    assert_eq!(changed(b"\x04/ol"), Err(Garbage::Fields(kinds::STATE_CHANGED)));
}

#[test]
fn bytes_may_arrive_one_by_one() {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for byte in frame(kinds::PROCESS_REAPED, &[&number(5)]).repeat(3) {
        decoder.add(&[byte]);
        frames.extend(decoder.next_frame().unwrap());
    }
    assert_eq!(frames, vec![Frame::ProcessReaped { process: 5 }; 3]);
}

#[test]
fn a_cut_off_end_is_no_error() {
    let whole = frame(kinds::LIBTEST, &[b"some text"]);
    for length in 0..whole.len() {
        assert_eq!(all(&whole[..length]), Ok(vec![]));
    }
}

#[test]
fn garbage_is_an_error() {
    assert_eq!(all(&[0; 8]), Err(Garbage::Length(0)));
    assert_eq!(all(b"{ \"type\": \"test\""), Err(Garbage::Length(u32::from_ne_bytes(*b"{ \"t"))));
    assert_eq!(all(&frame(200, &[])), Err(Garbage::Kind(200)));
    assert_eq!(all(&frame(kinds::EXITING, &[b"abc"])), Err(Garbage::Fields(kinds::EXITING)));
    assert_eq!(all(&frame(kinds::GOODBYE, &[b"x"])), Err(Garbage::Fields(kinds::GOODBYE)));
    assert_eq!(all(&frame(kinds::STACK, &[&[255; 40]])), Err(Garbage::Fields(kinds::STACK)));
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 1u64;
    for kind in 0..=255u8 {
        for length in 0..64 {
            let noise: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            let _ = all(&frame(kind, &[&noise]));
        }
    }
}
