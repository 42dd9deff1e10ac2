//! The simulator against a reference of thirty lines: the same customers wait equally long, to the
//! millisecond. (`make bench` plays tens of millions of customers and compares with Erlang C and
//! Cobham's formula.)

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use cordboard_core::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config;
use crate::simulate::recorded::Recorded;
use crate::simulate::traffic::exponential;
use crate::simulate::{Figures, Traffic, run};

/// A customer: when, for how long, how urgent.
type Customer = (i64, i64, bool);

/// A hall of `agents`; whoever is urgent goes first, and who came first among equals.
fn reference(customers: &[Customer], agents: usize) -> Vec<(bool, i64)> {
    let mut idle = agents;
    let mut busy: BinaryHeap<Reverse<i64>> = BinaryHeap::new();
    let mut waiting: BTreeSet<(bool, usize)> = BTreeSet::new();
    let mut waits = vec![(false, 0); customers.len()];
    let mut free_until = |until: i64,
                          waiting: &mut BTreeSet<(bool, usize)>,
                          idle: &mut usize,
                          busy: &mut BinaryHeap<Reverse<i64>>| {
        while let Some(Reverse(at)) = busy.peek().copied().filter(|Reverse(at)| *at < until) {
            busy.pop();
            match waiting.pop_first() {
                None => *idle += 1,
                Some((_, next)) => {
                    waits[next] = (customers[next].2, at - customers[next].0);
                    busy.push(Reverse(at + customers[next].1));
                }
            }
        }
    };
    let mut at_once = Vec::new();
    for (index, (at, handling, urgent)) in customers.iter().enumerate() {
        free_until(*at, &mut waiting, &mut idle, &mut busy);
        if idle > 0 {
            idle -= 1;
            busy.push(Reverse(at + handling));
            at_once.push((index, *urgent));
        } else {
            waiting.insert((!urgent, index));
        }
    }
    free_until(i64::MAX, &mut waiting, &mut idle, &mut busy);
    for (index, urgent) in at_once {
        waits[index] = (urgent, 0);
    }
    waits
}

fn customers(per_minute: f64, handling: f64, count: usize, urgent: f64) -> Vec<Customer> {
    let mut rng = StdRng::seed_from_u64(42);
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            at += exponential(&mut rng, 60_000.0 / per_minute);
            let handling = exponential(&mut rng, handling * 60_000.0).round() as i64;
            (at.round() as i64, handling, rng.random_bool(urgent))
        })
        .collect()
}

/// The same customers through the real machines; urgent ones write so, and a rule sees it.
fn simulated(customers: &[Customer], agents: usize) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let names = (0..agents).map(|n| {
        format!("(id: \"agent-{n}\", queues: [\"calls\", \"urgent\"], capacity: (messaging: 1)),")
    });
    let text = format!(
        r#"(
        channels: [(id: "line", plugin: "none", workstream: "work")],
        workstreams: [(id: "work", kind: messaging, queue: "calls", wrap_up: Never, offer_timeout: "1d",
            inactivity: "10d", rules: [(name: "urgent", when: [Text(Is("urgent"))], priority: 1)])],
        queues: [(id: "calls"), (id: "urgent")],
        agents: [{}],
    )"#,
        names.collect::<String>()
    );
    std::fs::write(folder.path().join("a.ron"), text).unwrap();
    let config = config::load(folder.path()).unwrap();
    let mut traffic = Traffic::default();
    let begins = traffic.begins_at;
    traffic.recorded = customers
        .iter()
        .map(|(at, handling, urgent)| Recorded {
            at: Timestamp(begins + at),
            channel: "line".into(),
            text: if *urgent { "urgent" } else { "" }.into(),
            country: None,
            handling: Some(Span(*handling)),
        })
        .collect();
    traffic.length = config::Duration(Span(customers.last().unwrap().0 + 100_000_000));
    run(&config, &traffic, |_| {})
}

fn sorted(mut waits: Vec<u32>) -> Vec<u32> {
    waits.sort_unstable();
    waits
}

// OPS-07 ROUTE-03
#[test]
fn the_same_customers_wait_equally_long_as_in_the_reference() {
    // Light, the usual one, and heavy: load 0.5, 0.89, 0.98.
    for (per_minute, handling, agents) in [(2.0, 5.0, 20), (8.0, 5.0, 45), (1.96, 5.0, 10)] {
        let customers = customers(per_minute, handling, 6_000, 0.0);
        let expected = reference(&customers, agents).into_iter().map(|(_, ms)| ms as u32);
        let figures = simulated(&customers, agents);
        let found = figures.queues["calls"].waits.clone();
        assert_eq!(found.len(), customers.len());
        assert_eq!(sorted(found), sorted(expected.collect()), "{agents} agents");
    }
}

// OPS-07 ROUTE-03
#[test]
fn urgent_customers_overtake_exactly_as_in_the_reference() {
    let customers = customers(1.8, 5.0, 6_000, 0.3);
    let expected = reference(&customers, 10);
    let figures = simulated(&customers, 10);
    let all = expected.iter().map(|(_, ms)| *ms as u32).collect();
    assert_eq!(sorted(figures.queues["calls"].waits.clone()), sorted(all));
    let mean = |urgent: bool| {
        let waits: Vec<i64> =
            expected.iter().filter(|(u, _)| *u == urgent).map(|(_, ms)| *ms).collect();
        waits.iter().sum::<i64>() as f64 / waits.len() as f64
    };
    assert!(mean(true) < mean(false) / 3.0, "they do overtake");
}

/// Mean absolute error of somebody who knows how fast the hall works on average and how many stand
/// before whom: nobody can do better in the long run.
fn error_of_who_knows(customers: &[Customer], handling: f64, agents: usize) -> f64 {
    let waits = reference(customers, agents);
    let begins: Vec<i64> = customers.iter().zip(&waits).map(|(c, (_, wait))| c.0 + wait).collect();
    let each = handling * 60.0 / agents as f64;
    let mut errors = Vec::new();
    for (index, (at, ..)) in customers.iter().enumerate() {
        let before = begins[..index].iter().filter(|begin| *begin > at).count();
        if waits[index].1 > 0 {
            let wait = waits[index].1 as f64 / 1000.0;
            errors.push((each * (before + 1) as f64 - wait).abs());
        }
    }
    errors.iter().sum::<f64>() / errors.len() as f64
}

// ROUTE-16
#[test]
fn the_estimated_wait_is_nearly_as_good_as_can_be() {
    for (per_minute, handling, agents) in [(8.0, 5.0, 45), (1.8, 5.0, 10), (1.96, 5.0, 10)] {
        let customers = customers(per_minute, handling, 6_000, 0.0);
        let figures = simulated(&customers, agents);
        let (error, _) = figures.queues["calls"].estimate_error().unwrap();
        let best = error_of_who_knows(&customers, handling, agents);
        let times = error / best;
        println!(
            "{agents} agents, {per_minute} a minute: off by {error:.1} s, at best {best:.1} s: {times:.2}"
        );
        assert!(times < 1.1, "{times}");
    }
}

// ROUTE-16
#[test]
fn the_estimated_wait_is_near_the_real_one_in_a_steady_queue() {
    let customers = customers(1.96, 5.0, 6_000, 0.0);
    let figures = simulated(&customers, 10);
    let queue = &figures.queues["calls"];
    let (error, bias) = queue.estimate_error().unwrap();
    let mean = queue.mean_wait();
    println!("mean wait {mean:.0} s, estimate off by {error:.0} s, bias {bias:.0} s");
    assert!(error < mean / 2.0 && bias.abs() < mean / 4.0, "{error} and {bias} of {mean}");
}
