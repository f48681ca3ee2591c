//! What a run of the simulation orders next: drawn at random, mostly sensible.

use super::Run;
use super::model::ModelOperation;
use opstead_core::OperationState;

impl Run {
    pub(super) fn attach(&mut self) {
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
        let resumed = self.resumed();
        self.step(line + &resumed);
    }

    /// Some of the attempts that are kept, and now and then one that is not.
    fn resumed(&mut self) -> String {
        let running: Vec<_> = self.running().map(|known| known.id.clone()).collect();
        let mut text = String::new();
        for id in running {
            if self.random.once_in(2) {
                text += &format!(" resume={id}");
            }
        }
        text
    }

    pub(super) fn line(&mut self) -> String {
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
                let keep = if self.random.once_in(2) {
                    " keep=90"
                } else {
                    ""
                };
                let name = self.random.pick(&["one", "two", "three"]);
                format!("detach {name}{keep}")
            }
            3 => format!("after {}", self.random.below(90)),
            4 if self.random.once_in(30) => format!("capacity {}", 5 + self.random.below(20)),
            5 if self.random.once_in(30) => {
                // Also set back.
                let wall = self.world.now.wall.0 + self.random.below(500) as u64;
                format!(
                    "wall {}",
                    wall.saturating_sub(self.random.below(250) as u64)
                )
            }
            4..8 => self.cancel(),
            8..14 => self.progress(),
            14..16 => self.on_running("error", "3000 slow"),
            16..19 => self.stale(),
            19..22 => self.purge(),
            22..24 => self.on_running("fail", r#"3001 broken data={"retryable":false}"#),
            24..26 => self.on_running("fail", "3002 again"),
            26..28 => self.on_running("stopped", ""),
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
                "s.create", "s.read", "s.update", "s.delete", "s.copy", "s.task", "s.heavy",
                "s.slow", "s.none",
            ]),
        };
        let image = self.image();
        let target = self.image();
        let kwargs = match method {
            "s.task" | "s.heavy" => "{}".to_owned(),
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
        // Where there is to be a mass of the same, most of it is plain.
        if usual.is_some() && !self.random.once_in(8) {
            let first = self.running().next().filter(|_| self.profile.follows);
            return match first {
                Some(first) => format!("{line} after={}:completed,failed,canceled", first.id),
                None => line,
            };
        }
        line + &self.conditions()
    }

    /// What is asked for beside method, kwargs and claims.
    fn conditions(&mut self) -> String {
        let mut text = String::new();
        let now = self.world.now.wall.0;
        if self.random.once_in(4) {
            text += &format!(" weight={}", self.random.below(11));
        }
        if self.random.once_in(12) {
            text += &format!(" start={}", now + self.random.below(300) as u64);
        }
        if self.random.once_in(12) {
            text += &format!(" before={}", now + self.random.below(400) as u64);
        }
        while self.random.once_in(5) {
            let Some(id) = self.followed() else { break };
            if !text.contains(&format!("after={id}")) {
                let states = [
                    "",
                    ":completed,failed",
                    ":completed,failed,canceled,skipped",
                ];
                text += &format!(" after={id}{}", self.random.pick(&states));
            }
        }
        if self.random.once_in(10) {
            let attempts = 1 + self.random.below(3);
            text += &format!(" attempts={attempts} initial={}", self.random.below(80));
        }
        if self.random.once_in(6) {
            let running: Vec<_> = self.running().map(|known| known.id.clone()).collect();
            if !running.is_empty() {
                let parent = &running[self.random.below(running.len())];
                text += &format!(" lease={parent}");
            }
        }
        text
    }

    /// The id of an operation that another may follow: mostly a young one.
    fn followed(&mut self) -> Option<String> {
        if self.random.once_in(4) || self.model.open.is_empty() {
            return self.any().filter(|id| !id.contains(' '));
        }
        let open = self.model.open.len();
        let young = open - 1 - self.random.below(open.min(8));
        Some(self.model.open[young].id.to_string())
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &ModelOperation> {
        let open = self.model.open.iter();
        open.filter(|known| {
            let state = known.state;
            matches!(state, OperationState::Running | OperationState::Canceling)
        })
    }

    fn image(&mut self) -> String {
        format!("i{}", self.random.below(self.profile.images))
    }

    fn on_running(&mut self, command: &str, rest: &str) -> String {
        let running: Vec<_> = self.running().map(|known| known.id.clone()).collect();
        if running.is_empty() {
            return self.register();
        }
        if self.holding && matches!(command, "complete" | "fail" | "stopped") {
            return self.register();
        }
        let id = &running[self.random.below(running.len())];
        format!("{command} {id} {rest}").trim_end().to_owned()
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
