use super::*;

#[test]
fn a_host_that_does_not_keep_up_is_slowed() {
    let hosts = Hosts::new(2);
    let host = hosts.of(1);
    for n in 0..1000 {
        hosts.answer(1, n % 2 == 0);
    }
    assert!(host.slow_down(Duration::from_secs(2)));
    assert!(host.slow_down(Duration::from_secs(9)));
    let granted: usize = (5000..6000)
        .map(|ms| std::iter::from_fn(|| host.leave(ms * 1_000_000).ok()).count())
        .sum();
    assert!((495..=510).contains(&granted), "{granted}");
    // The other host knows nothing of it.
    let other = hosts.of(0);
    assert!((0..10_000).all(|_| other.leave(0).is_ok()));
}

#[test]
fn a_host_that_nobody_has_heard_of_waits() {
    let hosts = Hosts::new(1);
    let host = hosts.of(0);
    for now in [7, 8] {
        assert!(host.leave_carefully(now).is_ok());
        hosts.goes(0, now, true);
    }
    assert_eq!(host.leave_carefully(9), Err(7 + PATIENCE));
    for _ in 2..8 {
        assert!(host.leave_carefully(7 + PATIENCE).is_ok());
        hosts.goes(0, 7 + PATIENCE, true);
    }
    assert_eq!(host.leave_carefully(8 + PATIENCE), Err(7 + 2 * PATIENCE));
    hosts.answer(0, false);
    assert!(host.leave_carefully(9).is_ok());
}

#[test]
fn addresses_that_nobody_has_are_felt_for_a_few_at_a_time() {
    let hosts = Hosts::new(4);
    let never = || -> Option<Neighbour> { panic!("looked") };
    for target in [0, 1] {
        assert_eq!(hosts.care(target, 0, 2, never), Care::Go);
        assert!(hosts.goes(target, 1, true));
    }
    assert_eq!(hosts.care(2, 1, 2, never), Care::Later(1 + READ_EVERY));
    // The first packet has just gone.
    assert_eq!(hosts.care(0, 1, 2, never), Care::Later(1 + LOOK_AFTER));
    let silent = || Some(Neighbour::Silent);
    let later = hosts.care(0, 1 + LOOK_AFTER, 2, silent);
    assert_eq!(later, Care::Later(1 + LOOK_AFTER + READ_EVERY));
    // One of them answers: there is room for the next one, which a router takes.
    hosts.answer(1, false);
    assert_eq!(hosts.care(1, 2, 2, never), Care::Go);
    assert_eq!(hosts.care(2, 2, 2, never), Care::Go);
    assert!(hosts.goes(2, 2, true));
    let elsewhere = || Some(Neighbour::Elsewhere);
    assert_eq!(hosts.care(2, 2 + LOOK_AFTER, 2, elsewhere), Care::Go);
    // The kernel asked for the first one, found nobody, and has forgotten about it.
    assert_eq!(hosts.care(0, 1 + PATIENCE, 2, elsewhere), Care::Absent);
    assert_eq!(hosts.care(0, 0, 2, never), Care::Absent);
    assert!(hosts.of(0).absent() && !hosts.of(1).absent());
    assert_eq!(hosts.felt.load(Ordering::Relaxed), 0);
}

#[test]
fn a_host_that_has_answered_is_not_given_up() {
    let hosts = Hosts::new(2);
    hosts.answer(0, false);
    hosts.is_absent(0);
    assert!(!hosts.of(0).absent());
    assert_eq!(hosts.care(0, 0, 2, || panic!("looked")), Care::Go);
    hosts.is_absent(1);
    assert!(hosts.of(1).absent());
}

#[test]
fn where_packets_are_lost_the_kernel_asks_twice() {
    let hosts = Hosts::new(3);
    let silent = || Some(Neighbour::Silent);
    hosts.answer(2, true);
    for target in [0, 1] {
        assert!(hosts.goes(target, 1, true));
    }
    assert_eq!(
        hosts.care(0, 1 + PATIENCE, 9, silent),
        Care::Later(1 + PATIENCE)
    );
    assert_eq!(hosts.care(0, 1 + PATIENCE, 9, silent), Care::Go);
    assert!(hosts.goes(0, 1 + PATIENCE, true));
    assert_eq!(hosts.care(0, 1 + 2 * PATIENCE, 9, silent), Care::Absent);
    // The same where the kernel says so in an ICMP error.
    assert!(!hosts.is_absent(1) && !hosts.of(1).absent());
    assert!(hosts.is_absent(1) && hosts.of(1).absent());
    assert_eq!(hosts.felt.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_open_after_all_is_counted_once() {
    let hosts = Hosts::new(1);
    let host = hosts.of(0);
    assert!(!host.was_unreachable());
    host.has_no_way(Unreachable::Network);
    assert!(host.was_unreachable());
    host.silent.fetch_add(1, Ordering::Relaxed);
    let total = || {
        let tally = host.tally();
        (tally.open, tally.silent, tally.net_unreach)
    };
    host.was_open();
    assert_eq!(total(), (1, 0, 1));
    host.was_open();
    assert_eq!(total(), (2, 0, 0));
}

#[test]
fn what_is_felt_for_no_longer_makes_room() {
    let hosts = Hosts::new(4);
    for target in 0..3 {
        assert!(hosts.goes(target, 1, true));
    }
    let silent = || Some(Neighbour::Silent);
    assert!(matches!(
        hosts.care(0, 1 + LOOK_AFTER, 3, silent),
        Care::Later(_)
    ));
    // The table cannot be read any more: time decides, and nobody waits for that.
    assert_eq!(hosts.care(0, 1 + LOOK_AFTER, 3, || None), Care::Go);
    assert_eq!(hosts.felt.load(Ordering::Relaxed), 2);
    hosts.answer(1, false);
    hosts.leave_alone([0, 1, 2].into_iter());
    assert_eq!(hosts.felt.load(Ordering::Relaxed), 0);
    assert!(!hosts.is_felt(2) && hosts.care(3, 1, 1, silent) == Care::Go);
}

#[test]
fn where_the_kernel_does_not_tell_time_does() {
    let hosts = Hosts::new(1);
    hosts.goes(0, 1, false);
    assert_eq!(hosts.care(0, 1 + LOOK_AFTER, 9, || None), Care::Go);
    assert!(!hosts.goes(0, 1 + LOOK_AFTER, true));
    assert_eq!(
        hosts.care(0, 1 + LOOK_AFTER, 9, || None),
        Care::Later(1 + PATIENCE)
    );
    hosts.is_absent(0);
    assert_eq!(hosts.care(0, 0, 9, || None), Care::Absent);
}

#[test]
fn counts() {
    let hosts = Hosts::new(3);
    hosts.of(2).has_no_way(Unreachable::Host);
    hosts.of(2).has_no_way(Unreachable::Port);
    hosts.of(2).closed.fetch_add(5, Ordering::Relaxed);
    let tally = &hosts.tallies()[2];
    assert_eq!(
        (tally.closed, tally.host_unreach, tally.prohibited),
        (5, 1, 1)
    );
    assert!(!hosts.only_one());
}
