//! A simulation: seeded random orders of every kind go to the core and to a naive model, which must
//! agree after each; now and then the process "crashes" and the state is made again from what a
//! journal would hold.
//!
//! A failure prints its seed and its story as a golden script. Flows have a simulation of their own.

mod automatic;
mod compare;
mod conditions;
mod judge;
pub(crate) mod model;
mod objects;
mod orders;

use opstead_core::checkpoint::Record;
use opstead_core::{Event, Executed, Order, Refusal, Reply};

use crate::harness::{Checkpoints, Random, Seen, Story, assert_log_makes_state, play_seeds};
use crate::quiet;
use crate::script::{Step, parse};
use crate::show::word;
use crate::world::World;
use compare::compare;
use judge::Judge;
use model::Model;

const SEEDS: u64 = 200;
const STEPS: usize = 600;

const METHODS: [&str; 9] = [
    "method s.create object=Image.{image} claim=create:image:{image} cancelable retry",
    "method s.read object=Image.{image} claim=read:image:{image} cancelable retry",
    "method s.read version=2 object=Image.{image} claim=read:image:{image}",
    "method s.update object=Image.{image} claim=update:image:{image}",
    "method s.delete object=Image.{image} claim=delete:image:{image} cancelable",
    "method s.copy object=Image.{target} claim=read:image:{image} claim=create:image:{target} retry",
    "method s.task cancelable",
    "method s.heavy weight=3 cancelable retry attempts=3 initial=40 factor=2 max=100",
    "method s.slow timeout=60 attempts=2 initial=30 object=Image.{image} claim=update:image:{image}",
];

#[test]
fn simulation_agrees_with_the_naive_model() {
    play_seeds(SEEDS, &RARE, |seed| {
        let mut run = Run::new(seed);
        run.play();
        run.seen
    });
}

/// What a run is like.
struct Profile {
    images: usize,
    open: usize,
    capacity: usize,
    /// What is mostly registered, and how often it is something else: once in so many times. An
    /// even mix, if left out.
    usual: Option<(&'static str, usize)>,
    /// Whether most follow the oldest that is open.
    follows: bool,
    /// One in so many steps changes the mood.
    mood: usize,
}

const PROFILES: [Profile; 5] = [
    Profile {
        images: 2,
        open: 25,
        capacity: 3,
        usual: None,
        follows: false,
        mood: 100,
    },
    Profile {
        images: 7,
        open: 60,
        capacity: 6,
        usual: None,
        follows: false,
        mood: 100,
    },
    // Mass wake-ups: hundreds of reads behind a create.
    Profile {
        images: 1,
        open: 250,
        capacity: 90,
        usual: Some(("s.read", 40)),
        follows: false,
        mood: 150,
    },
    // Mass starts: hundreds that wait for nothing but their executor.
    Profile {
        images: 3,
        open: 320,
        capacity: 500,
        usual: Some(("s.task", 15)),
        follows: false,
        mood: 340,
    },
    // Mass cascades: hundreds that follow one.
    Profile {
        images: 3,
        open: 250,
        capacity: 90,
        usual: Some(("s.task", 15)),
        follows: true,
        mood: 150,
    },
];

/// What a whole simulation must have come across.
const RARE: [&str; 13] = [
    "wakeContinued",
    "massStart",
    "crashInAWake",
    "crashInACascade",
    "reserved",
    "placed",
    "delayPassed",
    "skipped",
    "retrying",
    "canceled with its parent",
    "failed by itself",
    "resumed",
    "postponed by itself",
];

struct Run {
    random: Random,
    profile: &'static Profile,
    world: World,
    model: Model,
    story: Story,
    checkpoints: Checkpoints,
    /// Of ten orders so many register; it changes now and then, so that queues grow and shrink.
    appetite: usize,
    /// Nothing that runs ends meanwhile, so that many wait for the same.
    holding: bool,
    seen: Seen,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            // The last three are for masses, and slow.
            profile: match seed as usize % 10 {
                mass @ 7.. => &PROFILES[mass - 5],
                other => &PROFILES[other % 2],
            },
            world: World::new(),
            model: Model::default(),
            story: Story::new(seed),
            checkpoints: Checkpoints::default(),
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
        self.step("capacity 12".to_owned());
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
                self.checkpoints.write(&self.world);
            }
            // More often in the middle of a wake-up, where there is more to forget.
            let calm = self.world.state.is_settled(self.world.now);
            if self.random.once_in(if calm { 200 } else { 5 }) {
                self.crash();
            }
        }
        self.drain();
        assert_log_makes_state(&self.world);
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
            direct: 0,
            first: self.world.state.head() + 1,
            was_settled: self.world.state.is_settled(self.world.now),
        };
        let result = self.world.run(order.clone());
        judge.judge(&order, &result, &self.world.state);
        self.see(&order, &result);
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

    /// Counts what came up.
    fn see(&mut self, order: &Order, result: &Result<Executed, Refusal>) {
        let Ok(executed) = result else { return };
        let by_itself = matches!(order, Order::Continue);
        for event in &executed.events {
            let word = match word(&event.body) {
                "failed" if by_itself => "failed by itself",
                "postponed" if by_itself => "postponed by itself",
                word => word,
            };
            *self.seen.entry(word).or_default() += 1;
        }
        let canceled = |event: &&Event| matches!(word(&event.body), "canceling" | "canceled");
        let many = executed.events.iter().filter(canceled).count() > 1;
        if many && matches!(order, Order::Cancel { .. }) {
            *self.seen.entry("canceled with its parent").or_default() += 1;
        }
        if executed.events.len() > 256 {
            *self.seen.entry("massStart").or_default() += 1;
        }
        if let Reply::Attached(resumed) = &executed.reply
            && !resumed.is_empty()
        {
            *self.seen.entry("resumed").or_default() += 1;
        }
    }

    /// What was in memory is gone.
    fn crash(&mut self) {
        for record in &self.world.records() {
            match record {
                Record::Wake { .. } => *self.seen.entry("crashInAWake").or_default() += 1,
                Record::Cascade(_) => *self.seen.entry("crashInACascade").or_default() += 1,
                _ => {}
            }
        }
        self.checkpoints.crash(&mut self.world, &mut self.random);
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
            let ends: Vec<_> = self
                .running()
                .map(|known| format!("complete {}", known.id))
                .collect();
            let before = self.world.state.head();
            for line in ends {
                self.step(line);
            }
            self.step("after 1000".to_owned());
            self.step("continue".to_owned());
            assert!(self.world.state.head() > before, "some wait for ever");
        }
    }
}
