//! What a run of the simulation orders next: drawn at random, mostly sensible.

use super::Run;

const IMAGES: usize = 5;
const OPEN: usize = 30;

impl Run {
    pub(super) fn order(&mut self) {
        let line = match self.random.below(40) {
            0..4 => return self.flow(),
            4..6 => self.register(),
            6 => "continue".to_owned(),
            7 if self.random.once_in(3) => self.attach(),
            8 if self.random.once_in(3) => {
                let keep = self.random.pick(&["", " keep=90"]);
                format!("detach {}{keep}", self.random.pick(&["one", "two"]))
            }
            9 => format!("after {}", self.random.below(90)),
            10 => self.on_any("cancel"),
            11 => self.purge(),
            12 => self.on_stuck("skip"),
            13..15 => self.on_stuck("retry"),
            15 => self.on_held("update", r#"{"percentage":50}"#),
            16 => self.on_held("error", "3000 slow"),
            17 => self.on_held("stopped", ""),
            18 => self.on_held("fail", r#"3001 broken data={"retryable":false}"#),
            19 => self.on_held("fail", "3002 again"),
            20 => self.on_held("complete", "null"),
            21 => self.on_held("complete", r#"{"size":"big"}"#),
            _ => self.on_held("complete", r#"{"size":5}"#),
        };
        self.step(line);
    }

    fn attach(&mut self) -> String {
        let capacity = 1 + self.random.below(6);
        let mut line = match self.random.below(4) {
            0 => format!("attach two capacity={capacity} f.make f.task f.take"),
            1 => "attach one capacity=0".to_owned(),
            _ => format!("attach one capacity={capacity}"),
        };
        let held: Vec<_> = self.witness.held().map(str::to_owned).collect();
        for id in held {
            if self.random.once_in(2) {
                line += &format!(" resume={id}");
            }
        }
        line
    }

    fn method(&mut self) -> (&'static str, serde_json::Map<String, serde_json::Value>) {
        let method = self.random.pick(&[
            "f.make", "f.read", "f.grow", "f.drop", "f.copy", "f.task", "f.task", "f.slow",
            "f.once", "f.take",
        ]);
        let mut kwargs = serde_json::Map::new();
        let image = format!("i{}", self.random.below(IMAGES));
        match method {
            "f.make" | "f.read" | "f.grow" | "f.drop" => {
                kwargs.insert("image".to_owned(), image.into());
            }
            "f.copy" => {
                kwargs.insert("image".to_owned(), image.into());
                kwargs.insert("target".to_owned(), "copy".into());
            }
            "f.take" => {
                kwargs.insert("size".to_owned(), 3.into());
            }
            _ => {}
        }
        (method, kwargs)
    }

    /// A flow of a few steps, listed in any order.
    fn flow(&mut self) {
        if self.witness.open().count() > OPEN {
            let line = self.on_held("complete", r#"{"size":5}"#);
            return self.step(line);
        }
        let count = 1 + self.random.below(6);
        let mut ranks: Vec<_> = (0..count).collect();
        for left in (1..count).rev() {
            ranks.swap(left, self.random.below(left + 1));
        }
        for index in 0..count {
            let (method, mut kwargs) = self.method();
            let mut requires = Vec::new();
            for other in (0..count).filter(|other| ranks[*other] < ranks[index]) {
                if self.random.once_in(3) {
                    requires.push(format!("s{other}"));
                }
                if self.random.once_in(if method == "f.take" { 2 } else { 12 }) {
                    let part = self.random.pick(&["#/size", "#/size", "#/none", ""]);
                    let taken = serde_json::json!({"$result": format!("s{other}{part}")});
                    match method {
                        "f.take" => kwargs.insert("size".to_owned(), taken),
                        _ => kwargs.insert("more".to_owned(), [taken].as_slice().into()),
                    };
                }
            }
            let kwargs = serde_json::Value::Object(kwargs);
            let mut line = format!("step s{index} {method} {kwargs}");
            if !requires.is_empty() {
                line += &format!(" requires={}", requires.join(","));
            }
            if self.random.once_in(6) {
                line += &format!(" attempts={} initial=40", 1 + self.random.below(3));
            }
            self.step(line);
        }
        self.flows += 1;
        let conditions = self.conditions();
        self.step(format!("flow deploy id=f{}{conditions}", self.flows));
    }

    fn register(&mut self) -> String {
        let (method, kwargs) = self.method();
        let kwargs = serde_json::Value::Object(kwargs);
        format!("register {method} {kwargs}{}", self.conditions())
    }

    /// What is asked for beside the method and its kwargs, or the steps.
    fn conditions(&mut self) -> String {
        let mut text = String::new();
        let now = self.world.now.wall.0;
        if self.random.once_in(10) {
            text += &format!(" start={}", now + self.random.below(200) as u64);
        }
        if self.random.once_in(15) {
            text += &format!(" before={}", now + 1 + self.random.below(300) as u64);
        }
        if self.random.once_in(6)
            && let Some(id) = self.any()
        {
            let states = self
                .random
                .pick(&["", ":reverted", ":completed,failed,reverted"]);
            text += &format!(" after={id}{states}");
        }
        if self.random.once_in(8)
            && let Some(parent) = self.one_held()
        {
            text += &format!(" lease={parent}");
        }
        text
    }

    fn draw(&mut self, mut ids: Vec<String>) -> Option<String> {
        (!ids.is_empty()).then(|| ids.swap_remove(self.random.below(ids.len())))
    }

    fn one_held(&mut self) -> Option<String> {
        let held = self.witness.held().map(str::to_owned).collect();
        self.draw(held)
    }

    fn any(&mut self) -> Option<String> {
        let known = self.witness.open().map(str::to_owned).collect();
        self.draw(known)
    }

    fn on_any(&mut self, command: &str) -> String {
        let id = self.any().unwrap_or_else(|| "nobody".to_owned());
        format!("{command} {id}")
    }

    fn on_stuck(&mut self, command: &str) -> String {
        let stuck = self.witness.stuck().map(str::to_owned).collect();
        match self.draw(stuck) {
            Some(id) => format!("{command} {id}"),
            None => self.on_held("fail", "3003 no"),
        }
    }

    fn on_held(&mut self, command: &str, rest: &str) -> String {
        match self.one_held() {
            Some(id) => format!("{command} {id} {rest}").trim_end().to_owned(),
            None => self.register(),
        }
    }

    fn purge(&mut self) -> String {
        let ended = self.world.archive.keys();
        let some: Vec<_> = ended
            .take(1 + self.random.below(9))
            .map(|id| &**id)
            .collect();
        format!("purge {}", some.join(" ")).trim_end().to_owned()
    }
}
