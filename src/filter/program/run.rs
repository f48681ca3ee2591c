//! Runs a program over a name, all its possible states at once: linear, whatever the program.

use regex_automata::util::look::LookMatcher;

use super::{Code, State};

/// The memory of a run; one serves every program.
#[derive(Default)]
pub(super) struct Runner {
    looks: LookMatcher,
    current: Vec<u32>,
    upcoming: Vec<u32>,
    pending: Vec<u32>,
    /// For each state the step at which it was reached last; steps are never counted twice.
    reached: Vec<u64>,
    step: u64,
}

impl Runner {
    pub(super) fn matches(&mut self, program: &Code, name: &str) -> bool {
        if self.reached.len() < program.states.len() {
            self.reached.resize(program.states.len(), 0);
        }
        self.upcoming.clear();
        self.step += 1;
        self.reach(program, program.start, name, 0);
        for (start, character) in name.char_indices() {
            std::mem::swap(&mut self.current, &mut self.upcoming);
            self.upcoming.clear();
            self.step += 1;
            let end = start + character.len_utf8();
            for place in 0..self.current.len() {
                match program.states[self.current[place] as usize] {
                    State::Character { wanted, next } if wanted == character => {
                        self.reach(program, next, name, end);
                    }
                    State::Class { class, next }
                        if program.classes[class as usize].contains(character) =>
                    {
                        self.reach(program, next, name, end);
                    }
                    _ => {}
                }
            }
            if self.upcoming.is_empty() {
                return false;
            }
        }
        self.upcoming
            .iter()
            .any(|state| matches!(program.states[*state as usize], State::Match))
    }

    /// Reaches a state, and what can be reached from it at this place without a character.
    fn reach(&mut self, program: &Code, state: u32, name: &str, at: usize) {
        self.pending.push(state);
        while let Some(state) = self.pending.pop() {
            if std::mem::replace(&mut self.reached[state as usize], self.step) == self.step {
                continue;
            }
            match program.states[state as usize] {
                State::Split { one, other } => self.pending.extend([other, one]),
                State::Look { look, next } => {
                    if self.looks.matches(look, name.as_bytes(), at) {
                        self.pending.push(next);
                    }
                }
                State::Character { .. } | State::Class { .. } | State::Match => {
                    self.upcoming.push(state);
                }
            }
        }
    }
}
