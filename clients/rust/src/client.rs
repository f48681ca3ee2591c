//! `Client`: the calls. What they are answered with is the schema's.

use std::sync::Arc;
use std::time::Duration;

use opstead_schema::params::{
    AlertsReadParams, FiltersTestParams, FlowsRegisterParams, GetOperationInfoParams,
    GetRunningTasksParams, NoParams, ObjectsListParams, OperationParams, OperationsDismissParams,
    OperationsListParams, OperationsWaitParams, RegisterParams, TIMEOUT_MOST_MS,
};
use opstead_schema::results::{
    AlertsRead, Dismissed, ExecutorsList, Matches, MethodsList, ObjectsPage, OperationsPage,
    WaitResult,
};
use opstead_schema::{
    Alert, ExecutorInfo, Json, MethodDeclaration, ObjectInfo, Operation, Registration,
    SystemStatus, TaskInfo, to_json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::connection::{Connection, serve};
use crate::session::Shared;
use crate::{ClientConfig, Error, Filter, SubscribeOptions, Subscription, Target, Watch};

/// A client of one daemon. Clones share its connection.
#[derive(Clone)]
pub struct Client {
    pub(crate) handle: Arc<Handle>,
}

/// Keeps the connection for as long as a client or a subscription is left.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Client {
    /// Connects, once; from then on a lost connection is made anew.
    ///
    /// # Errors
    /// [`Error::Connect`] when nobody is there, [`Error::Refused`] with `unauthenticated` when the
    /// token is not the daemon's, [`Error::Token`] when there is none to be had.
    pub async fn connect(target: Target, config: ClientConfig) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(target, config));
        let connection = Connection::establish(&shared).await?;
        let mut status = shared.status();
        let handle = Arc::new(Handle {
            shared: Arc::clone(&shared),
        });
        tokio::spawn(serve(shared, connection));
        // The first connection may be lost again before this is seen; it has been there, though.
        let _ended = status.changed().await;
        Ok(Self { handle })
    }

    /// Where the daemon is.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.handle.shared.target
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.handle.shared.present().is_some()
    }

    /// Waits until there is a connection; at once if there is one.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub async fn wait_for_reconnect(&self, within: Duration) -> Result<(), Error> {
        timeout(within, self.handle.shared.connected())
            .await
            .map_err(|_| Error::TimedOut)?
    }

    /// Waits until there is no connection; at once if there is none.
    pub async fn wait_for_disconnect(&self) {
        self.handle.shared.disconnected().await;
    }

    /// Calls any method with anything that is a JSON object or array.
    ///
    /// # Errors
    /// [`Error::Disconnected`] and [`Error::TimedOut`] leave open whether the call took effect;
    /// [`Error::Refused`]; [`Error::Protocol`] when the answer is no `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        let within = self.handle.shared.config.call_timeout;
        self.call_within(method, params, within).await
    }

    /// As [`Self::call`], with a time limit of its own.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &(impl Serialize + ?Sized),
        within: Duration,
    ) -> Result<T, Error> {
        let params = to_json(params).map_err(Error::Params)?;
        let answer = self.handle.shared.call(method, &params, within).await?;
        serde_json::from_str(answer.get()).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Calls any method with JSON, and gives back the JSON that it answered, as it came.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_raw(&self, method: &str, params: &RawValue) -> Result<Json, Error> {
        self.handle
            .shared
            .call(method, params, self.handle.shared.config.call_timeout)
            .await
    }

    /// Registers an operation. With an id of its own the same request can be repeated until it is
    /// answered.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn register(&self, params: &RegisterParams) -> Result<Registration, Error> {
        self.call("operations.register", params).await
    }

    /// Registers a flow: operations that succeed or are reverted together. With an id of its own
    /// the same request can be repeated until it is answered.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn register_flow(&self, params: &FlowsRegisterParams) -> Result<Registration, Error> {
        self.call("flows.register", params).await
    }

    /// Every operation that is not done and whose **id** matches.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn get_running_tasks(
        &self,
        filter: impl Into<Filter>,
    ) -> Result<Vec<TaskInfo>, Error> {
        let Filter {
            pattern: filter,
            filter_type,
        } = filter.into();
        self.call(
            "getRunningTasks",
            &GetRunningTasksParams {
                filter,
                filter_type,
            },
        )
        .await
    }

    /// How an object stands.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn get_operation_info(
        &self,
        alert_name: impl Into<String>,
    ) -> Result<ObjectInfo, Error> {
        let params = GetOperationInfoParams {
            alert_name: alert_name.into(),
        };
        self.call("getOperationInfo", &params).await
    }

    /// The whole record of an operation.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn operation(&self, id: impl Into<String>) -> Result<Operation, Error> {
        self.call("operations.get", &OperationParams { id: id.into() })
            .await
    }

    /// Cancels an operation.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn cancel(&self, id: impl Into<String>) -> Result<Operation, Error> {
        self.call("operations.cancel", &OperationParams { id: id.into() })
            .await
    }

    /// Reverts again what could not be reverted: a step, or by the flow's id all such steps of it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn retry(&self, id: impl Into<String>) -> Result<Operation, Error> {
        self.call("operations.retry", &OperationParams { id: id.into() })
            .await
    }

    /// Takes for reverted what could not be reverted: a step, or by the flow's id all such steps.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn skip(&self, id: impl Into<String>) -> Result<Operation, Error> {
        self.call("operations.skip", &OperationParams { id: id.into() })
            .await
    }

    /// A page of the operations that are kept.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn list_operations(
        &self,
        params: &OperationsListParams,
    ) -> Result<OperationsPage, Error> {
        self.call("operations.list", params).await
    }

    /// A page of the objects there are.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn list_objects(&self, params: &ObjectsListParams) -> Result<ObjectsPage, Error> {
        self.call("objects.list", params).await
    }

    /// Forgets operations that are done.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn dismiss(&self, params: &OperationsDismissParams) -> Result<Dismissed, Error> {
        self.call("operations.dismiss", params).await
    }

    /// The alerts after a cursor, without a subscription.
    ///
    /// # Errors
    /// As [`Self::call`], and [`Error::CursorExpired`].
    pub async fn read_alerts(&self, params: &AlertsReadParams) -> Result<AlertsRead, Error> {
        let own = Duration::from_millis(params.timeout_ms.min(TIMEOUT_MOST_MS));
        let within = own + self.handle.shared.config.call_timeout;
        self.call_within("alerts.read", params, within).await
    }

    /// Which of the names a filter matches; of the present alert names if none are given.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn test_filter(
        &self,
        filter: impl Into<Filter>,
        names: Option<Vec<String>>,
    ) -> Result<Vec<String>, Error> {
        let Filter {
            pattern: filter,
            filter_type,
        } = filter.into();
        let params = FiltersTestParams {
            filter,
            filter_type,
            names,
        };
        let Matches { matches } = self.call("filters.test", &params).await?;
        Ok(matches)
    }

    /// What is declared.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn methods(&self) -> Result<Vec<MethodDeclaration>, Error> {
        let MethodsList { methods } = self.call("methods.list", &NoParams {}).await?;
        Ok(methods)
    }

    /// Who carries out methods.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn executors(&self) -> Result<Vec<ExecutorInfo>, Error> {
        let ExecutorsList { executors } = self.call("executors.list", &NoParams {}).await?;
        Ok(executors)
    }

    /// How the daemon is.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn status(&self) -> Result<SystemStatus, Error> {
        self.call("system.status", &NoParams {}).await
    }

    /// Waits until nothing more will happen to the operation, also over disconnections: asking
    /// changes nothing, so it is asked again.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Refused`], of an id that is not known for one.
    pub async fn wait_for_operation(
        &self,
        id: impl Into<String>,
        within: Duration,
    ) -> Result<Operation, Error> {
        let started = Instant::now();
        let config = &self.handle.shared.config;
        let mut backoff = Backoff::new(config.backoff, config.backoff_most);
        let mut params = OperationsWaitParams {
            ids: Some(vec![id.into()]),
            ..OperationsWaitParams::default()
        };
        loop {
            let left = within.saturating_sub(started.elapsed());
            let left_ms = u64::try_from(left.as_millis()).unwrap_or(TIMEOUT_MOST_MS);
            params.timeout_ms = left_ms.min(TIMEOUT_MOST_MS);
            match self.wait(&params).await {
                Ok(answer) => {
                    if let Some(operation) = answer.operations.into_iter().find(|found| found.done)
                    {
                        return Ok(operation);
                    }
                    if left.is_zero() {
                        return Err(Error::TimedOut);
                    }
                }
                Err(Error::Disconnected) => self.wait_for_reconnect(left).await?,
                // A daemon that is ending says so before the connection is gone.
                Err(error) if error.is_passing() && !left.is_zero() => {
                    sleep(backoff.delay().min(left)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for operations as the parameters say; a time-out is told in the answer.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn wait(&self, params: &OperationsWaitParams) -> Result<WaitResult, Error> {
        let own = Duration::from_millis(params.timeout_ms.min(TIMEOUT_MOST_MS));
        let within = own + self.handle.shared.config.call_timeout;
        self.call_within("operations.wait", params, within).await
    }

    /// Subscribes to alerts; live when it returns.
    ///
    /// # Errors
    /// As [`Self::call`], and [`Error::CursorExpired`].
    pub async fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription, Error> {
        Subscription::open(Arc::clone(&self.handle), options).await
    }

    /// Watches alert names from now on: first watch, then register, and nothing can be missed.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn watch(&self, filter: impl Into<Filter>) -> Result<Watch, Error> {
        self.subscribe(SubscribeOptions::new(filter))
            .await
            .map(Watch::new)
    }

    /// Waits for the first alert from now on; one filter can be for any number of objects. What
    /// happens between two such calls is not seen: for that, [`Self::watch`].
    ///
    /// # Errors
    /// As [`Watch::wait_for_event`].
    pub async fn wait_for_event(
        &self,
        filter: impl Into<Filter>,
        within: Duration,
    ) -> Result<Alert, Error> {
        let first = async {
            let mut subscription = self.subscribe(SubscribeOptions::new(filter)).await?;
            subscription.next_connected().await
        };
        timeout(within, first).await.unwrap_or(Err(Error::TimedOut))
    }
}
