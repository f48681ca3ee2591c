//! Which method of the table does what. A test holds this against `opstead_schema::METHODS`.

use opstead_core::{Json, MethodKind};
use opstead_schema::params::{AlertsReadParams, AlertsUnsubscribeParams, NoParams, parse_params};
use opstead_schema::{ErrorObject, OPENRPC, method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::api::Api;
use super::errors::invalid_param;
use super::method::{Answer, Call, Later, MethodTable, Reply, method_not_found};

/// The methods of a manager, in front of the api.
pub fn method_table(api: &Api) -> MethodTable {
    let mut table = MethodTable::default();
    reads(&mut table, api);
    changes(&mut table, api);
    alerts(&mut table, api);
    executors(&mut table, api);
    let declared = api.clone();
    table.fallback(move |call| call_declared(&declared, call));
    table
}

/// Registers a method that only looks.
macro_rules! read {
    ($table:ident, $api:ident, $name:literal, $method:ident) => {
        let api = $api.clone();
        $table.method($name, move |call| {
            let params = params(&call)?;
            let api = api.clone();
            soon(call, async move { api.$method(params).await })
        });
    };
    ($table:ident, $api:ident, $name:literal, $method:ident, paged $paged:literal) => {
        let api = $api.clone();
        $table.unpaged_method($name, $paged, move |call| {
            let params = params(&call)?;
            let api = api.clone();
            soon(call, async move { api.$method(params).await })
        });
    };
    ($table:ident, $api:ident, $name:literal, $method:ident, no params) => {
        let api = $api.clone();
        $table.method($name, move |call| {
            let NoParams {} = params(&call)?;
            let api = api.clone();
            soon(call, async move { api.$method().await })
        });
    };
}

fn reads(table: &mut MethodTable, api: &Api) {
    read!(table, api, "getRunningTasks", get_running_tasks, paged "operations.list");
    read!(table, api, "getOperationInfo", get_operation_info);
    read!(table, api, "objects.list", list_objects);
    read!(table, api, "operations.get", get_operation);
    read!(table, api, "operations.list", list_operations);
    read!(table, api, "filters.test", test_filter, paged "objects.list");
    read!(table, api, "methods.list", list_methods, no params);
    read!(table, api, "executors.list", list_executors, no params);
    read!(table, api, "system.status", status, no params);
    let api = api.clone();
    table.unpaged_method("operations.wait", "operations.list", move |call| {
        let params = params(&call)?;
        let api = api.clone();
        let answerer = call.answerer;
        Reply::wait(async move { answerer.json(&api.wait(params).await?) })
    });
    let document: &RawValue = serde_json::from_str(OPENRPC).expect("the document is JSON");
    table.method("rpc.discover", move |call| {
        let NoParams {} = params(&call)?;
        Ok(Answer::raw(document.to_owned()).into())
    });
}

/// These hand their orders over before they return, so that they take effect in the order sent.
fn changes(table: &mut MethodTable, api: &Api) {
    let register = api.clone();
    table.method("operations.register", move |call| {
        soon(
            call,
            register.register(
                params(&call)?,
                &call.connection.identity(),
                call.connection.id(),
            ),
        )
    });
    let cancel = api.clone();
    table.method("operations.cancel", move |call| {
        soon(call, cancel.cancel(params(&call)?))
    });
    let flow = api.clone();
    table.method("flows.register", move |call| {
        soon(
            call,
            flow.register_flow(
                params(&call)?,
                &call.connection.identity(),
                call.connection.id(),
            ),
        )
    });
    let retry = api.clone();
    table.method("operations.retry", move |call| {
        soon(call, retry.retry(params(&call)?))
    });
    let skip = api.clone();
    table.method("operations.skip", move |call| {
        soon(call, skip.skip(params(&call)?))
    });
    let dismiss = api.clone();
    table.method("operations.dismiss", move |call| {
        soon(call, dismiss.dismiss(params(&call)?))
    });
}

fn alerts(table: &mut MethodTable, api: &Api) {
    let subscribe = api.clone();
    table.subscription("alerts.subscribe", move |call, push| {
        let params = params(&call)?;
        let id = call.connection.new_subscription();
        let api = subscribe.clone();
        let opened: Later<_> = Box::pin(async move { api.subscribe(params, push, id).await });
        Ok(opened)
    });
    let leave = api.clone();
    table.web_socket_method("alerts.unsubscribe", move |call| {
        let AlertsUnsubscribeParams { subscription } = params(&call)?;
        if call.connection.unsubscribe(&subscription) {
            leave.leave(call.connection.id(), &subscription);
            return Ok(Answer::small(&true)?.into());
        }
        let message = format!("this connection has no subscription {subscription:?}");
        Err(invalid_param("/subscription", &message))
    });
    let read = api.clone();
    table.method("alerts.read", move |call| {
        let params: AlertsReadParams = params(&call)?;
        let waits = params.timeout_ms > 0;
        let api = read.clone();
        let answer = async move { api.read_alerts(params).await };
        if waits {
            Reply::wait(answer)
        } else {
            Reply::soon(answer)
        }
    });
}

/// Registers a method that an executor says something by.
macro_rules! say {
    ($table:ident, $api:ident, $name:literal, $method:ident) => {
        let api = $api.clone();
        $table.web_socket_method($name, move |call| {
            soon(call, api.$method(params(&call)?, call.connection.id()))
        });
    };
}

fn executors(table: &mut MethodTable, api: &Api) {
    let attach = api.clone();
    table.subscription("executors.attach", move |call, push| {
        let id = call.connection.new_subscription();
        attach.attach(params(&call)?, push, id, call.connection.id())
    });
    say!(table, api, "executors.update", update);
    say!(table, api, "executors.complete", complete);
    say!(table, api, "executors.fail", fail);
    say!(table, api, "executors.canceled", canceled);
    say!(table, api, "executors.capacity", set_capacity);
    say!(table, api, "objects.publish", publish);
    say!(table, api, "objects.retire", retire);
    let answer = api.clone();
    table.web_socket_method("executors.answer", move |call| {
        let taken = answer.answer_query(params(&call)?, call.connection.id())?;
        Ok(Answer::small(&taken)?.into())
    });
}

/// `<subsystem>.<method>`: registers an operation, or answers a query.
fn call_declared(api: &Api, call: Call<'_>) -> Result<Reply, ErrorObject> {
    let kind = api
        .declared(call.method)
        .ok_or_else(|| method_not_found(call.method))?;
    let kwargs = match call.params.map(str::trim_start) {
        None | Some("null") => Json::empty_object(),
        Some(text) if is_empty_array(text) => Json::empty_object(),
        Some(text) if text.starts_with('{') => {
            Json::from_text(text).map_err(|error| invalid_param("", &error.to_string()))?
        }
        Some(_) => {
            let message = "the kwargs of a subsystem's method are given by name, as an object";
            return Err(invalid_param("", message));
        }
    };
    match kind {
        MethodKind::Operation => {
            let registered_by = call.connection.identity();
            soon(
                call,
                api.register_by_name(call.method, kwargs, &registered_by),
            )
        }
        MethodKind::Query => {
            let (api, method) = (api.clone(), call.method.to_owned());
            Reply::soon(async move { api.query(&method, kwargs).await.map(Answer::raw) })
        }
    }
}

/// Nothing by position is the same as nothing by name.
fn is_empty_array(text: &str) -> bool {
    let inner = text.trim().strip_prefix('[');
    let inner = inner.and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|text| text.trim().is_empty())
}

fn params<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, ErrorObject> {
    let method = method(call.method).expect("what is registered is in the table");
    Ok(parse_params(method, call.params)?)
}

/// An answer that is written when it is there.
fn soon<T: Serialize>(
    call: Call<'_>,
    answer: impl Future<Output = Result<T, ErrorObject>> + Send + 'static,
) -> Result<Reply, ErrorObject> {
    let answerer = call.answerer;
    Reply::soon(async move { answerer.json(&answer.await?) })
}
