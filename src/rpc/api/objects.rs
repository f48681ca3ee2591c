//! Objects: how one stands, which there are, and which a filter matches.

use opstead_core::Cursor;
use opstead_schema::params::{FiltersTestParams, GetOperationInfoParams, ObjectsListParams};
use opstead_schema::results::Matches;
use opstead_schema::{ErrorCode, ErrorObject, ObjectInfo};
use serde::Serialize;
use serde_json::value::RawValue;

use super::list::{PageToken, Written};
use super::{Api, filter};
use crate::rpc::convert;

/// `ObjectsPage` with objects that are text already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenPage {
    objects: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    cursor: Cursor,
    log_id: String,
}

impl Api {
    pub async fn get_operation_info(
        &self,
        params: GetOperationInfoParams,
    ) -> Result<ObjectInfo, ErrorObject> {
        let snapshot = self.snapshot().await?;
        match snapshot.state.object(&params.alert_name) {
            Some(object) => Ok(convert::object(&object)),
            None => {
                let message = format!("there is no object {:?}", params.alert_name);
                Err(ErrorObject::new(ErrorCode::ObjectNotFound, message))
            }
        }
    }

    pub async fn list_objects(
        &self,
        params: ObjectsListParams,
    ) -> Result<WrittenPage, ErrorObject> {
        let filter = filter(params.filter_type, &params.filter)?;
        let query = PageToken::query(&(&params.filter, params.filter_type));
        let after = PageToken::read(params.page_token.as_deref(), query)?;
        let page_size = params.page_size as usize;
        self.beside(move |api, snapshot| {
            let head = filter.literal_head();
            let found = snapshot
                .state
                .objects_after(head, after.as_deref().unwrap_or_default())
                .filter(|object| filter.matches(&object.alert_name));
            let mut written = Written::new(api.limits.answer_bytes);
            let mut last = String::new();
            let mut next_page_token = None;
            for object in found {
                if written.len() == page_size || !written.add(&convert::object(&object))? {
                    next_page_token = Some(PageToken::write(&last, query));
                    break;
                }
                last = object.alert_name.to_string();
            }
            Ok(WrittenPage {
                objects: written.into_entries(),
                next_page_token,
                cursor: snapshot.cursor(),
                log_id: api.log_id.to_string(),
            })
        })
        .await
    }

    pub async fn test_filter(&self, params: FiltersTestParams) -> Result<Matches, ErrorObject> {
        let filter = filter(params.filter_type, &params.filter)?;
        if let Some(mut names) = params.names {
            names.retain(|name| filter.matches(name));
            return Ok(Matches { matches: names });
        }
        self.beside(move |api, snapshot| {
            let mut bytes = 0;
            let mut matches = Vec::new();
            for object in snapshot.state.objects_after(filter.literal_head(), "") {
                if filter.matches(&object.alert_name) {
                    bytes += object.alert_name.len() as u64 + 3;
                    if bytes > api.limits.answer_bytes {
                        return Err(api.answer_too_large("objects.list"));
                    }
                    matches.push(object.alert_name.to_string());
                }
            }
            Ok(Matches { matches })
        })
        .await
    }
}
