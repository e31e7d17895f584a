use super::*;

fn answer(status: u16, took: u64, retry_after: Option<u64>) -> Seen {
    Seen::Answer {
        status,
        took: Duration::from_millis(took),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// Sees the same for so many seconds, ten times a second.
fn seconds(adapt: &mut Adapt, now: &mut Instant, seconds: u32, seen: Seen) {
    for _ in 0..seconds * 10 {
        *now += Duration::from_millis(100);
        adapt.saw(seen, *now);
    }
}

#[test]
fn slows_down_when_asked_to_and_recovers_slowly() {
    let mut now = Instant::now();
    let mut adapt = Adapt::new(10, now);
    seconds(&mut adapt, &mut now, 2, answer(200, 5, None));
    assert_eq!((adapt.rate(), adapt.reason()), (10, None));
    assert!(adapt.saw(answer(429, 5, None), now));
    let slowed = adapt.rate();
    assert!(slowed < 10);
    assert_eq!(adapt.reason(), Some("it answered 429"));
    // What was under way already does not count again.
    assert!(!adapt.saw(answer(429, 5, None), now));
    assert_eq!(adapt.rate(), slowed);
    let mut last = slowed;
    for _ in 0..90 {
        seconds(&mut adapt, &mut now, 1, answer(200, 5, None));
        assert!(
            adapt.rate() >= last && adapt.rate() <= 10,
            "never above the cap"
        );
        last = adapt.rate();
    }
    assert_eq!((adapt.rate(), adapt.reason()), (10, None));
}

#[test]
fn waits_as_long_as_it_is_told_within_reason() {
    let now = Instant::now();
    let mut adapt = Adapt::new(10, now);
    adapt.saw(answer(503, 5, Some(7)), now);
    assert_eq!(adapt.pause(), Some(now + Duration::from_secs(7)));
    assert_eq!(
        adapt.reason(),
        Some("it answered 503 with Retry-After: 7 s")
    );
    adapt.saw(answer(429, 5, Some(1_000_000)), now);
    assert_eq!(adapt.pause(), Some(now + LONGEST_PAUSE));
}

#[test]
fn single_503s_and_failures_are_of_single_pages() {
    let mut now = Instant::now();
    let mut adapt = Adapt::new(10, now);
    for trouble in [answer(503, 5, None), Seen::Failure] {
        adapt.saw(trouble, now);
        seconds(&mut adapt, &mut now, 2, answer(200, 5, None));
        assert_eq!(adapt.rate(), 10);
    }
    seconds(&mut adapt, &mut now, 2, Seen::Failure);
    assert!(adapt.rate() < 10 && adapt.reason().unwrap().ends_with("requests failed"));
}

#[test]
fn slows_down_when_answers_take_longer_and_longer() {
    let mut now = Instant::now();
    let mut adapt = Adapt::new(100, now);
    seconds(&mut adapt, &mut now, 3, answer(200, 20, None));
    seconds(&mut adapt, &mut now, 4, answer(200, 400, None));
    assert!(adapt.rate() < 100);
    assert!(
        adapt
            .reason()
            .unwrap()
            .starts_with("its answers take 400 ms, 20 ms")
    );
}

#[test]
fn without_a_cap_it_starts_from_what_was_done() {
    let mut now = Instant::now();
    let mut adapt = Adapt::new(0, now);
    assert_eq!(adapt.rate(), 0);
    seconds(&mut adapt, &mut now, 3, Seen::Failure);
    assert!((1..=6).contains(&adapt.rate()), "{}", adapt.rate());
    adapt.set_cap(1);
    assert_eq!((adapt.rate(), adapt.cap()), (1, 1));
}
