//! What becomes of requests, told by outages that everybody has had.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn shop(gets: f64, each: f64) -> Profile {
    Profile {
        arrivals: Arrivals::Steady(gets),
        server: Server { rate: each, seconds: 0.05, ..Server::default() },
        ..Profile::default()
    }
}

fn alone(profile: Profile, endpoints: Endpoints) -> Carried {
    let traffic = Traffic { services: BTreeMap::from([("shop".to_owned(), profile)]) };
    run(&traffic, &BTreeMap::from([("shop".to_owned(), endpoints)]), 0.0, 600.0).remove("shop").unwrap()
}

#[test]
fn what_can_be_served_is_served() {
    let carried = alone(shop(250.0, 100.0), vec![(0.0, 3)]);
    assert_eq!(carried.error_share(), 0.0);
    assert!((carried.utilisation_max - 250.0 / 300.0).abs() < 1e-9);
    assert!(carried.latency_max < 0.2, "{}", carried.latency_max);
    assert_eq!(carried.amplification, 1.0);
}

#[test]
fn with_nobody_there_everything_fails_and_only_while_it_lasts() {
    let carried = alone(shop(100.0, 100.0), vec![(0.0, 2), (60.0, 0), (120.0, 2)]);
    assert!((carried.error_share() - 0.1).abs() < 0.01, "{}", carried.error_share());
    assert!(carried.utilisation_max.is_infinite() && !carried.failing_at_end);
}

#[test]
fn a_queue_that_outgrows_the_patience_of_clients_is_work_for_nobody() {
    // 300 come, 200 are served: after 20 s the queue is 10 s long, and from then on nobody gets an answer in time.
    let carried = alone(shop(300.0, 100.0), vec![(0.0, 2)]);
    assert!(carried.error_share() > 0.9, "{}", carried.error_share());
    let answered_at = |second: f64| carried.course.iter().find(|moment| moment.at >= second).unwrap().failing;
    assert_eq!((answered_at(10.0), answered_at(60.0)), (0.0, 1.0));
}

#[test]
fn a_limit_to_what_may_wait_keeps_answers_coming() {
    let mut profile = shop(300.0, 100.0);
    profile.server.waiting_max = 50.0;
    let carried = alone(profile, vec![(0.0, 2)]);
    assert!((carried.error_share() - 1.0 / 3.0).abs() < 0.02, "{}", carried.error_share());
}

#[test]
fn retries_keep_a_service_down_after_its_cause_has_passed() {
    let dip = || vec![(0.0, 4), (60.0, 1), (120.0, 4)];
    let patient = alone(shop(300.0, 100.0), dip());
    let mut profile = shop(300.0, 100.0);
    profile.clients = Clients { timeout: 2.0, retries: 3, pause: 0.5 };
    let insistent = alone(profile, dip());
    assert!(insistent.amplification > 1.2, "{}", insistent.amplification);
    assert!(insistent.failing_at_end, "what is asked four times is more than four can serve");
    assert!(patient.error_share() < insistent.error_share());
}

#[test]
fn a_dependency_that_fails_is_felt_by_whoever_calls_it_and_costs_it_time() {
    let mut front = shop(50.0, 100.0);
    front.calls = vec![Calls::to("back", 2.0)];
    let traffic =
        Traffic { services: BTreeMap::from([("front".to_owned(), front), ("back".to_owned(), shop(0.0, 100.0))]) };
    let all = |back: Endpoints| {
        let endpoints = BTreeMap::from([("front".to_owned(), vec![(0.0, 2)]), ("back".to_owned(), back)]);
        run(&traffic, &endpoints, 0.0, 600.0)
    };
    let well = all(vec![(0.0, 2)]);
    assert_eq!(well["front"].error_share(), 0.0);
    assert!((well["back"].asked - 2.0 * well["front"].asked).abs() < 200.0);
    assert!(well["front"].latency_max > 0.1 + 0.05, "two calls of 50 ms and its own");
    let down = all(vec![(0.0, 2), (300.0, 0)]);
    assert!((down["front"].error_share() - 0.5).abs() < 0.02, "{}", down["front"].error_share());
}

#[test]
fn what_is_new_is_slow_at_first() {
    let mut profile = shop(380.0, 100.0);
    profile.server.warm_up = 60.0;
    let warm = alone(profile.clone(), vec![(0.0, 4)]);
    let replaced = alone(profile, vec![(0.0, 4), (60.0, 0), (60.5, 4)]);
    assert_eq!(warm.error_share(), 0.0);
    assert!(replaced.error_share() > 0.1, "{}", replaced.error_share());
}

#[test]
fn a_week_has_its_hours() {
    let mut hours = [10.0; WEEK_HOURS];
    hours[20] = 400.0;
    let arrivals = Arrivals::Weekly(Box::new(hours));
    assert_eq!(arrivals.at(20.0 * 3600.0), 400.0);
    assert_eq!(arrivals.at(19.5 * 3600.0), 205.0);
    assert_eq!(arrivals.at(WEEK_HOURS as f64 * 3600.0 + 60.0), 10.0);
}

#[test]
fn a_wait_is_as_erlang_says() {
    // One worker: M/M/1, W = ρ / (μ - λ).
    assert!((mean_wait(8.0, 0.1, 1) - 0.8 / 2.0).abs() < 1e-12);
    // Two workers at half load: C = 1/3, so a third of 0.1 s.
    assert!((mean_wait(10.0, 0.1, 2) - (1.0 / 3.0) * 0.1).abs() < 1e-12);
    assert!(mean_wait(20.0, 0.1, 2).is_infinite());
}

/// `app` holds twenty connections from each of its endpoints to `store`, which asks for one query a request.
fn with_store(
    app: Endpoints,
    store: Endpoints,
    connections_max: f64,
    cost: f64,
    luck: Luck,
) -> BTreeMap<String, Carried> {
    let mut front = shop(200.0, 100.0);
    front.calls = vec![Calls { connections: 20.0, ..Calls::to("store", 1.0) }];
    let mut back = shop(0.0, 400.0);
    (back.server.connections_max, back.server.connection_cost) = (connections_max, cost);
    let traffic = Traffic { services: BTreeMap::from([("app".to_owned(), front), ("store".to_owned(), back)]) };
    let endpoints = BTreeMap::from([("app".to_owned(), app), ("store".to_owned(), store)]);
    run_with(&traffic, &endpoints, 0.0, 600.0, luck)
}

#[test]
fn more_clients_than_a_database_takes_connections_from_are_clients_that_fail() {
    let scaled = |to: u64| with_store(vec![(0.0, 4), (60.0, to)], vec![(0.0, 1)], 100.0, 0.0, Luck::default());
    assert!(scaled(5)["app"].error_share() < 0.001, "but for the moment in which a new one connects");
    let many = scaled(20);
    assert!(
        (0.75..0.8).contains(&many["store"].unconnected_max),
        "a quarter of four hundred: {:?}",
        many["store"].unconnected_max
    );
    assert!(many["app"].error_share() > 0.6, "{}", many["app"].error_share());
}

#[test]
fn a_fleet_that_connects_again_at_once_keeps_its_database_from_answering() {
    let failover = vec![(0.0, 1), (60.0, 0), (75.0, 1)];
    let cheap = with_store(vec![(0.0, 10)], failover.clone(), 500.0, 0.0, Luck::default());
    let dear = with_store(vec![(0.0, 10)], failover, 500.0, 40.0, Luck::default());
    // Two hundred connections at forty requests each are twenty seconds of all that it can do.
    let failed = |carried: &BTreeMap<String, Carried>| carried["app"].failed;
    assert!(failed(&dear) > 1.5 * failed(&cheap), "{} {}", failed(&dear), failed(&cheap));
    assert!(!dear["app"].failing_at_end);
}

#[test]
fn what_a_cache_held_is_asked_of_what_it_stood_before() {
    let mut front = shop(300.0, 200.0);
    front.calls =
        vec![Calls::to("cache", 1.0), Calls { cold: 1.0, cache: Some("cache".to_owned()), ..Calls::to("store", 0.1) }];
    let mut cache = shop(0.0, 2000.0);
    (cache.server.warm_up, cache.server.cold) = (120.0, 1.0);
    let traffic = Traffic {
        services: BTreeMap::from([
            ("cache".to_owned(), cache),
            ("front".to_owned(), front),
            ("store".to_owned(), shop(0.0, 60.0)),
        ]),
    };
    let all = |cache: Endpoints| {
        let rest = [("front", vec![(0.0, 2)]), ("store", vec![(0.0, 1)]), ("cache", cache)];
        let endpoints = rest.map(|(name, course)| (name.to_owned(), course)).into_iter().collect();
        run(&traffic, &endpoints, 0.0, 600.0)
    };
    assert_eq!(all(vec![(0.0, 1)])["front"].error_share(), 0.0);
    let restarted = all(vec![(0.0, 1), (60.0, 0), (61.0, 1)]);
    assert!(restarted["store"].utilisation_max > 4.0, "{}", restarted["store"].utilisation_max);
    assert!(restarted["front"].error_share() > 0.1, "a second without a cache costs minutes");
}

#[test]
fn luck_moves_a_run_a_little_and_is_the_same_for_the_same_seed() {
    let run = |seed: Option<u64>| {
        let traffic = Traffic { services: BTreeMap::from([("shop".to_owned(), shop(295.0, 100.0))]) };
        let course = vec![(0.0, 4), (60.0, 2), (90.0, 3)];
        run_with(&traffic, &BTreeMap::from([("shop".to_owned(), course)]), 0.0, 600.0, Luck(seed))
            .remove("shop")
            .unwrap()
    };
    assert_eq!(run(Some(1)), run(Some(1)));
    let shares: Vec<f64> = (0..8).map(|seed| run(Some(seed)).error_share()).collect();
    assert!(shares.iter().any(|share| *share != shares[0]), "{shares:?}");
    let mean = shares.iter().sum::<f64>() / 8.0;
    assert!((mean - run(None).error_share()).abs() < 0.15, "{shares:?} {}", run(None).error_share());
}

fn profiles() -> impl Strategy<Value = Profile> {
    (
        1.0..2000.0f64,
        1.0..200.0f64,
        0.5..30.0f64,
        0u32..4,
        prop_oneof![Just(f64::INFINITY), 1.0..500.0f64],
        0.0..120.0f64,
    )
        .prop_map(|(gets, each, timeout, retries, waiting_max, warm_up)| {
            let mut profile = shop(gets, each);
            profile.clients = Clients { timeout, retries, pause: 1.0 };
            (profile.server.waiting_max, profile.server.warm_up) = (waiting_max, warm_up);
            profile
        })
}

fn courses() -> impl Strategy<Value = Endpoints> {
    proptest::collection::vec((0.0..600.0f64, 0u64..12), 1..6).prop_map(|mut course| {
        course.sort_by(|one, other| one.0.total_cmp(&other.0));
        course[0].0 = 0.0;
        course
    })
}

proptest! {
    #[test]
    fn no_more_fail_than_were_meant_and_none_is_sent_less_than_once(profile in profiles(), course in courses()) {
        let carried = alone(profile, course);
        prop_assert!(carried.failed >= 0.0 && carried.failed <= carried.asked);
        prop_assert!(carried.amplification >= 1.0 - 1e-9);
        prop_assert!(carried.course.iter().all(|moment| (0.0..=1.0).contains(&moment.failing) && moment.sent >= 0.0));
    }

    #[test]
    fn enough_for_the_most_that_can_be_sent_never_fails(profile in profiles()) {
        let Arrivals::Steady(gets) = profile.arrivals else { unreachable!() };
        let enough = (gets / profile.server.rate).ceil() as u64 + 1;
        let carried = alone(profile, vec![(0.0, enough * 2)]);
        prop_assert_eq!(carried.failed, 0.0);
    }

    /// In the sum over the run; clients that go on asking are left out, since who gives up sooner asks less.
    #[test]
    fn more_load_never_fails_fewer_and_more_endpoints_never_more(
        mut profile in profiles(), course in courses(), more in 1.0..3.0f64, seed in proptest::option::of(0u64..100),
    ) {
        profile.clients.retries = 0;
        let Arrivals::Steady(gets) = profile.arrivals else { unreachable!() };
        let failed = |gets: f64, course: &Endpoints| {
            let profile = Profile { arrivals: Arrivals::Steady(gets), ..profile.clone() };
            let traffic = Traffic { services: BTreeMap::from([("shop".to_owned(), profile)]) };
            let endpoints = BTreeMap::from([("shop".to_owned(), course.clone())]);
            run_with(&traffic, &endpoints, 0.0, 600.0, Luck(seed)).remove("shop").unwrap().failed
        };
        let usual = failed(gets, &course);
        prop_assert!(failed(gets * more, &course) >= usual - 1e-6 * (1.0 + usual));
        let stronger: Endpoints = course.iter().map(|(at, ready)| (*at, 2 * ready)).collect();
        prop_assert!(failed(gets, &stronger) <= usual + 1e-6 * (1.0 + usual));
    }

    #[test]
    fn the_same_comes_of_the_same(profile in profiles(), course in courses()) {
        prop_assert_eq!(alone(profile.clone(), course.clone()), alone(profile, course));
    }
}
