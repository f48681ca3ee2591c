//! A tree as lines: who it is, what it runs, how it stands, and what is to be said of that.

use std::collections::BTreeMap;

use opstead_client::schema::{Operation, OperationState, Reason};

use super::Tree;
use crate::cli::failure;
use crate::cli::output::Line;
use crate::cli::progress::how_far;
use crate::cli::reasons;
use crate::cli::table::{Cell, Column, table};
use crate::cli::words;

const STEPS: [Column; 4] = [
    Column::whole("STEP"),
    Column::name("METHOD"),
    Column::whole("STATE"),
    Column::text("PROGRESS"),
];

const CHILDREN: [Column; 4] = [
    Column::whole("CHILD"),
    Column::name("METHOD"),
    Column::whole("STATE"),
    Column::text("PROGRESS"),
];

/// The cells of a bar.
const CELLS: usize = 10;

/// A row: how it hangs on the tree, what it is called, and its record if it is kept.
struct Row<'a> {
    branches: String,
    name: &'a str,
    parent: &'a Operation,
    operation: Option<&'a Operation>,
}

impl Tree {
    /// All below the root, a line each; at most so many lines, of so many characters.
    pub(in crate::cli) fn lines(&self, columns: Option<usize>, most: Option<usize>) -> Vec<Line> {
        let mut rows = Vec::new();
        self.collect(&self.root, "", &mut rows);
        if rows.is_empty() {
            return Vec::new();
        }
        let (rows, others) = self.chosen(rows, most);
        let cells = rows.iter().map(|row| self.cells(row)).collect();
        let header = match super::is_flow(&self.root) {
            true => &STEPS,
            false => &CHILDREN,
        };
        let mut lines = table(header, cells, columns);
        lines.extend(others.map(Line::from));
        lines
    }

    /// What is said of one of them, beside its state.
    pub(super) fn told(&self, parent: &Operation, operation: &Operation) -> String {
        use OperationState as State;
        let info = &operation.operation_info;
        match operation.state {
            State::Running | State::Canceling | State::Reverting => how_far(info, CELLS),
            State::Waiting | State::Scheduled => {
                reasons::brief(&self.open(parent, operation), operation.start_at)
            }
            State::Failed | State::RevertFailed if info.last_error.code != 0 => {
                format!("{} ({})", info.last_error.message, info.last_error.code)
            }
            State::Reverted => failure::of_reverted(operation).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// Every one below, with the name that it has among its siblings.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &Operation, &Operation)> {
        let mut rows = Vec::new();
        self.collect(&self.root, "", &mut rows);
        let rows = rows.into_iter();
        rows.filter_map(|row| Some((row.name, row.parent, row.operation?)))
    }

    fn collect<'a>(&'a self, parent: &'a Operation, branches: &str, rows: &mut Vec<Row<'a>>) {
        let last = parent.spawned_tasks.len().saturating_sub(1);
        for (index, id) in parent.spawned_tasks.iter().enumerate() {
            let (own, below) = match index == last {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            let operation = self.below.get(id);
            rows.push(Row {
                branches: format!("{branches}{own}"),
                name: Self::name(parent, id),
                parent,
                operation,
            });
            if let Some(operation) = operation {
                self.collect(operation, &format!("{branches}{below}"), rows);
            }
        }
    }

    /// If they are too many, those that something happens to come first, and the others are counted.
    fn chosen<'a>(
        &self,
        rows: Vec<Row<'a>>,
        most: Option<usize>,
    ) -> (Vec<Row<'a>>, Option<String>) {
        let Some(most) = most.filter(|&most| rows.len() + 1 > most) else {
            return (rows, None);
        };
        // Beside the header, and the line for the others.
        let room = most.saturating_sub(2);
        let mut ranks: Vec<(u8, usize)> = rows.iter().map(Row::rank).zip(0..).collect();
        ranks.sort_unstable();
        let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, index) in ranks.split_off(room.min(ranks.len())) {
            let state = self.state(&rows[index]);
            *left_out.entry(state).or_default() += 1;
        }
        let count: usize = left_out.values().sum();
        let each = left_out
            .iter()
            .map(|(state, count)| format!("{count} {state}"));
        let others = each.collect::<Vec<_>>().join(", ");
        let mut kept: Vec<usize> = ranks.into_iter().map(|(_, index)| index).collect();
        kept.sort_unstable();
        let rows = rows.into_iter().enumerate();
        let rows = rows.filter(|(index, _)| kept.binary_search(index).is_ok());
        let rows = rows.map(|(_, row)| row).collect();
        (rows, Some(format!("… and {count} others: {others}")))
    }

    fn cells(&self, row: &Row<'_>) -> Vec<Cell> {
        let name = format!("{}{}", row.branches, row.name);
        match row.operation {
            Some(operation) => vec![
                name.into(),
                operation.method_name.as_str().into(),
                words::state(operation.state),
                self.told(row.parent, operation).into(),
            ],
            None => vec![name.into(), "".into(), self.state(row).into()],
        }
    }

    fn state(&self, row: &Row<'_>) -> &'static str {
        match row.operation {
            Some(operation) => operation.state.as_str(),
            None if self.read.contains(&row.parent.id) => "no longer kept",
            None => "",
        }
    }

    /// Its reasons as they are now, with steps by their names: who has completed meanwhile is none.
    fn open(&self, parent: &Operation, operation: &Operation) -> Vec<Reason> {
        let is_open = |id: &&String| {
            let blocker = self.below.get(*id);
            blocker.is_none_or(|blocker| blocker.state != OperationState::Completed)
        };
        let reason = |reason: &Reason| {
            let blockers = reason.blocked_by.iter().filter(is_open);
            let blocked_by = blockers.map(|id| Self::name(parent, id).to_owned());
            let blocked_by: Vec<String> = blocked_by.collect();
            let is_gone = blocked_by.is_empty() && !reason.blocked_by.is_empty();
            let reason = Reason {
                blocked_by,
                ..reason.clone()
            };
            (!is_gone).then_some(reason)
        };
        operation.reasons.iter().filter_map(reason).collect()
    }
}

impl Row<'_> {
    /// What is most worth seeing has the least.
    fn rank(&self) -> u8 {
        use OperationState as State;
        match self.operation.map(|operation| operation.state) {
            Some(State::RevertFailed | State::Failed) => 0,
            Some(State::Reverted)
                if self
                    .operation
                    .is_some_and(|one| failure::of_reverted(one).is_some()) =>
            {
                0
            }
            Some(State::Running | State::Canceling | State::Reverting) => 1,
            Some(State::Waiting | State::Scheduled) => 2,
            _ => 3,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use opstead_client::schema::Alert;

    use super::*;

    fn operation(id: &str, method: &str, state: &str, members: &str) -> Operation {
        let text = format!(
            r#"{{"id":"{id}","methodName":"{method}","version":1,"kwargs":{{}},"subsystem":"s",
            "alertName":"s.O.{id}","state":"{state}","done":false,"reasons":[],
            "operationInfo":{{"operationDescription":"Copying","stageDescription":"","stage":{{"number":0,"total":1}},
                "percentage":50,"lastError":{{"code":3,"message":"full"}}}},
            "claims":[],"weight":0,"tags":[],"registeredAt":"2026-01-02T03:04:05.006Z","attempt":1,
            "maxAttempts":1,"nonFatalErrors":[],"spawnedTasks":[],"after":[],"registeredBy":"uid:0",
            "cursor":5}}"#
        );
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let members: serde_json::Value = serde_json::from_str(members).unwrap();
        value
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn tree() -> Tree {
        let root = operation(
            "f",
            "flow.deploy",
            "running",
            r#"{"spawnedTasks":["f.create","f.copy","f.grow","f.mark","f.gone"]}"#,
        );
        let below = [
            operation("f.create", "storage.createImage", "completed", "{}"),
            operation(
                "f.copy",
                "storage.copyImage",
                "running",
                r#"{"spawnedTasks":["c.1"]}"#,
            ),
            operation("c.1", "exec.run", "failed", "{}"),
            operation(
                "f.grow",
                "storage.resizeImage",
                "waiting",
                r#"{"reasons":[{"cause":"dependency","blockedBy":["f.create","f.copy"]},{"cause":"dependency","blockedBy":["f.create"]}]}"#,
            ),
            operation("f.mark", "exec.mark", "revertFailed", "{}"),
        ];
        let read = ["f", "f.copy"].map(str::to_owned).into();
        let below = below.into_iter().map(|one| (one.id.clone(), one)).collect();
        Tree { root, below, read }
    }

    /// Of its steps one had failed, one was canceled for that, and one had completed.
    pub(in crate::cli::tree) fn reverted() -> Tree {
        let error = |code: u32, message: &str, reason: &str| {
            format!(
                r#"{{"error":{{"code":{code},"message":"{message}","data":{{"reason":"{reason}"}}}},
                "spawnedTasks":["f.a","f.b","f.c","f.d"]}}"#
            )
        };
        let step = |id: &str, state: &str, members: &str| {
            let members = members.replace(r#"["f.a","f.b","f.c","f.d"]"#, "[]");
            operation(id, "s.m", state, &members)
        };
        let full = error(3001, "the pool\\nis full", "noRoom");
        let root = operation("f", "flow.deploy", "reverted", &full);
        let below = [
            step("f.a", "reverted", "{}"),
            step(
                "f.b",
                "reverted",
                &error(2005, "it was canceled", "canceled"),
            ),
            step("f.c", "reverted", &full),
            step(
                "f.d",
                "skipped",
                &error(2004, "its flow stopped", "dependencyFailed"),
            ),
        ];
        let below = below.into_iter().map(|one| (one.id.clone(), one)).collect();
        let read = ["f".to_owned()].into();
        Tree { root, below, read }
    }

    #[test]
    fn of_what_was_reverted_it_is_told_what_had_failed() {
        let mut tree = reverted();
        assert_eq!(
            texts(&tree, None),
            [
                "STEP  METHOD  STATE     PROGRESS",
                "├─ a  s.m     reverted",
                "├─ b  s.m     reverted  Canceled",
                r"├─ c  s.m     reverted  Failed: the pool\nis full (3001)",
                "└─ d  s.m     skipped",
            ]
        );
        let narrow = tree.lines(Some(40), None);
        assert!(narrow.iter().all(|line| line.text().chars().count() <= 40));
        assert_eq!(
            texts(&tree, Some(4))[2].split_whitespace().nth(1),
            Some("c")
        );
        assert_eq!(tree.failed_step(), Some("c"));
        tree.below.remove("f.c");
        assert_eq!(tree.failed_step(), None);
        let canceled = tree.below["f.b"].error.clone();
        tree.root.error = canceled;
        assert_eq!(tree.failed_step(), None);
    }

    fn texts(tree: &Tree, most: Option<usize>) -> Vec<String> {
        tree.lines(None, most).iter().map(Line::text).collect()
    }

    #[test]
    fn steps_hang_on_their_flow_and_children_on_their_step() {
        assert_eq!(
            texts(&tree(), None),
            [
                "STEP       METHOD               STATE           PROGRESS",
                "├─ create  storage.createImage  completed",
                "├─ copy    storage.copyImage    running         [#####-----] Copying, 50 %",
                "│  └─ c.1  exec.run             failed          full (3)",
                "├─ grow    storage.resizeImage  waiting         Waits for copy",
                "├─ mark    exec.mark            revertFailed    full (3)",
                "└─ gone                         no longer kept",
            ]
        );
        let alone = Tree::alone(tree().root);
        assert_eq!(texts(&alone, None)[1], "├─ create");
    }

    #[test]
    fn of_a_large_tree_what_moves_is_shown() {
        assert_eq!(
            texts(&tree(), Some(5)),
            [
                "STEP       METHOD             STATE         PROGRESS",
                "├─ copy    storage.copyImage  running       [#####-----] Copying, 50 %",
                "│  └─ c.1  exec.run           failed        full (3)",
                "├─ mark    exec.mark          revertFailed  full (3)",
                "… and 3 others: 1 completed, 1 no longer kept, 1 waiting",
            ]
        );
        assert_eq!(texts(&tree(), Some(7)).len(), 7);
        assert_eq!(texts(&tree(), Some(6)).len(), 6);
        assert_eq!(texts(&tree(), Some(0)).len(), 2);
    }

    #[test]
    fn an_alert_tells_of_whom_it_is_about_and_only_news() {
        let mut tree = tree();
        let alert = |id: &str, cursor: u64| -> Alert {
            let text = format!(
                r#"{{"alertName":"s.O.{id}","operationInfo":{{"operationDescription":"Reverting","stageDescription":"",
                "stage":{{"number":0,"total":1}},"percentage":-1,"lastError":{{"code":0,"message":""}},"extraData":{{}}}},
                "cursor":{cursor},"time":"2026-01-02T03:04:05.006Z","event":"reverting","operationId":"{id}","state":"reverting"}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert!(!tree.hear(&alert("f.copy", 5)));
        assert!(!tree.hear(&alert("stranger", 6)));
        assert!(tree.hear(&alert("f.copy", 6)));
        let row = "├─ copy    storage.copyImage    reverting       Reverting";
        assert_eq!(texts(&tree, None)[2], row);
        assert!(tree.hear(&alert("f", 7)));
        assert_eq!(tree.root().state, OperationState::Reverting);
        assert!(!tree.is_settled());
        let mut failed = alert("f.copy", 8);
        failed.state = Some(OperationState::Failed);
        failed.operation_info.last_error.code = 3;
        failed.operation_info.last_error.message = "full".to_owned();
        assert!(tree.hear(&failed));
        let mut reverted = alert("f.copy", 9);
        reverted.state = Some(OperationState::Reverted);
        assert!(tree.hear(&reverted));
        let row = "├─ copy    storage.copyImage    reverted        Failed: full (3)";
        assert_eq!(texts(&tree, None)[2], row);
    }
}
