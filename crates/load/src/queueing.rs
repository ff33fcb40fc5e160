//! How long requests wait for a server that could serve them all.
//!
//! Knows: Erlang's formulas.
//! Does not know: time, or what happens when more comes in than can be served.

/// The mean time in the queue of an M/M/c system, in seconds: `rate` requests per second come to `workers`, each of which
/// takes `seconds` for one. Infinite if they cannot keep up.
///
/// By Erlang C, from Erlang B's recursion `B(k) = a·B(k-1) / (k + a·B(k-1))`, which needs no factorials.
pub fn mean_wait(rate: f64, seconds: f64, workers: u32) -> f64 {
    let asked = rate * seconds;
    let workers_f = f64::from(workers);
    if rate <= 0.0 || seconds <= 0.0 {
        return 0.0;
    }
    if asked >= workers_f {
        return f64::INFINITY;
    }
    let blocked = (1..=workers).fold(1.0, |blocked, k| asked * blocked / (f64::from(k) + asked * blocked));
    let busy = asked / workers_f;
    let waits = blocked / (1.0 - busy * (1.0 - blocked));
    waits * seconds / (workers_f - asked)
}
