//! The subsystem `exec`: what a program is given, and what is kept of it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use opstead_core::Stage;
use serde_json::{Value, json};

use crate::exec_support::{Workplace, data, declared, script};
use crate::support::{Attempt, is, refusal};

/// Prints each argument in brackets.
const SHOW: &str = r#"for argument in "$@"; do printf '<%s>' "$argument"; done"#;

async fn output(workplace: &Workplace, kwargs: Value) -> String {
    let result = workplace.run(kwargs).await.unwrap();
    assert_eq!(result["exitStatus"], 0);
    assert_eq!(result["outputTruncated"], false);
    result["output"].as_str().unwrap().to_owned()
}

/// `{name}` is one argument, never split, never read by a shell.
#[tokio::test]
async fn a_kwarg_is_one_argument_whatever_it_holds() {
    let workplace = Workplace::new(&script(SHOW, &["a", "b"]));
    for value in [
        "two words",
        "",
        "line\nbreak\r\n",
        r#"'"`$(touch /tmp/never)\"#,
        "*",
        "é — \u{1F600}",
        "{a}",
        "x -rf --",
    ] {
        let output = output(&workplace, json!({"a": value, "b": "last"})).await;
        assert_eq!(output, format!("<{value}><last>"));
    }
}

#[tokio::test]
async fn numbers_and_booleans_are_written_as_in_json() {
    let mut config = declared(&["sh", "-c", SHOW, "sh", "--size={size}", "{force}"], &[]);
    config
        .kwargs
        .insert("size".to_owned(), json!({"type": "number"}));
    config
        .kwargs
        .insert("force".to_owned(), json!({"type": "boolean"}));
    config.optional.push("size".to_owned());
    let workplace = Workplace::new(&config);
    let with = output(&workplace, json!({"size": -1.5, "force": true})).await;
    assert_eq!(with, "<--size=-1.5><true>");
    let without = output(&workplace, json!({"force": false})).await;
    assert_eq!(
        without, "<false>",
        "its argument goes with what is left out"
    );
}

/// The fence behind the schema: for whoever registered under another declaration.
#[tokio::test]
async fn what_cannot_be_an_argument_fails_and_starts_nothing() {
    let workplace = Workplace::new(&script(SHOW, &["a"]));
    for bad in [
        json!("-rf"),
        json!("x\0y"),
        json!(null),
        json!([1]),
        json!({}),
    ] {
        let failed = workplace.run(json!({"a": bad})).await;
        assert_eq!(refusal(failed), is(3102, "argumentNotAllowed"), "{bad}");
    }
    let failed = workplace.run(json!({})).await;
    assert_eq!(refusal(failed), is(-32602, "invalidParams"));
    let long = workplace
        .run(json!({"a": "x".repeat(1 << 20)}))
        .await
        .unwrap_err();
    assert_eq!(long.code, 3101);
    assert!(
        long.message.contains("Argument list too long"),
        "{}",
        long.message
    );
}

#[tokio::test]
async fn a_declared_kwarg_may_be_an_option() {
    let mut config = script(SHOW, &["a"]);
    config.may_begin_with_dash.push("a".to_owned());
    let output = output(&Workplace::new(&config), json!({"a": "-rf"})).await;
    assert_eq!(output, "<-rf>");
}

/// Nothing of the daemon's own environment but what is listed, no input, no folder of its own.
#[tokio::test]
async fn a_program_inherits_little() {
    let mut config = script("pwd; ulimit -S -n; cat; env", &[]);
    config
        .environment
        .insert("COLOR".to_owned(), "a=b c".to_owned());
    config.environment.insert("LANG".to_owned(), "C".to_owned());
    let workplace = Workplace::new(&config);
    let attempt = Arc::new(Attempt::of("exec.run").operation("op 1").number(3));
    let result = attempt
        .run(&*workplace.executor(), json!({}))
        .await
        .unwrap();
    let output = result["output"].as_str().unwrap();
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("/"));
    let open_files: u32 = lines.next().unwrap().parse().unwrap();
    assert!(open_files <= 1024, "{open_files}");
    for line in [
        "COLOR=a=b c",
        "LANG=C",
        "OPSTEAD_OPERATION_ID=op 1",
        "OPSTEAD_ATTEMPT=3",
    ] {
        assert!(
            output.lines().any(|found| found == line),
            "{line}: {output}"
        );
    }
    const KNOWN: &str = "PATH HOME USER LOGNAME SHELL LANG LC_ALL TZ TMPDIR COLOR \
         OPSTEAD_FOLDER OPSTEAD_OPERATION_ID OPSTEAD_ATTEMPT PWD OLDPWD SHLVL _";
    for line in lines {
        let (name, _) = line.split_once('=').unwrap();
        assert!(KNOWN.split(' ').any(|known| known == name), "{line}");
    }
}

#[tokio::test]
async fn both_outputs_are_kept_in_the_order_in_which_they_came() {
    let workplace = Workplace::new(&script("echo a; echo b >&2; echo c; echo d >&2", &[]));
    assert_eq!(output(&workplace, json!({})).await, "a\nb\nc\nd\n");
}

/// Binary output harms nobody, and the last 64 KiB are kept.
#[tokio::test]
async fn of_much_output_the_end_is_kept() {
    let binary = "head -c 300000 /dev/urandom; printf end; exit 7";
    let failure = Workplace::new(&script(binary, &[]))
        .run(json!({}))
        .await
        .unwrap_err();
    let data = data(&failure);
    assert_eq!((failure.code, &data["exitStatus"]), (3103, &json!(7)));
    assert_eq!(data["outputTruncated"], true);
    assert!(data["output"].as_str().unwrap().ends_with("end"));

    let text = "head -c 100000 /dev/zero | tr '\\0' x; printf end";
    let result = Workplace::new(&script(text, &[]))
        .run(json!({}))
        .await
        .unwrap();
    assert_eq!(result["outputTruncated"], true);
    let output = result["output"].as_str().unwrap();
    assert_eq!(output, format!("{}end", "x".repeat((64 << 10) - 3)));
}

#[tokio::test]
async fn a_status_other_than_0_fails_with_the_output() {
    let workplace = Workplace::new(&script("echo working; echo no such disk >&2; exit 3", &[]));
    let failure = workplace.run(json!({})).await.unwrap_err();
    assert_eq!(failure.code, 3103);
    assert_eq!(
        &*failure.message,
        "the program exited with status 3: no such disk"
    );
    assert_eq!(
        data(&failure),
        json!({
            "reason": "programFailed", "retryable": true, "exitStatus": 3,
            "output": "working\nno such disk\n", "outputTruncated": false,
        })
    );
}

#[tokio::test]
async fn a_program_that_a_signal_ended_fails_with_the_signal() {
    let workplace = Workplace::new(&script("echo working; kill -9 $$", &[]));
    let failure = workplace.run(json!({})).await.unwrap_err();
    assert_eq!((failure.code, &data(&failure)["signal"]), (3104, &json!(9)));
    assert_eq!(data(&failure)["output"], "working\n");
    let workplace = Workplace::new(&script("kill -TERM $$", &[]));
    let failure = workplace.run(json!({})).await.unwrap_err();
    assert_eq!(
        (failure.code, &data(&failure)["signal"]),
        (3104, &json!(15))
    );
}

#[tokio::test]
async fn progress_is_read_from_lines() {
    let told = "printf '[1/2] First\\n 10%%\\r 20.5%%\\r'; echo '[2/2] Second'; printf '100%%'";
    let mut config = script(told, &[]);
    let pattern =
        r"^\[(?<stageNumber>\d+)/(?<stageTotal>\d+)\] (?<stage>.*)|(?<percentage>[\d.]+)%";
    config.progress = Some(pattern.to_owned());
    config.description = Some("Synchronizing".to_owned());
    let workplace = Workplace::new(&config);
    let attempt = Arc::new(Attempt::of("exec.run"));
    attempt
        .run(&*workplace.executor(), json!({}))
        .await
        .unwrap();
    let updates = attempt.updates();
    let descriptions: Vec<_> = updates
        .iter()
        .filter_map(|said| said.description.as_deref())
        .collect();
    assert_eq!(descriptions, ["Synchronizing"]);
    let percentages: Vec<_> = updates.iter().filter_map(|said| said.percentage).collect();
    assert_eq!(percentages, [10.0, 20.5, 100.0]);
    let stages: Vec<_> = updates
        .iter()
        .filter_map(|said| Some((said.stage?.number, said.stage_description.clone()?)))
        .collect();
    assert_eq!(stages, [(0, "First".into()), (1, "Second".into())]);
    assert!(
        updates
            .iter()
            .filter_map(|said| said.stage)
            .all(|Stage { total, .. }| total == 2)
    );
}

/// It was there when the daemon started, and is not any more; or its interpreter never was.
#[tokio::test]
async fn a_program_that_cannot_be_started_fails_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let workplace = Workplace::new(&declared(&[path.to_str().unwrap()], &[]));
    for _ in 0..2 {
        let failure = workplace.run(json!({})).await.unwrap_err();
        assert_eq!(failure.code, 3101);
        assert_eq!(data(&failure)["reason"], "programNotStarted");
        for part in [path.to_str().unwrap(), "No such file or directory"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        let _ = std::fs::remove_file(&path);
    }
}
