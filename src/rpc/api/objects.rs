//! Objects: how one stands, which there are, and which a filter matches.

use opstead_schema::params::{FiltersTestParams, GetOperationInfoParams, ObjectsListParams};
use opstead_schema::results::{Matches, ObjectsPage};
use opstead_schema::{ErrorCode, ErrorObject, ObjectInfo};

use super::list::PageToken;
use super::{Api, filter};
use crate::rpc::convert;

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
    ) -> Result<ObjectsPage, ErrorObject> {
        let filter = filter(params.filter_type, &params.filter)?;
        let query = PageToken::query(&(&params.filter, params.filter_type));
        let after = PageToken::read(params.page_token.as_deref(), query)?;
        let page_size = params.page_size as usize;
        self.beside(move |api, snapshot| {
            let head = filter.literal_head();
            let mut found = snapshot
                .state
                .objects_after(head, after.as_deref().unwrap_or_default())
                .filter(|object| filter.matches(&object.alert_name));
            let objects: Vec<_> = found.by_ref().take(page_size).collect();
            let more = objects.last().filter(|_| found.next().is_some());
            Ok(ObjectsPage {
                next_page_token: more.map(|last| PageToken::write(&last.alert_name, query)),
                objects: objects.iter().map(convert::object).collect(),
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
