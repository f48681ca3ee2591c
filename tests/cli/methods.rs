//! `methods`.

use std::process::Command;

use serde_json::json;

use super::support::{Daemon, program};

#[test]
fn methods_are_listed_with_who_carries_them_out() {
    let daemon = Daemon::start();
    let ran = daemon.run(&["methods"]);
    let lines = ran.lines();
    assert_eq!(lines[0], "NAME VERSION KIND EXECUTOR SUMMARY");
    let deletes =
        "storage.deleteImage 1 operation storage Deletes an image that no other is built on."
            .to_owned();
    assert!(lines.contains(&deletes), "{ran:?}");

    let methods = daemon.json(&["methods", "*.getImageInfo"]);
    assert_eq!(methods.as_array().unwrap().len(), 1);
    assert_eq!(methods[0]["declaration"]["kind"], "query");
    assert_eq!(methods[0]["executors"], json!(["storage"]));
    let none = daemon.run(&["methods", "vm.*"]);
    assert_eq!(none.stdout, "There is no such method.\n");
}

/// A method whose subsystem is switched off is known still, and that nobody is there is said.
#[test]
fn a_method_without_an_executor_says_so() {
    let mut daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--wait"]);
    daemon.configure("");
    daemon.kill_and_start();
    let ran = daemon.run(&["methods", "diagnostic.noop"]);
    let nobody = "Executor none is there; an operation waits until one is".to_owned();
    assert!(ran.lines().contains(&nobody), "{ran:?}");
    let list = daemon.run(&["methods", "diagnostic.*"]).lines();
    assert!(
        list[1].starts_with("diagnostic.noop 1 operation none "),
        "{list:?}"
    );
}

#[test]
fn a_method_is_shown_with_all_that_is_needed_to_call_it() {
    let daemon = Daemon::start();
    let ran = daemon.run(&["methods", "storage.createImage"]);
    assert_eq!(
        ran.lines(),
        [
            "Method storage.createImage, version 1",
            "Summary Makes an empty image that takes no space until it is written to.",
            "Kind operation: registered, then carried out on its own",
            "Executor storage",
            "Object storage.Image.{image}",
            "Claims image {image} (create)",
            "Can be canceled only until it runs",
            "Can be reverted yes, as a step of a flow that fails",
            "When interrupted it is tried again",
            "Arguments:",
            "image string, required: the image to make",
            "matching ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
            "sizeBytes integer, required: how large the image is to be",
            "1 to 1125899906842624",
            "format any: raw if left out",
            "one of raw, qcow2",
            "Example:",
            "opstead call storage.createImage image=IMAGE sizeBytes=1",
        ]
    );
    // The example is typed as it stands.
    let example = ran.stdout.lines().last().unwrap();
    let bin = std::path::Path::new(program().get_program())
        .parent()
        .unwrap()
        .to_owned();
    let status = Command::new("sh")
        .args([
            "-c",
            &format!("PATH={}:$PATH; {example} --wait", bin.display()),
        ])
        .env("OPSTEAD_DATA", daemon.folder().join("data"))
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
}
