//! Tests of the pure core: golden scripts, and a simulation against a naive model.
//!
//! Each `*.txt` beside this file is one story: a command behind `> `, below it the events that came
//! of it with their cursors, then the answer (`=`) or the refusal (`!`). What the commands are is
//! said in `script.rs`. `UPDATE_GOLDEN=1` writes what comes out into the scripts; look at the
//! difference before you keep it.
//!
//! After every script the state is made again from the events alone, and from the records of every
//! moment with the events after it; all of these must be the live one. The log is also cut behind
//! every event: what the events so far make and what its records make must be the same, for the
//! same reasons, and go on in the same way. Of a long story only some moments are looked at.

mod bytes;
mod cost;
mod frozen;
mod harness;
mod script;
mod show;
mod simulate;
mod simulate_flows;
mod world;

use std::fmt::Write;
use std::path::Path;

use opstead_core::{State, Time};

use script::{Step, parse};
use world::{World, assert_goes_on_alike, assert_same, reopened};

#[test]
fn golden_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core");
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of the scripts")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    scripts.sort();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differing = Vec::new();
    for path in scripts {
        let name = path.display().to_string();
        let expected = std::fs::read_to_string(&path).expect("a script");
        // Shown by the test only when something panics: in which script.
        println!("{name}");
        let actual = played(&expected);
        if expected == actual {
            continue;
        }
        if update {
            std::fs::write(&path, actual).expect("a script can be written");
        } else {
            differing.push(format!("{name}\n{}", difference(&expected, &actual)));
        }
    }
    assert!(
        differing.is_empty(),
        "not as written (UPDATE_GOLDEN=1 rewrites):\n\n{}",
        differing.join("\n")
    );
}

/// Of a log that is not short so many moments are looked at.
const CUTS_OF_LONG: usize = 12;

/// Whether the log can be looked at behind every event.
fn is_short(world: &World) -> bool {
    const SHORT: usize = 300;
    world.log.len() <= SHORT
}

/// The script with what came out now.
fn played(script: &str) -> String {
    let mut world = World::new();
    let mut moments: Vec<State> = Vec::new();
    let mut text = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(text, "{line}").expect("a string takes all");
            for output in play(&mut world, command) {
                writeln!(text, "{output}").expect("a string takes all");
            }
            moments.push(world.state.clone());
        } else if line.is_empty() || line.starts_with('#') {
            writeln!(text, "{line}").expect("a string takes all");
        }
    }
    let again = reopened(&[], &world.log);
    assert_same(&world.state, &again, world.now, "what all events make");
    let every = if is_short(&world) {
        1
    } else {
        moments.len().div_ceil(CUTS_OF_LONG)
    };
    for moment in moments.iter().step_by(every) {
        let (head, records) = (moment.head(), moment.records().collect::<Vec<_>>());
        let what = format!("what the records of {head} make");
        assert_same(moment, &reopened(&records, &[]), world.now, &what);
        let again = reopened(&records, &world.log[head as usize..]);
        assert_same(&world.state, &again, world.now, &what);
    }
    assert_cuts_alike(&world);
    text
}

/// Cuts the log behind every event, of a long one behind some: a crash there changes nothing.
fn assert_cuts_alike(world: &World) {
    let is_short = is_short(world);
    let every = if is_short {
        1
    } else {
        world.log.len() / CUTS_OF_LONG
    };
    let mut replayed = State::new();
    for (index, event) in world.log.iter().enumerate() {
        replayed.apply(event);
        if index % every != 0 {
            continue;
        }
        let records = replayed.records().collect::<Vec<_>>();
        let restored = reopened(&records, &[]);
        let what = format!("what the records behind event {} make", index + 1);
        assert_same(&replayed, &restored, world.now, &what);
        assert_goes_on_alike(&replayed, &restored, world.now, &what);
        if is_short {
            let again = reopened(&records, &world.log[index + 1..]);
            assert_same(&world.state, &again, world.now, &what);
        }
    }
}

/// Executes one command and writes down what came of it.
fn play(world: &mut World, command: &str) -> Vec<String> {
    let first = world.state.head() + 1;
    match parse(command, world) {
        Err(error) => panic!("> {command}\n{error}"),
        Ok(Step::Order(order)) => show::outcome(first, &world.run(order)),
        Ok(Step::Repeat(commands)) => {
            let mut results = Vec::new();
            for command in commands {
                match parse(&command, world) {
                    Ok(Step::Order(order)) => results.push(world.run(order)),
                    Ok(Step::Add(step)) => world.add_step(*step),
                    Ok(_) => panic!("> {command}\nonly orders and steps can be repeated"),
                    Err(error) => panic!("> {command}\n{error}"),
                }
            }
            show::summary(first, &results)
        }
        Ok(Step::Query(question, about)) => show::answer(world, &question, &about),
        Ok(other) => {
            quiet(world, other);
            Vec::new()
        }
    }
}

/// Takes over what a step says about the surroundings; nothing comes out of it.
pub(crate) fn quiet(world: &mut World, step: Step) {
    match step {
        Step::Declare(method) => world.declare(method),
        Step::Add(step) => world.add_step(*step),
        Step::After(ms) => {
            world.now.steady.0 += ms;
            world.set_wall(Time(world.now.wall.0 + ms));
        }
        Step::Wall(time) => world.set_wall(time),
        Step::Limits(limits) => world.limits = limits,
        Step::Order(_) | Step::Repeat(_) | Step::Query(..) => panic!("something comes out of it"),
    }
}

/// The lines around the first difference, and what stands there now.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) =
        (expected.lines().collect(), actual.lines().collect());
    let same = expected
        .iter()
        .zip(&actual)
        .take_while(|(left, right)| left == right)
        .count();
    let tail = expected[same..]
        .iter()
        .rev()
        .zip(actual[same..].iter().rev());
    let same_tail = tail.take_while(|(left, right)| left == right).count();
    let mut text = format!("line {}\n", same + 1);
    let before = same.saturating_sub(5);
    for (mark, lines) in [
        (' ', &expected[before..same]),
        ('-', &expected[same..expected.len() - same_tail]),
        ('+', &actual[same..actual.len() - same_tail]),
    ] {
        for line in lines {
            writeln!(text, "{mark} {line}").expect("a string takes all");
        }
    }
    text
}
