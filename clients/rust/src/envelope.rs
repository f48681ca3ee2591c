//! The envelopes of JSON-RPC: what a request is wrapped in, and what a message says it is.

use std::borrow::Cow;

use opstead_schema::ErrorObject;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Any message of the daemon: an answer or a notification.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    pub(crate) method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) params: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) id: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) error: Option<ErrorObject>,
}

/// What all notifications of a subscription have in common.
#[derive(Deserialize)]
pub(crate) struct Routing<'a> {
    #[serde(borrow)]
    pub(crate) subscription: Cow<'a, str>,
    #[serde(default)]
    pub(crate) cursor: u64,
}

/// The text of a call. The method may be any text; the parameters are JSON already.
pub(crate) fn request(id: u64, method: &str, params: &RawValue) -> String {
    let method = serde_json::Value::from(method);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cannot_be_broken_by_its_method() {
        let params = opstead_schema::empty_object();
        assert_eq!(
            request(0, "a\",\"id\":1", &params),
            r#"{"jsonrpc":"2.0","id":0,"method":"a\",\"id\":1","params":{}}"#
        );
    }

    #[test]
    fn an_escaped_subscription_is_read() {
        let routing: Routing<'_> =
            serde_json::from_str(r#"{"cursor":7,"x":[1],"subscription":"\u0061"}"#).unwrap();
        assert_eq!((routing.subscription.as_ref(), routing.cursor), ("a", 7));
    }
}
