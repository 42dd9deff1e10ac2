use super::*;

fn known(name: &str) -> Name {
    Name::new(name, true)
}

fn address(last: u8) -> Origin {
    Origin { address: Some(IpAddr::from([10, 0, last, 1])), browser: None }
}

fn nowhere() -> Origin {
    Origin::default()
}

// SEC-07
#[test]
fn delays_grow_and_others_dont_wait() {
    let throttle = Throttle::default();
    let now = Instant::now();
    for _ in 0..5 {
        throttle.attempt(&known("kim"), address(1), now).was_wrong();
    }
    assert_eq!(throttle.wait(&known("kim"), address(1), now), None);
    throttle.attempt(&known("kim"), address(1), now).was_wrong();
    assert_eq!(throttle.wait(&known("kim"), address(1), now), Some(Duration::from_secs(1)));
    for _ in 0..30 {
        throttle.attempt(&known("kim"), address(1), now).was_wrong();
    }
    let longest = Some(Duration::from_secs(900));
    assert_eq!(throttle.wait(&known("kim"), address(1), now), longest);
    assert_eq!(throttle.wait(&known("kim"), address(2), now), None, "the account's owner");
    assert_eq!(throttle.wait(&known("lee"), address(1), now), None, "a colleague");
    let later = now + Duration::from_secs(900);
    assert_eq!(throttle.wait(&known("kim"), address(1), later), None);
    throttle.attempt(&known("kim"), address(1), now).was_right();
    assert_eq!(throttle.wait(&known("kim"), address(1), now), None);
}

// SEC-07
#[test]
fn many_accounts_from_one_address_and_one_account_from_many_are_seen() {
    let throttle = Throttle::default();
    let now = Instant::now();
    for n in 0..60 {
        throttle.attempt(&known(&format!("agent-{n}")), address(1), now).was_wrong();
        throttle.attempt(&known("kim"), address(n + 2), now).was_wrong();
    }
    assert!(throttle.wait(&known("somebody"), address(1), now).is_some());
    // From where something wrong came already.
    throttle.attempt(&known("lee"), address(200), now).was_wrong();
    assert!(throttle.wait(&known("kim"), address(200), now).unwrap() <= ONE_ACCOUNT.longest);
}

// SEC-07
#[test]
fn nobody_is_kept_out_of_their_account_from_a_new_place_for_long() {
    let throttle = Throttle::default();
    let mut now = Instant::now();
    // Somebody guesses without end, from two addresses.
    for n in 0..200 {
        now += Duration::from_secs(20);
        throttle.attempt(&known("kim"), address(n % 2), now).was_wrong();
    }
    assert!(throttle.wait(&known("kim"), address(0), now).is_some());
    now += Duration::from_secs(1);
    assert_eq!(throttle.wait(&known("kim"), address(9), now), None);
    // Who mistypes tries again soon; whoever has many addresses in one network doesn't get far.
    let mut tries = 0;
    for n in 0..60 {
        let of_it = Origin { address: Some(IpAddr::from([10, 0, 9, n])), browser: None };
        if throttle.wait(&known("kim"), of_it, now).is_none() {
            throttle.attempt(&known("kim"), of_it, now).was_wrong();
            tries += 1;
        }
        now += ONE_TURN_IN;
    }
    assert_eq!(tries, TURNS_OF_A_NETWORK, "and of the account's own waits, which go on");
    throttle.attempt(&known("kim"), address(10), now).was_wrong();
    assert_eq!(throttle.wait(&known("kim"), address(11), now), Some(ONE_TURN_IN));
    now += ONE_TURN_IN;
    assert_eq!(throttle.wait(&known("kim"), address(11), now), None);
    // Nor does whoever hangs up again and again: it takes their own turns, and moves nobody's wait.
    let mut tries = 0;
    for _ in 0..60 {
        throttle.attempt(&known("kim"), address(0), now).was_wrong();
        if throttle.wait(&known("kim"), address(12), now).is_none() {
            drop(throttle.attempt(&known("kim"), address(12), now));
            tries += 1;
        }
        now += ONE_TURN_IN;
    }
    assert_eq!(tries, TURNS_OF_AN_ADDRESS);
    throttle.attempt(&known("kim"), address(0), now).was_wrong();
    let due = throttle.wait(&known("kim"), address(12), now);
    drop(throttle.attempt(&known("kim"), address(12), now + ONE_TURN_IN));
    assert_eq!(throttle.wait(&known("kim"), address(12), now), due);
    // Who comes with a new browser isn't kept out by a neighbour who has used up theirs.
    let neighbour = Origin { address: Some(IpAddr::from([10, 0, 40, 1])), browser: None };
    for _ in 0..9 {
        throttle.attempt(&known("kim"), neighbour, now).was_wrong();
    }
    now += ONE_TURN_IN;
    let beside = Origin { address: Some(IpAddr::from([10, 0, 40, 2])), browser: None };
    assert!(throttle.wait(&known("kim"), neighbour, now).is_some());
    assert_eq!(throttle.wait(&known("kim"), beside, now), None);
    // Also by one who hangs up again and again, which costs them nothing with this name.
    for _ in 0..2 * TURNS_OF_A_NETWORK {
        drop(throttle.attempt(&known("kim"), neighbour, now));
    }
    assert_eq!(throttle.wait(&known("kim"), beside, now), None);
    // Whoever gets in leaves the turns to the next: a new office has more than one person.
    now += Duration::from_secs(60);
    for _ in 0..9 {
        now += Duration::from_secs(60);
        throttle.attempt(&known("kim"), address(13), now).was_right();
    }
    throttle.attempt(&known("kim"), address(0), now).was_wrong();
    now += ONE_TURN_IN;
    let beside = Origin { address: Some(IpAddr::from([10, 0, 13, 77])), browser: None };
    assert_eq!(throttle.wait(&known("kim"), beside, now), None);
    // And after an hour without another nothing is left of it.
    now += FORGOTTEN_AFTER;
    for _ in 0..5 {
        assert_eq!(throttle.wait(&known("kim"), address(9), now), None);
        throttle.attempt(&known("kim"), address(9), now).was_wrong();
    }
}

// SEC-07
#[test]
fn in_the_browser_they_had_nobody_is_kept_out_by_others_and_may_guess_no_better() {
    let throttle = Throttle::default();
    let now = Instant::now();
    for n in 0..200 {
        throttle.attempt(&known("kim"), address(n), now).was_wrong();
    }
    let theirs = Origin { browser: Some([7; 16]), ..address(1) };
    assert_eq!(throttle.wait(&known("kim"), theirs, now), None);
    for _ in 0..40 {
        throttle.attempt(&known("kim"), theirs, now).was_wrong();
    }
    let wait = throttle.wait(&known("kim"), theirs, now);
    assert_eq!(wait, Some(AT_HOME.longest));
    let another = Origin { browser: Some([8; 16]), ..address(1) };
    assert_eq!(throttle.wait(&known("kim"), another, now), None);
    let later = now + AT_HOME.longest;
    throttle.attempt(&known("kim"), theirs, later).was_right();
    assert_eq!(throttle.wait(&known("kim"), theirs, later), None);
}

// SEC-07
#[test]
fn old_pages_and_strangers_keep_nobody_out() {
    let throttle = Throttle::default();
    let now = Instant::now();
    throttle.attempt(&known("kim"), address(1), now).was_right();
    for n in 0..200 {
        throttle.token_failed(address(1).address, now);
        throttle.attempt(&known("kim"), address(n + 2), now).was_wrong();
    }
    assert!(throttle.wait_of_tokens(address(1).address, now).is_some());
    for n in 0..200 {
        throttle.attempt(&known(&format!("agent-{n}")), address(1), now).was_wrong();
    }
    assert_eq!(throttle.wait(&known("kim"), address(1), now), None, "at home");
    assert!(throttle.wait(&known("lee"), address(1), now).is_some());
    for _ in 0..40 {
        throttle.attempt(&known("kim"), address(1), now).was_wrong();
    }
    let wait = throttle.wait(&known("kim"), address(1), now);
    assert!(wait.is_some_and(|wait| wait <= AT_HOME.longest), "{wait:?}");
    throttle.remember("lee", address(1).address.unwrap());
    assert_eq!(throttle.wait(&known("lee"), address(1), now), None, "from before a restart");
}

// SEC-07
#[test]
fn what_was_never_known_to_be_wrong_doesnt_count() {
    let throttle = Throttle::default();
    let now = Instant::now();
    // The host was busy, or they hung up.
    for _ in 0..40 {
        drop(throttle.attempt(&known("kim"), address(1), now));
    }
    assert_eq!(throttle.wait(&known("kim"), address(1), now), None);
    // While they are under way they do: a hundred at once aren't the first.
    let kim = known("kim");
    let under_way: Vec<Attempt<'_>> =
        (0..20).map(|_| throttle.attempt(&kim, address(1), now)).collect();
    assert!(throttle.wait(&kim, address(1), now).is_some());
    drop(under_way);
    let later = now + FORGOTTEN_AFTER;
    assert_eq!(throttle.wait(&kim, address(1), later), None);
    // Who signs in from a browser that is known, or at home, gives nothing back there, and takes nothing.
    let theirs = Origin { browser: Some([7; 16]), ..address(4) };
    for n in 0..60 {
        throttle.attempt(&known(&format!("agent-{n}")), address(4), now).was_wrong();
        throttle.attempt(&kim, theirs, now).was_right();
    }
    assert!(throttle.wait(&known("somebody"), address(4), now).is_some());
    throttle.attempt(&kim, address(5), now).was_right();
    for _ in 0..3000 {
        drop(throttle.attempt(&kim, address(5), now));
    }
    assert_eq!(throttle.wait(&known("newcomer"), address(5), now), None);
    // Where it came from it does, or one address could crowd out what is remembered of others.
    let mut tried = 0;
    for n in 0..20_000 {
        let name = Name::new(&format!("nobody-{n}"), false);
        if throttle.wait(&name, address(3), now).is_none() {
            drop(throttle.attempt(&name, address(3), now));
            tried += 1;
        }
    }
    assert_eq!(tried, ONE_ADDRESS.free + 1);
    assert!(throttle.failures.lock().unwrap().len() < 1000);
}

// OPS-11
#[test]
fn what_is_remembered_is_bounded() {
    let throttle = Throttle::default();
    let now = Instant::now();
    for n in 0..MOST_REMEMBERED as u64 + 50_000 {
        let name = format!("nobody-{n}");
        throttle
            .attempt(&Name::new(&name, n % 2 == 0), nowhere(), now + Duration::from_millis(n))
            .was_wrong();
    }
    assert!(throttle.failures.lock().unwrap().len() <= MOST_REMEMBERED);
    for n in 0..50_000_u32 {
        throttle.token_failed(Some(IpAddr::from(n.to_be_bytes())), now);
    }
    assert!(throttle.tokens.lock().unwrap().len() <= MOST_TOKENS);
}

// SEC-07
#[test]
fn at_the_longest_wait_a_hundred_at_once_are_one() {
    let throttle = Throttle::default();
    let mut now = Instant::now();
    throttle.attempt(&known("kim"), address(1), now).was_right();
    for place in [address(1), address(2)] {
        for _ in 0..40 {
            now += Duration::from_secs(1);
            throttle.attempt(&known("kim"), place, now).was_wrong();
        }
        now += ONE_ACCOUNT_FROM_ONE_ADDRESS.longest;
        let (kim, mut under_way) = (known("kim"), Vec::new());
        for _ in 0..100 {
            if throttle.wait(&kim, place, now).is_none() {
                under_way.push(throttle.attempt(&kim, place, now));
            }
        }
        assert_eq!(under_way.len(), 1);
        under_way.pop().unwrap().was_wrong();
        let wait = throttle.wait(&kim, place, now).expect("it was wrong");
        assert!(wait >= AT_HOME.longest, "{wait:?}");
    }
}

// SEC-07
#[test]
fn whoever_has_a_network_makes_nothing_forgotten_and_learns_of_nobody() {
    let throttle = Throttle::default();
    let now = Instant::now();
    let (kim, ghost) = (known("kim"), Name::new("ghost", false));
    let mut tried = 0;
    let of_network = |n: u128| {
        let address = IpAddr::from((0x2001_0db8_0001 << 80 | n << 64 | 1).to_be_bytes());
        Origin { address: Some(address), browser: None }
    };
    for name in [&kim, &ghost] {
        for _ in 0..9 {
            throttle.attempt(name, of_network(0), now).was_wrong();
        }
    }
    for n in 0..60_000 {
        let later = now + Duration::from_micros(50 * n);
        let (name, from) = (Name::new(&format!("nobody-{n}"), false), of_network(u128::from(n)));
        throttle.token_failed(from.address, later);
        if throttle.wait(&name, from, later).is_none() {
            throttle.attempt(&name, from, later).was_wrong();
            tried += 1;
        }
    }
    assert!(tried <= ONE_NETWORK.free + 9, "{tried} tried");
    let wait = throttle.wait(&kim, of_network(0), now);
    assert!(wait.is_some() && throttle.wait(&ghost, of_network(0), now) == wait);
}

// SEC-07
#[test]
fn names_that_nobody_has_are_answered_alike_and_crowd_out_nobody() {
    let throttle = Throttle::default();
    let now = Instant::now();
    let nobody = Name::new("nobody", false);
    for _ in 0..8 {
        throttle.attempt(&nobody, address(1), now).was_wrong();
        throttle.attempt(&known("kim"), address(2), now).was_wrong();
    }
    let wait = throttle.wait(&known("kim"), address(2), now);
    assert!(wait.is_some());
    assert_eq!(throttle.wait(&nobody, address(1), now), wait);
    for n in 0..60_000_u64 {
        let later = now + Duration::from_millis(n);
        throttle.attempt(&Name::new(&format!("nobody-{n}"), false), nowhere(), later).was_wrong();
    }
    assert_eq!(throttle.wait(&known("kim"), address(2), now), wait);
    assert_eq!(Name::new(&"x".repeat(100_000), false).text.len(), Name::MOST);
}
