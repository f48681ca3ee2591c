//! Every noun of the protocol against a literal example: read, written again, the same text.

use opstead_schema::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Foreign JSON that a number or map type of ours would spoil.
const FOREIGN: &str =
    r#"{"z":18446744073709551615,"a":{"n":-9223372036854775808,"e":1e400},"0":[0.10,"\u00e9"]}"#;

/// Reads the text, writes it again and expects no difference, not even in the order of members.
#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let value: T = serde_json::from_str(text).expect("the example is readable");
    assert_eq!(
        serde_json::to_string(&value).expect("it can be written"),
        text
    );
    value
}

fn info(description: &str, stage: &str, percentage: &str) -> String {
    format!(
        r#"{{"operationDescription":"{description}","stageDescription":"","stage":{stage},"percentage":{percentage},"lastError":{{"code":0,"message":""}},"extraData":{FOREIGN}}}"#
    )
}

#[test]
fn task_info_has_exactly_three_members() {
    let text = format!(r#"{{"id":"mine","methodName":"vm.pause","kwargs":{FOREIGN}}}"#);
    let task: TaskInfo = round_trip(&text);
    assert_eq!(task.kwargs.get(), FOREIGN);
}

#[test]
fn operation_info_is_written_as_the_protocol_says() {
    let running: OperationInfo = round_trip(&info("Copying", r#"{"number":0,"total":1}"#, "-1"));
    assert_eq!(running.percentage, Percentage::UNKNOWN);
    assert!(!running.stage.is_last());
    let half: OperationInfo = round_trip(&info("Copying", r#"{"number":1,"total":3}"#, "49.5"));
    assert_eq!(half.percentage.known(), Some(49.5));
    let ended: OperationInfo = round_trip(&info("Completed", r#"{"number":3,"total":3}"#, "100"));
    assert!(ended.stage.is_last());
    assert_eq!(ended.extra_data.get(), FOREIGN);
}

/// The whole record of §2, in its order.
#[test]
fn an_operation_is_written_whole() {
    let info = info("Failed", r#"{"number":1,"total":1}"#, "10");
    let text = format!(
        r#"{{"id":"storage.Image.b.01J","methodName":"storage.copyImage","version":2,"kwargs":{FOREIGN},"subsystem":"storage","alertName":"storage.Image.b","state":"failed","done":true,"reasons":[],"operationInfo":{info},"claims":[{{"type":"image","id":"a","operation":"read"}},{{"type":"image","id":"b","operation":"create"}}],"weight":0,"tags":["nightly"],"registeredAt":"2026-02-03T04:05:06.789Z","startAt":"2026-02-03T04:05:06.000Z","startBefore":"2026-02-04T04:05:06.000Z","startedAt":"2026-02-03T04:05:07.001Z","finishedAt":"2026-02-03T04:05:08.000Z","attempt":1,"maxAttempts":1,"executor":"storage","result":{{"code":3001,"message":"no room","data":{{"traceback":"…"}}}},"error":{{"code":3001,"message":"no room","data":{{"traceback":"…"}}}},"nonFatalErrors":[{{"time":"2026-02-03T04:05:07.500Z","code":3002,"message":"slow disk","data":{FOREIGN}}}],"parent":"p","spawnedTasks":["c"],"after":[{{"id":"x","states":["completed"]}}],"registeredBy":"admin","cursor":18446744073709551615}}"#
    );
    let operation: Operation = round_trip(&text);
    assert!(operation.state.has_ended());
    assert_eq!(
        operation.non_fatal_errors[0].data.as_ref().unwrap().get(),
        FOREIGN
    );
}

/// §2: optional fields are left out, except `result`, which is present, also when null.
#[test]
fn a_null_result_is_a_result() {
    let info = info("Completed", r#"{"number":1,"total":1}"#, "100");
    let without = format!(
        r#"{{"id":"i","methodName":"a.b","version":1,"kwargs":{{}},"subsystem":"a","alertName":"a.task.i","state":"completed","done":true,"reasons":[],"operationInfo":{info},"claims":[],"weight":0,"tags":[],"registeredAt":"2026-02-03T04:05:06.789Z","attempt":1,"maxAttempts":1,"nonFatalErrors":[],"spawnedTasks":[],"after":[],"registeredBy":"admin","cursor":1}}"#
    );
    let operation: Operation = round_trip(&without);
    assert!(operation.result.is_none());
    let with_null = without.replace(r#""nonFatalErrors""#, r#""result":null,"nonFatalErrors""#);
    let operation: Operation = round_trip(&with_null);
    assert_eq!(operation.result.unwrap().get(), "null");
}

#[test]
fn a_reason_names_blockers_and_whether_there_are_more() {
    let reason: Reason = round_trip(
        r#"{"cause":"resource","resource":{"type":"image","id":"a"},"operation":"delete","blockedBy":["x","y"],"more":true}"#,
    );
    assert_eq!(reason.resource.unwrap().kind, "image");
    let busy: Reason = round_trip(r#"{"cause":"executor","detail":"busy"}"#);
    assert_eq!(busy.cause, Cause::Executor);
    for cause in [
        "capacity",
        "version",
        "startTime",
        "dependency",
        "retryDelay",
    ] {
        round_trip::<Reason>(&format!(r#"{{"cause":"{cause}"}}"#));
    }
}

#[test]
fn a_registration_is_accepted_or_postponed() {
    let accepted: Registration = round_trip(
        r#"{"id":"i","response":"accepted","reasons":[],"state":"waiting","alertName":"storage.Image.a","existing":false,"cursor":17,"logId":"01J"}"#,
    );
    assert_eq!(accepted.response, Response::Accepted);
    let postponed: Registration = round_trip(
        r#"{"id":"i","response":"postponed","reasons":[{"cause":"resource","resource":{"type":"image","id":"a"},"operation":"read","blockedBy":["c"]}],"state":"waiting","alertName":"storage.Image.a","existing":true,"cursor":17,"logId":"01J"}"#,
    );
    assert_eq!(postponed.response, Response::Postponed);
}

/// §5: the literal shape, the subscription last.
#[test]
fn an_alert_has_the_literal_shape() {
    let info = info("Completed", r#"{"number":1,"total":1}"#, "100");
    let alert: Alert = round_trip(&format!(
        r#"{{"alertName":"vm.VM.best_vm","operationInfo":{info},"cursor":8123,"time":"2026-02-03T04:05:06.789Z","event":"completed","operationId":"o","methodName":"vm.pause","state":"completed","subscription":"s1"}}"#
    ));
    assert_eq!(
        (alert.event, alert.snapshot),
        (AlertEvent::Completed, false)
    );
    assert_eq!(alert.operation_info.extra_data.get(), FOREIGN);
    let snapshot: Alert = round_trip(&format!(
        r#"{{"alertName":"vm.VM.best_vm","operationInfo":{info},"cursor":8123,"time":"2026-02-03T04:05:06.789Z","event":"object","snapshot":true,"subscription":"s1"}}"#
    ));
    assert!(snapshot.snapshot);
}

#[test]
fn bookmarks_and_closings_have_their_shape() {
    for kind in ["heartbeat", "caughtUp"] {
        round_trip::<AlertBookmark>(&format!(
            r#"{{"subscription":"s1","cursor":9,"time":"2026-02-03T04:05:06.789Z","kind":"{kind}"}}"#
        ));
    }
    let closed: AlertClosed = round_trip(
        r#"{"subscription":"s1","cursor":9,"error":{"code":1006,"message":"expired","data":{"reason":"cursorExpired","retryable":false,"oldestCursor":20,"cursor":9}}}"#,
    );
    assert_eq!(closed.error.known(), Some(ErrorCode::CursorExpired));
}

#[test]
fn an_object_tells_how_it_stands() {
    let info = info("Resizing", r#"{"number":0,"total":1}"#, "7");
    round_trip::<ObjectInfo>(&format!(
        r#"{{"alertName":"storage.Image.a","operationInfo":{info},"operationId":"o","updatedAt":"2026-02-03T04:05:06.789Z","cursor":3}}"#
    ));
}

#[test]
fn a_declaration_needs_only_name_kind_and_summary() {
    let text = r#"{"name":"vm.pause","version":3,"kind":"operation","summary":"Pause a VM.","kwargsSchema":{"type":"object","$id":"x"},"object":"VM.{vmID}","claims":[{"type":"vm","id":"{vmID}","operation":"update"}],"weight":2,"cancelable":true,"revertible":true,"onInterrupt":"retry","retry":{"maxAttempts":3,"initialMs":1000,"factor":1.5,"maxMs":60000},"attemptTimeoutMs":5000,"holdsSchedule":true,"secrets":["password"]}"#;
    round_trip::<MethodDeclaration>(text);
    let least: MethodDeclaration =
        serde_json::from_str(r#"{"name":"vm.list","kind":"query","summary":""}"#).unwrap();
    assert_eq!(
        (least.version, least.weight, least.cancelable),
        (1, 0, false)
    );
    assert_eq!(least.on_interrupt, InterruptPolicy::Fail);
}

/// §6: a step's kwargs are foreign JSON, bindings to other results among it.
#[test]
fn a_flow_is_written_as_the_protocol_says() {
    let text = format!(
        r#"{{"id":"f","name":"provision","steps":[{{"name":"create","methodName":"storage.createImage","kwargs":{FOREIGN}}},{{"name":"boot","methodName":"vm.boot","version":2,"kwargs":{{"disk":{{"$result":"create#/path"}}}},"requires":["create"],"retry":{{"maxAttempts":3,"initialMs":10,"factor":2.0,"maxMs":1000}}}}],"tags":["nightly"],"startAt":"2026-02-03T04:05:06.000Z","startBefore":"2026-02-04T04:05:06.000Z","after":[{{"id":"x","states":["completed"]}}],"lease":"4.1"}}"#
    );
    let flow: params::FlowsRegisterParams = round_trip(&text);
    assert_eq!(flow.steps[0].kwargs.get(), FOREIGN);
    let register = method("flows.register").unwrap();
    let least = r#"{"name":"f","steps":[{"name":"a","methodName":"a.b"}]}"#;
    let least: params::FlowsRegisterParams = params::parse_params(register, Some(least)).unwrap();
    assert_eq!(least.steps[0].kwargs.get(), "{}");
    let unknown = r#"{"name":"f","steps":[{"name":"a","methodName":"a.b","when":1}]}"#;
    let refused =
        params::parse_params::<params::FlowsRegisterParams>(register, Some(unknown)).unwrap_err();
    assert_eq!(refused.faults[0].pointer, "/steps/0/when");
}

/// §7: a revert is told what the step came to, and what went wrong.
#[test]
fn a_revert_is_assigned_with_result_or_error_and_all_failures() {
    let failure = format!(
        r#"{{"step":"boot","operationId":"f.boot","code":3001,"message":"no room","data":{FOREIGN}}}"#
    );
    let told = |came_to: &str| {
        format!(
            r#"{{"subscription":"3.1","action":"revert","operationId":"f.create","lease":"42.2","attempt":2,"methodName":"storage.createImage","version":1,"kwargs":{FOREIGN},{came_to},"failures":[{failure}]}}"#
        )
    };
    let completed: Assignment = round_trip(&told(r#""result":null"#));
    assert_eq!(completed.result.unwrap().get(), "null");
    let failed: Assignment = round_trip(&told(r#""error":{"code":3001,"message":"no room"}"#));
    assert_eq!(failed.failures[0].step, "boot");
}

/// §6: what a flow's error says of its steps stands beside the data of the first failure.
#[test]
fn an_error_of_a_flow_names_steps() {
    let error: ErrorObject = round_trip(
        r#"{"code":3001,"message":"no","data":{"own":1,"notReverted":["delete"],"reverts":[{"step":"create","operationId":"f.create","code":3005,"message":"busy"}]}}"#,
    );
    let details = error.details().unwrap();
    assert_eq!(details.not_reverted, ["delete"]);
    assert_eq!(details.reverts[0].operation_id, "f.create");
}

#[test]
fn a_status_counts_by_state() {
    let status: SystemStatus = round_trip(
        r#"{"version":"0.1.0","logId":"01J","cursor":9,"oldestCursor":0,"counts":{"waiting":2,"completed":7},"executors":[{"executor":"storage","attached":true,"capacity":4,"running":1,"methods":[{"name":"storage.copyImage","version":1}]}],"uptimeMs":12,"limits":{"requestBytes":1048576,"answerBytes":10485760,"connections":1000,"callsInFlight":256,"waits":64,"subscriptions":1024,"openOperations":1000000,"claims":1000,"dependencies":64,"children":1000,"flowSteps":10000,"capacity":9,"resultBytes":1048576,"reportBytes":262144,"filterBytes":16384,"writeTimeoutMs":10000}}"#,
    );
    assert_eq!(status.counts[&OperationState::Waiting], 2);
}

/// A client must go on when a daemon says more than it knows.
#[test]
fn what_a_client_reads_may_have_unknown_members() {
    let bookmark: AlertBookmark = serde_json::from_str(
        r#"{"subscription":"s","cursor":1,"time":"2026-02-03T04:05:06Z","kind":"heartbeat","new":[1]}"#,
    )
    .unwrap();
    assert_eq!(bookmark.cursor, 1);
    let claim: Claim =
        serde_json::from_str(r#"{"type":"t","id":"i","operation":"read","new":1}"#).unwrap();
    assert_eq!(claim.operation, ClaimOperation::Read);
}

/// What a client writes is what the daemon reads.
#[test]
fn parameters_round_trip_through_their_own_reader() {
    let params = params::RegisterParams::new(
        "storage.createImage",
        serde_json::from_str(FOREIGN).unwrap(),
    )
    .with_id("mine");
    let text = serde_json::to_string(&params).unwrap();
    let register = method("operations.register").unwrap();
    let read: params::RegisterParams = params::parse_params(register, Some(&text)).unwrap();
    assert_eq!(read.kwargs.get(), FOREIGN);
    assert_eq!(read.id.as_deref(), Some("mine"));
    assert!(!text.contains("null"), "{text}");
}
