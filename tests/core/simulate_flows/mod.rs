//! A simulation of flows: seeded random flows beside other operations, with executors that fail, are
//! lost and come back late, cancels, stuck reverts, crashes anywhere. A naive witness watches every
//! event, and what is left undone once nothing is left to do.
//!
//! A failure prints its seed and its story as a golden script.

mod left;
mod orders;
mod plan;
mod rules;
mod witness;

use opstead_core::{Executed, Order, RegisterFlow, RegisterStep, Reply};

use crate::harness::{Checkpoints, Random, Seen, Story, assert_log_makes_state, play_seeds};
use crate::quiet;
use crate::script::{Step, parse};
use crate::show::word;
use crate::world::World;
use witness::Witness;

const SEEDS: u64 = 100;
const STEPS: usize = 500;

const METHODS: [&str; 9] = [
    "method f.make object=Image.{image} claim=create:image:{image} cancelable retry revertible",
    "method f.read claim=read:image:{image} retry revertible",
    "method f.grow claim=update:image:{image} weight=2 attempts=2 initial=30 cancelable revertible",
    "method f.drop claim=delete:image:{image} cancelable",
    "method f.copy claim=read:image:{image} claim=create:image:{target} cancelable retry revertible",
    "method f.task weight=1 cancelable revertible",
    "method f.slow timeout=60 weight=3 revertible",
    "method f.once",
    "method f.take integer=size revertible",
];

/// What a whole simulation must have come across.
const RARE: [&str; 15] = [
    "a flow completed",
    "a flow reverted",
    "a flow canceled",
    "a flow stuck",
    "a flow ended before it began",
    "two reverts failed",
    "a step left as it was",
    "a step failed before it ran",
    "a revert interrupted",
    "a revert retried",
    "a revert skipped",
    "resumed",
    "retrying",
    "crash in a stop",
    "crash in a revert",
];

#[test]
fn simulated_flows_end_as_they_must() {
    play_seeds(SEEDS, &RARE, |seed| {
        let mut run = Run::new(seed);
        run.play();
        run.seen
    });
}

struct Run {
    random: Random,
    world: World,
    witness: Witness,
    story: Story,
    checkpoints: Checkpoints,
    /// The steps of the flow that is registered next.
    steps: Vec<RegisterStep>,
    /// How many flows have been asked for.
    flows: usize,
    seen: Seen,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            world: World::new(),
            witness: Witness::default(),
            story: Story::new(seed),
            checkpoints: Checkpoints::default(),
            steps: Vec::new(),
            flows: 0,
            seen: Seen::default(),
        }
    }

    fn play(&mut self) {
        for method in METHODS {
            self.step(method.to_owned());
        }
        self.step("capacity 8".to_owned());
        self.step("attach one capacity=6".to_owned());
        for _ in 0..STEPS {
            self.order();
            if !self.world.state.is_settled(self.world.now) && self.random.once_in(4) {
                self.step("continue".to_owned());
            }
            if self.random.once_in(60) {
                self.checkpoints.write(&self.world);
            }
            // More often in the middle of something, where there is more to forget.
            let calm = self.world.state.is_settled(self.world.now);
            if self.random.once_in(if calm { 60 } else { 4 }) {
                self.crash();
            }
        }
        self.drain();
        assert_log_makes_state(&self.world);
    }

    fn step(&mut self, line: String) {
        let step = parse(&line, &self.world).expect("the simulation knows the language");
        self.story.push(line);
        let order = match step {
            Step::Order(order) => order,
            Step::Add(step) => {
                self.steps.push((*step).clone());
                return quiet(&mut self.world, Step::Add(step));
            }
            other => return quiet(&mut self.world, other),
        };
        let first = self.world.state.head() + 1;
        let steps = std::mem::take(&mut self.steps);
        let Ok(executed) = self.world.run(order.clone()) else {
            return;
        };
        if let Order::RegisterFlow(flow) = &order {
            let flow = RegisterFlow {
                steps,
                ..(**flow).clone()
            };
            self.witness.expect(&flow, first, &executed);
        }
        for (cursor, event) in (first..).zip(&executed.events) {
            self.witness.watch(cursor, event, &mut self.seen);
        }
        self.see(&executed);
        self.witness.compare(&self.world.state);
        if self.world.state.is_settled(self.world.now) {
            self.witness.assert_nothing_left();
        }
    }

    fn see(&mut self, executed: &Executed) {
        for event in &executed.events {
            *self.seen.entry(word(&event.body)).or_default() += 1;
        }
        if let Reply::Attached(resumed) = &executed.reply
            && !resumed.is_empty()
        {
            *self.seen.entry("resumed").or_default() += 1;
        }
    }

    fn crash(&mut self) {
        if let Some(what) = self.witness.doing() {
            *self.seen.entry(what).or_default() += 1;
        }
        self.checkpoints.crash(&mut self.world, &mut self.random);
    }

    /// Executors take all there is and complete it, stuck reverts are retried: all come to their end.
    fn drain(&mut self) {
        self.step("attach last capacity=40".to_owned());
        let mut left = 10 * self.witness.open().count();
        while self.witness.open().next().is_some() {
            left = left.checked_sub(1).expect("they come to their end");
            let before = self.world.state.head();
            while !self.world.state.is_settled(self.world.now) {
                let before = self.world.state.head();
                self.step("continue".to_owned());
                assert!(self.world.state.head() > before, "it never settles");
            }
            let held = self.witness.held().map(|id| format!("complete {id}"));
            let stuck = self.witness.stuck().map(|id| format!("retry {id}"));
            let mut lines: Vec<_> = held.chain(stuck).collect();
            // Time-outs are not waited for.
            if lines.is_empty() {
                lines = vec!["after 1000".to_owned(), "continue".to_owned()];
            }
            lines.into_iter().for_each(|line| self.step(line));
            assert!(self.world.state.head() > before, "some wait for ever");
        }
    }
}
