//! A simulation: seeded random orders of every kind go to the core and to a naive model, which must
//! agree after each; now and then the process "crashes" and the state is made again from what a
//! journal would hold.
//!
//! A failure prints its seed and its story as a golden script. `OPSTEAD_SEED=7` plays one seed.

mod judge;
mod model;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, Event, EventBody, OperationState};

use crate::quiet;
use crate::script::{Step, parse};
use crate::world::{World, assert_same, reopened};
use judge::{Judge, compare};
use model::Model;

const SEEDS: u64 = 40;
const STEPS: usize = 2_500;

const METHODS: [&str; 7] = [
    "method s.create object=Image.{image} claim=create:image:{image} cancelable retry",
    "method s.read object=Image.{image} claim=read:image:{image} cancelable retry",
    "method s.read version=2 object=Image.{image} claim=read:image:{image}",
    "method s.update object=Image.{image} claim=update:image:{image}",
    "method s.delete object=Image.{image} claim=delete:image:{image} cancelable",
    "method s.copy object=Image.{target} claim=read:image:{image} claim=create:image:{target} retry",
    "method s.task cancelable",
];

#[test]
fn simulation_agrees_with_the_naive_model() {
    let seeds = match std::env::var("OPSTEAD_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("OPSTEAD_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 1..SEEDS + 1,
    };
    let all = seeds.end - seeds.start == SEEDS;
    let seeds = Mutex::new(seeds);
    let next = || seeds.lock().ok()?.next();
    let total = Mutex::new(Seen::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let seen = play_seed(seed);
                    let mut total = total.lock().expect("the other thread goes on");
                    total.wakes += seen.wakes;
                    total.mass_starts += seen.mass_starts;
                    total.crashes_in_a_wake += seen.crashes_in_a_wake;
                }
            });
        }
    });
    let total = total.into_inner().expect("both threads are through");
    println!("{total:?}");
    let enough = total.wakes > 0 && total.mass_starts > 0 && total.crashes_in_a_wake > 0;
    assert!(enough || !all, "the rare things did not come up: {total:?}");
}

fn play_seed(seed: u64) -> Seen {
    let mut run = Run::new(seed);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.play())) {
        let story: String = run.story.iter().map(|line| format!("> {line}\n")).collect();
        eprintln!("# seed {seed}; the last command shows it\n{story}");
        resume_unwind(panic);
    }
    run.seen
}

/// Xorshift: the same numbers for the same seed, everywhere and for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// What a run is like.
struct Profile {
    images: usize,
    open: usize,
    capacity: usize,
    /// What is mostly registered, and how often it is something else: once in so many times. An
    /// even mix, if left out.
    usual: Option<(&'static str, usize)>,
    /// One in so many steps changes the mood.
    mood: usize,
}

const PROFILES: [Profile; 4] = [
    Profile {
        images: 2,
        open: 25,
        capacity: 3,
        usual: None,
        mood: 100,
    },
    Profile {
        images: 7,
        open: 60,
        capacity: 6,
        usual: None,
        mood: 100,
    },
    // Mass wake-ups: hundreds of reads behind a create.
    Profile {
        images: 1,
        open: 250,
        capacity: 90,
        usual: Some(("s.read", 40)),
        mood: 150,
    },
    // Mass starts: hundreds that wait for nothing but their executor.
    Profile {
        images: 3,
        open: 320,
        capacity: 500,
        usual: Some(("s.task", 15)),
        mood: 340,
    },
];

/// Rare things that a whole simulation must have come across.
#[derive(Debug, Default)]
struct Seen {
    wakes: usize,
    mass_starts: usize,
    crashes_in_a_wake: usize,
}

struct Run {
    random: Random,
    profile: &'static Profile,
    world: World,
    model: Model,
    story: Vec<String>,
    /// Written checkpoints, and the cursors they include.
    checkpoints: Vec<(Cursor, Vec<Record>)>,
    /// Of ten orders so many register; it changes now and then, so that queues grow and shrink.
    appetite: usize,
    /// Nothing that runs ends meanwhile, so that many wait for the same.
    holding: bool,
    seen: Seen,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            profile: &PROFILES[seed as usize % PROFILES.len()],
            world: World::new(),
            model: Model::default(),
            story: Vec::new(),
            checkpoints: Vec::new(),
            appetite: 5,
            holding: false,
            seen: Seen::default(),
        }
    }

    fn play(&mut self) {
        for method in METHODS {
            self.step(method.to_owned());
        }
        let open = self.profile.open;
        self.step(format!("limits open={open} errors=3"));
        self.attach();
        for _ in 0..STEPS {
            if self.random.once_in(self.profile.mood) {
                self.change_mood();
            }
            let line = self.line();
            self.step(line);
            if !self.world.state.is_settled(self.world.now) && self.random.once_in(6) {
                self.step("continue".to_owned());
            }
            if self.random.once_in(60) {
                self.checkpoints
                    .push((self.world.state.head(), self.world.records()));
            }
            // More often in the middle of a wake-up, where there is more to forget.
            let calm = self.world.state.is_settled(self.world.now);
            if self.random.once_in(if calm { 200 } else { 5 }) {
                self.crash();
            }
        }
        self.drain();
        let again = reopened(&[], &self.world.log);
        assert_same(
            &self.world.state,
            &again,
            self.world.now,
            "what all events make",
        );
    }

    fn change_mood(&mut self) {
        let held = self.holding;
        self.holding = self.profile.usual.is_some() && !held;
        self.appetite = if self.holding {
            9
        } else {
            1 + self.random.below(9)
        };
        if self.holding && self.random.once_in(2) {
            self.step("detach one".to_owned());
            self.step("detach two".to_owned());
        } else if self.holding {
            self.step(r#"register s.create {"image":"i0"}"#.to_owned());
        } else if held {
            self.step(format!("attach one capacity={}", self.profile.capacity));
        }
    }

    fn step(&mut self, line: String) {
        let step = parse(&line, &self.world).expect("the simulation knows the language");
        self.story.push(line);
        let Step::Order(order) = step else {
            return quiet(&mut self.world, step);
        };
        let judge = Judge {
            model: &mut self.model,
            limits: self.world.limits,
            now: self.world.now,
            first: self.world.state.head() + 1,
            was_settled: self.world.state.is_settled(self.world.now),
        };
        let result = self.world.run(order.clone());
        let events = result.iter().flat_map(|executed| &executed.events);
        let woken = |event: &&Event| matches!(event.body, EventBody::WakeContinued);
        self.seen.wakes += events.clone().filter(woken).count();
        self.seen.mass_starts += usize::from(events.count() > 256);
        judge.judge(&order, &result, &self.world.state);
        let stride = if self.random.once_in(50) {
            1
        } else {
            1 + self.model.open.len() / 5
        };
        compare(
            &self.model,
            &self.world.state,
            self.world.now,
            stride,
            self.random.below(1_000),
        );
    }

    /// What was in memory is gone; the journal and perhaps a checkpoint are there.
    fn crash(&mut self) {
        let records = self.world.records();
        let wakes = records
            .iter()
            .filter(|record| matches!(record, Record::Wake { .. }));
        self.seen.crashes_in_a_wake += wakes.count();
        let now = reopened(&records, &[]);
        assert_same(
            &self.world.state,
            &now,
            self.world.now,
            "what its own records make",
        );
        let n = self.checkpoints.len();
        let old = n.saturating_sub(self.random.below(4));
        let checkpoint = match self.random.once_in(10) {
            true => None,
            false => self.checkpoints.get(old),
        };
        let (head, records) = checkpoint.map_or((0, &[][..]), |(head, records)| (*head, records));
        let again = reopened(records, &self.world.log[head as usize..]);
        let what = format!("what the records of {head} make");
        assert_same(&self.world.state, &again, self.world.now, &what);
        self.world.state = again;
    }

    /// Whatever can run runs, and with nothing new to come, all come to their end.
    fn drain(&mut self) {
        self.step("attach last capacity=40".to_owned());
        while !self.model.open.is_empty() {
            let mut left = self.model.open.len() + 10;
            while !self.world.state.is_settled(self.world.now) {
                self.step("continue".to_owned());
                left -= 1;
                assert!(left > 0, "the wake-up never comes to its end");
            }
            let running = self
                .model
                .open
                .iter()
                .filter(|known| known.state != OperationState::Waiting);
            let ends: Vec<_> = running
                .map(|known| format!("complete {}", known.id))
                .collect();
            assert!(!ends.is_empty(), "some wait for ever");
            for line in ends {
                self.step(line);
            }
        }
    }

    fn attach(&mut self) {
        let capacity = 1 + self.random.below(self.profile.capacity);
        let line = match self.random.below(6) {
            0 => format!("attach two capacity={capacity} s.read@2 s.task"),
            1 => format!("attach two capacity={capacity} s.read@1 s.update"),
            2 => "attach one capacity=0 s.create s.read@1".to_owned(),
            3 => {
                format!("attach one capacity={capacity} s.create s.read@1 s.update s.delete s.copy")
            }
            _ => format!("attach one capacity={capacity}"),
        };
        self.step(line);
    }

    fn line(&mut self) -> String {
        if self.random.below(10) < self.appetite {
            return self.register();
        }
        match self.random.below(40) {
            0 => "continue".to_owned(),
            1 if self.random.once_in(4) => {
                self.attach();
                "after 7".to_owned()
            }
            2 if self.random.once_in(4) => {
                format!("detach {}", self.random.pick(&["one", "two", "three"]))
            }
            3 => format!("after {}", self.random.below(90)),
            4..8 => self.cancel(),
            8..14 => self.progress(),
            14..16 => self.on_running("error", "3000 slow"),
            16..19 => self.stale(),
            19..22 => self.purge(),
            22..26 => self.on_running("fail", r#"3001 broken data={"retryable":false}"#),
            26..28 => self.on_running("fail", "2005 stopped"),
            _ => self.on_running("complete", r#"{"ok":true}"#),
        }
    }

    fn register(&mut self) -> String {
        let usual = self
            .profile
            .usual
            .filter(|(_, other)| !self.random.once_in(*other));
        let method = match usual {
            Some((method, _)) => method,
            None => self.random.pick(&[
                "s.create", "s.read", "s.update", "s.delete", "s.copy", "s.task", "s.none",
            ]),
        };
        let image = self.image();
        let target = self.image();
        let kwargs = match method {
            "s.task" => "{}".to_owned(),
            "s.copy" if self.random.once_in(2) => {
                format!(r#"{{"target": "{target}", "image": "{image}"}}"#)
            }
            "s.copy" => format!(r#"{{"image":"{image}","target":"{target}"}}"#),
            _ => format!(r#"{{"image":"{image}"}}"#),
        };
        let mut line = format!("register {method} {kwargs}");
        if self.random.once_in(3) {
            // Few enough that some come again.
            line += &format!(
                " id=chosen{}",
                self.random.below(60 + self.story.len() / 10)
            );
        }
        if method == "s.read" && !self.random.once_in(20) {
            line += " version=1";
        }
        while self.random.once_in(12) {
            let operation = self
                .random
                .pick(&["create", "read", "read", "update", "delete"]);
            line += &format!(" claim={operation}:image:{}", self.image());
        }
        line
    }

    fn image(&mut self) -> String {
        format!("i{}", self.random.below(self.profile.images))
    }

    fn on_running(&mut self, command: &str, rest: &str) -> String {
        let running = self
            .model
            .open
            .iter()
            .filter(|known| known.state != OperationState::Waiting);
        let running: Vec<_> = running.map(|known| &*known.id).collect();
        if running.is_empty() {
            return self.register();
        }
        if self.holding && matches!(command, "complete" | "fail") {
            return self.register();
        }
        format!("{command} {} {rest}", self.random.pick(&running))
    }

    fn progress(&mut self) -> String {
        let members = match self.random.below(6) {
            // Not allowed: refused, and nothing changes.
            0 => r#"{"stage":[3,2]}"#.to_owned(),
            1 => r#"{"operationDescription":"Copying","stage":[2,2]}"#.to_owned(),
            2 => r#"{"stageDescription":"half way","extraData":{"n":1}}"#.to_owned(),
            _ => {
                let percentage = self.random.below(1 << 30) as f64 / (1 << 30) as f64 * 100.0;
                format!(r#"{{"percentage":{percentage}}}"#)
            }
        };
        let flush = if self.random.once_in(3) { " flush" } else { "" };
        self.on_running("update", &format!("{members}{flush}"))
    }

    /// The id of any operation that is known, open or ended.
    fn any(&mut self) -> Option<String> {
        let kept = self.model.past.iter().filter(|known| !known.purged);
        let known: Vec<_> = self
            .model
            .open
            .iter()
            .chain(kept)
            .map(|known| &*known.id)
            .collect();
        (!known.is_empty()).then(|| self.random.pick(&known).to_owned())
    }

    fn cancel(&mut self) -> String {
        let open: Vec<_> = self.model.open.iter().map(|known| &*known.id).collect();
        if !open.is_empty() && !self.random.once_in(4) {
            return format!("cancel {}", self.random.pick(&open));
        }
        format!("cancel {}", self.any().unwrap_or("nobody".to_owned()))
    }

    fn stale(&mut self) -> String {
        let Some(id) = self.any() else {
            return self.register();
        };
        let command = self.random.pick(&["complete", "fail", "update", "error"]);
        let rest = match command {
            "complete" => "null",
            "update" => r#"{"percentage":1}"#,
            _ => "3000 late",
        };
        format!("{command} {id} {rest} attempt={}", self.random.below(4))
    }

    fn purge(&mut self) -> String {
        let kept = self.model.past.iter().filter(|known| !known.purged);
        let ids: Vec<_> = kept.map(|known| known.id.to_string()).collect();
        let some = ids.len().min(1 + self.random.below(9));
        format!("purge {}", ids[..some].join(" "))
            .trim_end()
            .to_owned()
    }
}
