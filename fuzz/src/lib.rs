//! Throws twisted input at a decoder for a while, and tells what broke it.
//!
//! Knows: seeds, how to twist them, and what to keep: an input whose outcome no other had.
//! Does not know: what is decoded.
//!
//! Without the compiler's help it does not see which branches were taken. In its place every target says what came of an
//! input in a few words ([`Outcome`]); an input that leads to new words is twisted further. That needs no nightly compiler
//! and no other program, and reaches deep because error messages of a decoder are about as fine as its branches.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::Value;

/// What came of an input, in words that are the same for inputs that took the same way.
pub type Outcome = String;

/// Inputs are kept shorter than this, so that many can be tried.
const BYTES_MAX: usize = 64 * 1024;
/// So many inputs are kept.
const KEPT_MAX: usize = 4000;
/// A single input that takes longer is a finding of its own, and is not waited for much longer than that.
const SLOW: Duration = Duration::from_secs(5);

/// Pseudo-random numbers (SplitMix64): the same seed, the same run.
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.roll() % end as u64) as usize }
    }
}

/// Runs a target as the command line says: `--inputs N` or `--seconds N`, `--seed N`, or the names of files to try once.
///
/// `body` panics if something is wrong with what the input leads to.
pub fn fuzz(name: &str, body: impl Fn(&[u8]) -> Outcome) -> ExitCode {
    let (mut seconds, mut inputs, mut seed, mut files) = (None, None, 1, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        match argument.as_str() {
            "--seconds" => seconds = Some(number()),
            "--inputs" => inputs = usize::try_from(number()).ok(),
            "--seed" => seed = number(),
            _ => files.push(PathBuf::from(argument)),
        }
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let now = Arc::new(Mutex::new((Instant::now(), Vec::new())));
    let mut run = Run { name, body, home, seen: BTreeSet::new(), kept: Vec::new(), tried: 0, now: Arc::clone(&now) };
    if !files.is_empty() {
        return files
            .iter()
            .map(|file| run.attempt(&std::fs::read(file).expect("a file")))
            .max()
            .map_or(ExitCode::SUCCESS, |worst| if worst { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    watch(home.join("found").join(name), now);
    // A panic is told once, with the input that led to it.
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = seeds(&home.join("seeds").join(name));
    assert!(!seeds.is_empty(), "no seeds for {name}");
    let words = words(&seeds);
    if inputs.is_none() && seconds.is_none() {
        seconds = Some(10);
    }
    let (mut dice, end) = (Dice::new(seed), seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)));
    for input in &seeds {
        if run.attempt(input) {
            return ExitCode::FAILURE;
        }
    }
    run.kept.extend(seeds);
    while end.is_none_or(|end| Instant::now() < end) && inputs.is_none_or(|inputs| run.tried < inputs) {
        let input = twist(&run.kept, &words, &mut dice);
        if run.attempt(&input) {
            return ExitCode::FAILURE;
        }
    }
    println!("{name}: {} inputs, {} outcomes, nothing broke", run.tried, run.seen.len());
    ExitCode::SUCCESS
}

struct Run<'a, F> {
    name: &'a str,
    body: F,
    home: &'a Path,
    seen: BTreeSet<Outcome>,
    kept: Vec<Vec<u8>>,
    tried: usize,
    /// What is tried now, and since when.
    now: Arc<Mutex<(Instant, Vec<u8>)>>,
}

/// Ends the process if an input never comes to an end.
fn watch(folder: PathBuf, now: Arc<Mutex<(Instant, Vec<u8>)>>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = now.lock().expect("nobody panics with it");
            if now.0.elapsed() > 2 * SLOW {
                println!("{}", keep(&folder, &now.1, "it takes for ever"));
                std::process::exit(1);
            }
        }
    });
}

/// Keeps an input that broke something, and says so.
fn keep(folder: &Path, input: &[u8], why: &str) -> String {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let file = folder.join(format!("{:016x}", input.iter().fold(0, hash)));
    let kept = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, input));
    let place = kept.map_or_else(|error| error.to_string(), |()| file.display().to_string());
    format!("{why}\n  the input: {place}")
}

impl<F: Fn(&[u8]) -> Outcome> Run<'_, F> {
    /// Tries an input; whether it broke something.
    fn attempt(&mut self, input: &[u8]) -> bool {
        self.tried += 1;
        let begin = Instant::now();
        *self.now.lock().expect("nobody panics with it") = (begin, input.to_vec());
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.body)(input)));
        let broken = match outcome {
            Ok(outcome) => {
                if self.kept.len() < KEPT_MAX && input.len() < BYTES_MAX && self.seen.insert(blur(&outcome)) {
                    self.kept.push(input.to_vec());
                }
                let slow = begin.elapsed() > SLOW;
                slow.then(|| format!("it took {:?}", begin.elapsed()))
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
            }
        };
        let Some(why) = broken else { return false };
        let folder = self.home.join("found").join(self.name);
        println!("{}: broken after {} inputs: {}", self.name, self.tried, keep(&folder, input, &why));
        true
    }
}

/// An outcome without what is different in every input: numbers, and what stands in quotes.
fn blur(outcome: &str) -> String {
    let mut quoted = false;
    let mut blurred: String = outcome
        .chars()
        .filter(|letter| {
            quoted ^= matches!(letter, '"' | '\'' | '`');
            !quoted && !letter.is_ascii_digit()
        })
        .collect();
    blurred.truncate(blurred.char_indices().nth(120).map_or(blurred.len(), |(end, _)| end));
    blurred
}

fn seeds(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

/// The words of the seeds, to be put elsewhere; and what decoders are known to stumble over.
fn words(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let odd: [&[u8]; 24] = [
        b"\0",
        b"\xff",
        b"\xc0\xae",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\xef\xbb\xbf",
        b"%00",
        b"%2e%2e",
        b"%2f",
        b"%",
        b"../",
        b"//",
        b"-1",
        b"9223372036854775808",
        b"1e999",
        b"0x10",
        b"\r\n",
        b"\n\n",
        b"[[[[[[[[",
        b"{\"a\":",
        b"null",
        b"true",
        b"\"\"",
        b"\xf0\x9f\x98\x80",
    ];
    let mut words: BTreeSet<Vec<u8>> = odd.iter().map(|word| word.to_vec()).collect();
    for seed in seeds {
        for word in seed.split(|byte| !byte.is_ascii_alphanumeric() && !b"$-_.".contains(byte)) {
            if (1..40).contains(&word.len()) {
                words.insert(word.to_vec());
            }
        }
    }
    words.into_iter().collect()
}

/// One of the inputs that were kept, changed in a few places.
fn twist(kept: &[Vec<u8>], words: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = kept[dice.below(kept.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + dice.below(24)).min(input.len());
        match dice.below(9) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = (dice.roll() & 0xff) as u8;
                }
            }
            2 => drop(input.drain(at..end)),
            3 => input.truncate(at),
            4 => drop(input.splice(at..at, words[dice.below(words.len())].iter().copied())),
            5 => drop(input.splice(at..end, words[dice.below(words.len())].iter().copied())),
            6 => {
                let piece = input[at..end].to_vec();
                let many = if dice.below(20) == 0 { 300 } else { 3 };
                let times = 1 + dice.below(many);
                let to = dice.below(input.len() + 1);
                drop(input.splice(to..to, piece.repeat(times)));
            }
            7 => {
                let other = &kept[dice.below(kept.len())];
                let from = dice.below(other.len());
                let to = (from + dice.below(200)).min(other.len());
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
            _ => {
                // A number a little, or much, to the side.
                if let Some(from) = (at..input.len()).find(|from| input[*from].is_ascii_digit()) {
                    let to = (from..input.len()).find(|to| !input[*to].is_ascii_digit()).unwrap_or(input.len());
                    let number = [0, 1, 127, 2_147_483_648, u64::MAX, dice.roll()][dice.below(6)];
                    drop(input.splice(from..to, number.to_string().into_bytes()));
                }
            }
        }
    }
    input.truncate(BYTES_MAX);
    input
}

/// Whether a number with a fraction or an exponent stands anywhere in it. Such numbers change in their last digit when they are
/// read and written, and 1e3 is read as another kind of number than the 1000 that it is written as.
pub fn has_floats(value: &Value) -> bool {
    match value {
        Value::Float(_) => true,
        Value::Object(map) => map.iter().any(|(_, value)| has_floats(value)),
        Value::Array(list) => list.iter().any(has_floats),
        _ => false,
    }
}

/// The first line of an input, and what follows it.
pub fn line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
