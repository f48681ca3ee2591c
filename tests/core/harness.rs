//! What simulations have in common: seeds and their random numbers, the story that is told when one
//! fails, and crashes. `OPSTEAD_SEED=7` plays one seed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use opstead_core::Cursor;
use opstead_core::checkpoint::Record;

use crate::world::{World, assert_same, reopened};

/// How often each event came up, and other rare things.
pub(crate) type Seen = BTreeMap<&'static str, usize>;

/// Plays the seeds from 1 on. All of them together must have come across whatever is `rare`.
pub(crate) fn play_seeds(count: u64, rare: &[&str], play: impl Fn(u64) -> Seen + Sync) {
    let seeds = match std::env::var("OPSTEAD_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("OPSTEAD_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 1..count + 1,
    };
    let all = seeds.end - seeds.start == count;
    let seeds = Mutex::new(seeds);
    let next = || seeds.lock().ok()?.next();
    let total = Mutex::new(Seen::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let seen = play(seed);
                    let mut total = total.lock().expect("the other thread goes on");
                    for (what, count) in seen {
                        *total.entry(what).or_default() += count;
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("both threads are through");
    println!("{total:?}");
    let missing = rare.iter().find(|what| !total.contains_key(**what));
    assert!(
        missing.is_none() || !all,
        "{missing:?} did not come up: {total:?}"
    );
}

/// Xorshift: the same numbers for the same seed, everywhere and for ever.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The commands so far; a failure prints them as a golden script.
pub(crate) struct Story {
    seed: u64,
    lines: Vec<String>,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let lines = Vec::new();
        Self { seed, lines }
    }

    pub(crate) fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let story: String = self
                .lines
                .iter()
                .map(|line| format!("> {line}\n"))
                .collect();
            eprintln!("# seed {}; the last command shows it\n{story}", self.seed);
        }
    }
}

/// Written checkpoints, and the cursors they include.
#[derive(Default)]
pub(crate) struct Checkpoints(Vec<(Cursor, Vec<Record>)>);

impl Checkpoints {
    pub(crate) fn write(&mut self, world: &World) {
        self.0.push((world.state.head(), world.records()));
    }

    /// What was in memory is gone; the journal and perhaps a checkpoint are there.
    pub(crate) fn crash(&self, world: &mut World, random: &mut Random) {
        let now = reopened(&world.records(), &[]);
        assert_same(&world.state, &now, world.now, "what its own records make");
        let old = self.0.len().saturating_sub(random.below(4));
        let checkpoint = match random.once_in(10) {
            true => None,
            false => self.0.get(old),
        };
        let (head, records) = checkpoint.map_or((0, &[][..]), |(head, records)| (*head, records));
        let again = reopened(records, &world.log[head as usize..]);
        let what = format!("what the records of {head} make");
        assert_same(&world.state, &again, world.now, &what);
        world.state = again;
    }
}

/// All events from the beginning make the state.
pub(crate) fn assert_log_makes_state(world: &World) {
    let again = reopened(&[], &world.log);
    assert_same(&world.state, &again, world.now, "what all events make");
}
