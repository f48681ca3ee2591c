//! Makes `openrpc.json` from the table of methods and the types, and fails if the committed file is
//! another. Only tests are compiled with it: the daemon answers the committed text.

use std::collections::BTreeSet;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use crate::params::*;
use crate::results::*;
use crate::*;

/// Set to 1, the test writes the file that it expects.
const UPDATE: &str = "UPDATE_GENERATED";

/// Stands for foreign JSON that is known to be an object.
pub(crate) struct AnyObject;

impl JsonSchema for AnyObject {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyObject".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator()
}

/// The schema of a method's parameter struct, whose properties are its parameters.
fn params_schema(method: &str, generator: &mut SchemaGenerator) -> Value {
    let schema = match method {
        "getRunningTasks" => GetRunningTasksParams::json_schema(generator),
        "getOperationInfo" => GetOperationInfoParams::json_schema(generator),
        "objects.list" => ObjectsListParams::json_schema(generator),
        "operations.register" => RegisterParams::json_schema(generator),
        "operations.get" | "operations.cancel" | "operations.retry" | "operations.skip" => {
            OperationParams::json_schema(generator)
        }
        "flows.register" => FlowsRegisterParams::json_schema(generator),
        "operations.list" => OperationsListParams::json_schema(generator),
        "operations.wait" => OperationsWaitParams::json_schema(generator),
        "operations.dismiss" => OperationsDismissParams::json_schema(generator),
        "alerts.subscribe" => AlertsSubscribeParams::json_schema(generator),
        "alerts.unsubscribe" => AlertsUnsubscribeParams::json_schema(generator),
        "alerts.read" => AlertsReadParams::json_schema(generator),
        "filters.test" => FiltersTestParams::json_schema(generator),
        "executors.attach" => ExecutorsAttachParams::json_schema(generator),
        "executors.update" => ExecutorsUpdateParams::json_schema(generator),
        "executors.complete" => ExecutorsCompleteParams::json_schema(generator),
        "executors.fail" => ExecutorsFailParams::json_schema(generator),
        "executors.canceled" => ExecutorsCanceledParams::json_schema(generator),
        "executors.answer" => ExecutorsAnswerParams::json_schema(generator),
        "executors.capacity" => ExecutorsCapacityParams::json_schema(generator),
        "objects.publish" => ObjectsPublishParams::json_schema(generator),
        "objects.retire" => ObjectsRetireParams::json_schema(generator),
        "methods.list" | "executors.list" | "system.status" | "rpc.discover" => {
            NoParams::json_schema(generator)
        }
        unknown => panic!("say here which struct has the parameters of {unknown}"),
    };
    schema.to_value()
}

fn result_schema(result: &str, generator: &mut SchemaGenerator) -> Schema {
    match result {
        "TaskInfo[]" => generator.subschema_for::<Vec<TaskInfo>>(),
        "ObjectInfo" => generator.subschema_for::<ObjectInfo>(),
        "ObjectsPage" => generator.subschema_for::<ObjectsPage>(),
        "Registration" => generator.subschema_for::<Registration>(),
        "Operation" => generator.subschema_for::<Operation>(),
        "OperationsPage" => generator.subschema_for::<OperationsPage>(),
        "WaitResult" => generator.subschema_for::<WaitResult>(),
        "Dismissed" => generator.subschema_for::<Dismissed>(),
        "Subscribed" => generator.subschema_for::<Subscribed>(),
        "true" => json_schema!({"const": true}),
        "AlertsRead" => generator.subschema_for::<AlertsRead>(),
        "Matches" => generator.subschema_for::<Matches>(),
        "Attached" => generator.subschema_for::<Attached>(),
        "Taken" => generator.subschema_for::<Taken>(),
        "MethodsList" => generator.subschema_for::<MethodsList>(),
        "ExecutorsList" => generator.subschema_for::<ExecutorsList>(),
        "SystemStatus" => generator.subschema_for::<SystemStatus>(),
        "OpenRpcDocument" => json_schema!({"type": "object"}),
        unknown => panic!("say here which type is {unknown}"),
    }
}

fn method_object(method: &Method, generator: &mut SchemaGenerator) -> Value {
    let schema = params_schema(method.name, generator);
    let mut listed: Vec<&Param> = method.params.iter().collect();
    // OpenRPC wants required ones first; where that changes the places, the document offers names
    // only.
    listed.sort_by_key(|param| !param.required);
    let by_name_only = !listed.iter().copied().eq(method.params);
    let params: Vec<Value> = listed
        .iter()
        .map(|param| {
            let mut schema = schema["properties"][param.name].clone();
            if schema["items"]["$ref"].is_string() {
                schema["title"] = json!(type_name(method) + &capitalised(param.name));
            }
            json!({
                "name": param.name,
                "summary": param.summary,
                "required": param.required,
                "schema": schema,
            })
        })
        .collect();
    let errors: Vec<Value> = method
        .errors
        .iter()
        .map(|code| json!({"$ref": format!("#/components/errors/{}", code.reason())}))
        .collect();
    json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": if by_name_only { "by-name" } else { "either" },
        "params": params,
        "result": {"name": method.result, "schema": result_schema(method.result, generator)},
        "errors": errors,
        "x-mutates": method.mutates,
        "x-needsWebSocket": method.needs_web_socket,
        "x-waits": method.waits,
    })
}

fn errors() -> Map<String, Value> {
    ErrorCode::ALL
        .iter()
        .map(|code| {
            let error = json!({
                "code": code.code(),
                "message": code.description(),
                "data": {"reason": code.reason(), "retryable": code.retryable()},
            });
            (code.reason().to_owned(), error)
        })
        .collect()
}

fn document() -> Value {
    let mut generator = generator();
    let methods: Vec<Value> = METHODS
        .iter()
        .map(|method| method_object(method, &mut generator))
        .collect();
    let notifications = json!([
        {"name": "alert", "params": generator.subschema_for::<Alert>()},
        {"name": "alertBookmark", "params": generator.subschema_for::<AlertBookmark>()},
        {"name": "alertClosed", "params": generator.subschema_for::<AlertClosed>()},
        {"name": "assignment", "params": generator.subschema_for::<Assignment>()},
    ]);
    // Said in `data` of errors, which OpenRPC gives no schema.
    generator.subschema_for::<ErrorDetails>();
    let mut schemas = generator.take_definitions(true);
    for (name, schema) in &mut schemas {
        schema["title"] = json!(title(name));
    }
    sorted(json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Opstead",
            "version": "1",
            "description": "A durable operations daemon. Beside these methods it has those that \
                its subsystems declare (methods.list), called by their own names with their own \
                kwargs and answered with a Registration, or for a query with its answer.",
            "license": {"name": "Apache-2.0"},
        },
        "methods": methods,
        "components": {"schemas": schemas, "errors": errors()},
        "x-notifications": notifications,
    }))
}

/// What a generator of clients is to call a type: those that follow references see titles only.
/// They name a method's type after the method, so a result whose type bears that name needs another.
fn title(name: &str) -> String {
    match METHODS.iter().any(|method| type_name(method) == name) {
        true => format!("{name}Result"),
        false => name.to_owned(),
    }
}

/// The name that a generator makes of a method's: `MethodsList` of `methods.list`.
fn type_name(method: &Method) -> String {
    let parts = method.name.split('.');
    parts.map(capitalised).collect()
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// The same value with keys in order, whatever map serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            members
                .into_iter()
                .map(|(name, member)| (name, sorted(member)))
                .collect()
        }
        Value::Array(entries) => entries.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}

#[test]
fn the_committed_document_is_fresh() {
    let fresh = format!("{:#}\n", document());
    if fresh == OPENRPC {
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openrpc.json");
    assert!(
        std::env::var_os(UPDATE).is_some_and(|value| value == "1"),
        "schema/openrpc.json is stale: run `{UPDATE}=1 cargo test -p opstead-schema` and commit it"
    );
    std::fs::write(path, fresh).expect("schema/openrpc.json can be written");
}

#[test]
fn the_table_and_the_parameter_structs_agree() {
    for method in METHODS {
        let schema = params_schema(method.name, &mut generator());
        let known: BTreeSet<String> = match &schema["properties"] {
            Value::Object(properties) => properties.keys().cloned().collect(),
            _ => BTreeSet::new(),
        };
        let required: BTreeSet<String> =
            serde_json::from_value(schema.get("required").cloned().unwrap_or(json!([]))).unwrap();
        let params = method.params.iter();
        let table: BTreeSet<String> = params.clone().map(|param| param.name.to_owned()).collect();
        let table_required: BTreeSet<String> = params
            .filter(|param| param.required)
            .map(|param| param.name.to_owned())
            .collect();
        assert_eq!(known, table, "{}", method.name);
        assert_eq!(required, table_required, "{}", method.name);
        assert_eq!(
            schema["additionalProperties"],
            json!(false),
            "{}",
            method.name
        );
    }
}

#[test]
fn methods_have_one_name_each() {
    let names: BTreeSet<_> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(names.len(), METHODS.len());
    assert!(
        METHODS
            .iter()
            .all(|known| method(known.name) == Some(known))
    );
    assert_eq!(method("operations.nonsense"), None);
}

#[test]
fn a_generator_gives_each_type_a_name_of_its_own() {
    let document: Value = serde_json::from_str(OPENRPC).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let titles = schemas.values().map(|schema| schema["title"].as_str());
    let titles: Vec<String> = titles.map(|title| title.unwrap().to_owned()).collect();
    let names = titles.into_iter().chain(METHODS.iter().map(type_name));
    let distinct: BTreeSet<String> = names.collect();
    assert_eq!(distinct.len(), schemas.len() + METHODS.len());
}

/// What OpenRPC 1.3 asks for and JSON Schema of the parts cannot say: references lead somewhere.
#[test]
fn every_reference_leads_somewhere() {
    fn check(value: &Value, root: &Value, seen: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("references are local");
                    assert!(root.pointer(pointer).is_some(), "{reference}");
                    *seen += 1;
                }
                members
                    .values()
                    .for_each(|member| check(member, root, seen));
            }
            Value::Array(entries) => entries.iter().for_each(|entry| check(entry, root, seen)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(OPENRPC).unwrap();
    let mut seen = 0;
    check(&document, &document, &mut seen);
    assert!(seen > 50, "{seen}");
}
