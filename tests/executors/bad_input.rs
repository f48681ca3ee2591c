//! Executors that say what is not allowed: a clear error, and nothing half-done.

use serde_json::{Value, json};

use crate::attached::{Attached, operation, register, with};
use crate::program::Home;

/// What is wrong with one declaration, and where.
fn wrong() -> Vec<(Value, &'static str)> {
    let good = || operation("vm.start");
    let with = |members: Value| with(good(), members);
    let claim = |kind: &str, id: &str| json!({"type": kind, "id": id, "operation": "read"});
    vec![
        (json!({"name": "vm.start"}), "/methods/0"),
        (with(json!({"colour": "red"})), "/methods/0/colour"),
        (with(json!({"kind": "wish"})), "/methods/0/kind"),
        (with(json!({"name": "start"})), "/methods/0/name"),
        (with(json!({"name": "vm."})), "/methods/0/name"),
        (with(json!({"name": "vm start.x"})), "/methods/0/name"),
        (with(json!({"name": "storage.start"})), "/methods/0/name"),
        (with(json!({"name": "exec.start"})), "/methods/0/name"),
        (with(json!({"name": "operations.start"})), "/methods/0/name"),
        (with(json!({"name": "flow.start"})), "/methods/0/name"),
        (with(json!({"version": 0})), "/methods/0/version"),
        (
            with(json!({"attemptTimeoutMs": 0})),
            "/methods/0/attemptTimeoutMs",
        ),
        (
            with(json!({"kwargsSchema": {"type": "wish"}})),
            "/methods/0/kwargsSchema",
        ),
        (
            with(json!({"kwargsSchema": {"$ref": "https://x.example/s"}})),
            "/methods/0/kwargsSchema/$ref",
        ),
        (
            with(json!({"kwargsSchema": {"$ref": "#/$defs/none"}})),
            "/methods/0/kwargsSchema/$ref",
        ),
        (
            with(json!({"kwargsSchema": {"properties": {"x": {"pattern": "[a-z]{9999}{99}"}}}})),
            "/methods/0/kwargsSchema/properties/x/pattern",
        ),
        (
            with(json!({"kwargsSchema": doubling(14)})),
            "/methods/0/kwargsSchema",
        ),
        (with(json!({"object": "VM.{vm"})), "/methods/0/object"),
        (with(json!({"object": "VM.vm}"})), "/methods/0/object"),
        (with(json!({"object": "VM.{}"})), "/methods/0/object"),
        (with(json!({"object": ""})), "/methods/0/object"),
        (
            with(json!({"claims": [claim("vm", "{a{b}}")]})),
            "/methods/0/claims/0/id",
        ),
        (
            with(json!({"claims": [claim("", "{a}")]})),
            "/methods/0/claims/0/type",
        ),
        (
            with(json!({"claims": [{"type": "t", "id": "i", "operation": "x"}]})),
            "/methods/0/claims/0/operation",
        ),
        (with(json!({"secrets": [""]})), "/methods/0/secrets/0"),
        (
            with(json!({"secrets": ["vm"], "object": "VM.{vm}"})),
            "/methods/0/object",
        ),
        (
            with(json!({"secrets": ["pasword"], "kwargsSchema": closed()})),
            "/methods/0/secrets/0",
        ),
        (
            with(json!({"secrets": ["password", "/pasword/1"], "kwargsSchema": closed()})),
            "/methods/0/secrets/1",
        ),
        (
            with(json!({"object": "VM.{nope}", "kwargsSchema": closed()})),
            "/methods/0/object",
        ),
        (
            with(json!({"claims": [claim("vm", "{nope}")], "kwargsSchema": closed()})),
            "/methods/0/claims/0/id",
        ),
        (with(json!({"weight": 10})), "/methods/0/weight"),
        (
            with(json!({"retry": {"maxAttempts": 0, "initialMs": 1, "factor": 1, "maxMs": 1}})),
            "/methods/0/retry/maxAttempts",
        ),
        (with(json!({"summary": "x".repeat(70_000)})), "/methods/0"),
    ]
}

/// A schema that names all kwargs there can be.
fn closed() -> Value {
    json!({
        "type": "object",
        "properties": {"vm": {"type": "string"}, "password": {"type": "string"}},
        "additionalProperties": false,
    })
}

/// What a schema could still allow is not refused.
#[tokio::test]
async fn a_kwarg_that_a_schema_leaves_open_can_be_a_secret() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let with = |members: Value| with(operation("vm.start"), members);
    let listed = json!({"secrets": ["password"], "object": "VM.{vm}", "kwargsSchema": closed()});
    let open = |schema: Value| json!({"secrets": ["key"], "kwargsSchema": schema});
    let patterns = json!({"patternProperties": {"^k": {}}, "additionalProperties": false});
    let methods = [
        with(listed),
        with(open(json!({"properties": {"vm": {}}}))),
        with(open(patterns)),
    ];
    let number = |(index, method): (usize, Value)| {
        crate::attached::with(method, json!({"version": index + 1}))
    };
    let methods: Vec<_> = methods.into_iter().enumerate().map(number).collect();
    let params = json!({"executor": "agent", "methods": methods});
    session.ok("executors.attach", params).await;
}

/// A schema that looks at a value twice as often with each of its references.
fn doubling(times: u32) -> Value {
    let twice = |number: u32| {
        let next = json!({"$ref": format!("#/$defs/{}", number + 1)});
        (number.to_string(), json!({"allOf": [next, next]}))
    };
    let mut parts: serde_json::Map<_, _> = (0..times).map(twice).collect();
    parts.insert(times.to_string(), json!({"type": "object"}));
    json!({"$defs": parts, "$ref": "#/$defs/0"})
}

#[tokio::test]
async fn a_malformed_declaration_is_refused_whole() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let methods = session.ok("methods.list", json!({})).await;
    let head = session.head().await;
    for (method, pointer) in wrong() {
        let params = json!({"executor": "agent", "methods": [method, operation("vm.other")]});
        let error = session.error("executors.attach", params).await;
        assert_eq!(error["code"], -32602, "{error}");
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains(pointer.rsplit('/').next().unwrap())
        );
    }
    let twice = json!([operation("vm.start"), operation("vm.start")]);
    for (params, pointer) in [
        (
            json!({"executor": "", "methods": [operation("vm.a")]}),
            "/executor",
        ),
        (
            json!({"executor": "storage", "methods": [operation("vm.a")]}),
            "/executor",
        ),
        (json!({"executor": "agent", "methods": []}), "/methods"),
        (
            json!({"executor": "agent", "methods": twice}),
            "/methods/1/name",
        ),
        (
            json!({"executor": "agent", "methods": [operation("vm.a")], "capacity": 10_001}),
            "/capacity",
        ),
        (
            json!({"executor": "agent", "methods": [operation("vm.a")], "wish": 1}),
            "/wish",
        ),
    ] {
        let error = session.error("executors.attach", params).await;
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
    }
    assert_eq!(session.head().await, head);
    assert_eq!(session.ok("methods.list", json!({})).await, methods);
    // The connection is as good as before; but it is for one executor.
    let good = json!({"executor": "agent", "methods": [operation("vm.start")]});
    session.ok("executors.attach", good.clone()).await;
    let error = session.error("executors.attach", good).await;
    assert_eq!(error["code"], -32602);
    assert!(
        error["message"].as_str().unwrap().contains("agent"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_report_changes_nothing() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.start")])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.start", "a").await;
    let lease = executor.execute("a").await;
    let before = manager.get("a").await;
    let head = manager.head().await;
    let info = |member: &str, value: Value| json!({"operationInfo": {member: value}});
    for (said, pointer) in [
        (info("percentage", json!(101)), "/operationInfo/percentage"),
        (info("percentage", json!(-2)), "/operationInfo/percentage"),
        (
            info("percentage", json!("half")),
            "/operationInfo/percentage",
        ),
        (
            info("stage", json!({"number": 3, "total": 2})),
            "/operationInfo/stage",
        ),
        (
            info("stage", json!({"number": 0, "total": 0})),
            "/operationInfo/stage",
        ),
        (
            info("operationDescription", json!("Flying")),
            "/operationInfo/operationDescription",
        ),
        (info("extraData", json!([1])), "/operationInfo/extraData"),
        (
            info("extraData", json!({"x": "y".repeat(70_000)})),
            "/operationInfo",
        ),
        (info("colour", json!("red")), "/operationInfo/colour"),
        (
            json!({"nonFatalError": {"code": 0, "message": "x"}}),
            "/nonFatalError/code",
        ),
        (json!({"nonFatalError": {"code": 3000}}), "/nonFatalError"),
        // The error alone would be good; together they are not taken.
        (
            with(
                info("percentage", json!(1)),
                json!({"nonFatalError": {"code": 3000, "message": "y".repeat(70_000)}}),
            ),
            "/nonFatalError",
        ),
        (
            with(
                info("stage", json!({"number": 2, "total": 1})),
                json!({"nonFatalError": {"code": 3000, "message": "y"}}),
            ),
            "/operationInfo/stage",
        ),
    ] {
        let params = with(said, json!({"lease": lease}));
        let error = executor.session.error("executors.update", params).await;
        assert_eq!(error["code"], -32602, "{error}");
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
    }
    let large = json!({"lease": lease, "result": "x".repeat(1 << 20)});
    let error = executor.session.error("executors.complete", large).await;
    assert_eq!(error["data"]["faults"][0]["pointer"], "/result", "{error}");
    let error = json!({"code": 3000, "message": "x".repeat((1 << 20) + 1)});
    let error = executor
        .session
        .error("executors.fail", json!({"lease": lease, "error": error}))
        .await;
    assert_eq!(error["data"]["faults"][0]["pointer"], "/error", "{error}");
    assert_eq!(manager.get("a").await, before);
    assert_eq!(manager.head().await, head);
    let limits = manager.ok("system.status", json!({})).await["limits"].clone();
    assert_eq!(
        (&limits["resultBytes"], &limits["reportBytes"]),
        (&json!(1 << 20), &json!(64 << 10))
    );
    let fits = json!({"lease": lease, "result": "x".repeat((1 << 20) - 2)});
    executor.say("executors.complete", fits).await;
}

#[tokio::test]
async fn a_kwarg_that_a_template_takes_must_be_there() {
    let home = Home::new();
    let daemon = home.start();
    let claims = json!([{"type": "vm", "id": "{vm}", "operation": "update"}]);
    let method = with(
        operation("vm.start"),
        json!({"object": "VM.{vm}", "claims": claims}),
    );
    let _executor = Attached::new(&daemon, "agent", json!([method])).await;
    let mut manager = daemon.connect().await;
    for kwargs in [json!({}), json!({"vm": ""}), json!({"vm": [1]})] {
        let params = json!({"methodName": "vm.start", "kwargs": kwargs});
        let error = manager.error("operations.register", params).await;
        assert_eq!(
            error["data"]["faults"][0]["pointer"], "/kwargs/vm",
            "{error}"
        );
        let error = manager.error("vm.start", kwargs).await;
        assert_eq!(error["data"]["faults"][0]["pointer"], "/vm", "{error}");
    }
}

/// Over HTTP nothing can be pushed, and nobody is attached.
#[tokio::test]
async fn executors_need_a_web_socket() {
    let home = Home::new();
    let daemon = home.start();
    let bearer = format!("Bearer {}", daemon.token);
    let headers = [("authorization", bearer.as_str())];
    for method in ["executors.attach", "executors.complete", "objects.publish"] {
        let body = crate::session::request_text(1, method, json!({}));
        let answer = crate::support::post(daemon.address, &headers, &body).await;
        assert!(answer.body.contains("needsWebSocket"), "{}", answer.body);
    }
}
