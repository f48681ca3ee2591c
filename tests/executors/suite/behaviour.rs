//! What the executor of the suite does, wherever it is: the kwargs say what.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use opstead::engine::executor as inside;
use opstead_client as outside;
use opstead_client::schema::params::InfoUpdate;
use opstead_client::schema::{ErrorObject, Json, OperationDescription, Stage, to_json};
use opstead_core as core;
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};

/// The executor of the suite.
#[derive(Clone)]
pub(crate) struct Puppet {
    started: mpsc::UnboundedSender<String>,
    returned: mpsc::UnboundedSender<()>,
    pub(crate) declarations: Arc<Vec<Arc<core::Declaration>>>,
}

/// What the test sees of it.
pub(crate) struct Strings {
    started: Mutex<mpsc::UnboundedReceiver<String>>,
    returned: Mutex<mpsc::UnboundedReceiver<()>>,
}

impl Strings {
    /// The id of the next operation that it began.
    pub(crate) async fn started(&self) -> String {
        self.started.lock().await.recv().await.unwrap()
    }

    /// A stubborn attempt has returned.
    pub(crate) async fn returned(&self) {
        self.returned.lock().await.recv().await.unwrap();
    }
}

impl Puppet {
    pub(crate) fn new(declarations: Vec<Arc<core::Declaration>>) -> (Self, Strings) {
        let (started, starts) = mpsc::unbounded_channel();
        let (returned, returns) = mpsc::unbounded_channel();
        let puppet = Self {
            started,
            returned,
            declarations: Arc::new(declarations),
        };
        let strings = Strings {
            started: Mutex::new(starts),
            returned: Mutex::new(returns),
        };
        (puppet, strings)
    }
}

#[derive(Deserialize)]
struct Wish {
    r#do: String,
    #[serde(default)]
    text: String,
}

/// What an attempt may say, in either place.
pub(crate) trait Report: Send + Sync {
    fn id(&self) -> String;
    fn progress(&self, update: InfoUpdate);
    fn non_fatal_error(&self, code: i32);
    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Does as the kwargs say.
pub(crate) async fn perform(
    puppet: &Puppet,
    report: impl Report,
    kwargs: &str,
) -> Result<Json, ErrorObject> {
    let wish: Wish = serde_json::from_str(kwargs).unwrap();
    puppet.started.send(report.id()).unwrap();
    match wish.r#do.as_str() {
        "complete" => Ok(serde_json::from_str(&wish.text).unwrap()),
        "fail" => Err(ErrorObject {
            code: 3123,
            message: "as asked".to_owned(),
            data: serde_json::from_str(r#"{"x":1}"#).unwrap(),
        }),
        "panic" => panic!("as asked"),
        "report" => {
            report.progress(InfoUpdate {
                operation_description: Some(OperationDescription::Copying),
                stage: Some(Stage {
                    number: 0,
                    total: 2,
                }),
                ..InfoUpdate::default()
            });
            report.non_fatal_error(3001);
            report.progress(InfoUpdate {
                stage_description: Some("second half".to_owned()),
                extra_data: serde_json::from_str(r#"{"y":2}"#).unwrap(),
                ..InfoUpdate::default()
            });
            report.non_fatal_error(3002);
            Ok(to_json(&()).unwrap())
        }
        "hold" => {
            report.canceled().await;
            Err(outside::Task::stopped())
        }
        "break" => {
            report.canceled().await;
            Err(ErrorObject {
                code: 3124,
                message: "broken on the way out".to_owned(),
                data: None,
            })
        }
        "stubborn" => {
            report.canceled().await;
            // Nobody may be there any more who wants to know.
            let _ = puppet.returned.send(());
            Ok(to_json(&()).unwrap())
        }
        other => panic!("{other:?} is not to be done"),
    }
}

impl Report for inside::TaskContext {
    fn id(&self) -> String {
        self.operation_id().to_owned()
    }

    fn progress(&self, update: InfoUpdate) {
        self.progress(core::InfoUpdate {
            description: update
                .operation_description
                .map(|word| word.as_str().into()),
            stage_description: update.stage_description.map(Into::into),
            stage: update.stage.map(|stage| core::Stage {
                number: stage.number,
                total: stage.total,
            }),
            extra_data: update.extra_data.map(Into::into),
            ..core::InfoUpdate::default()
        });
    }

    fn non_fatal_error(&self, code: i32) {
        self.non_fatal_error(core::Failure::new(code, "as asked", "asked", false));
    }

    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.canceled())
    }
}

impl Report for outside::Task {
    fn id(&self) -> String {
        self.operation_id().to_owned()
    }

    fn progress(&self, update: InfoUpdate) {
        self.progress(update);
    }

    fn non_fatal_error(&self, code: i32) {
        self.non_fatal_error(ErrorObject {
            code,
            message: "as asked".to_owned(),
            data: None,
        });
    }

    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.canceled())
    }
}

impl inside::Executor for Puppet {
    fn name(&self) -> &str {
        "suite"
    }

    fn capacity(&self) -> u32 {
        4
    }

    fn declarations(&self) -> Vec<Arc<core::Declaration>> {
        self.declarations.to_vec()
    }

    fn execute(&self, task: inside::TaskContext, arguments: core::Json) -> inside::Work<'_> {
        Box::pin(async move {
            let done = perform(self, task, arguments.as_str()).await;
            done.map(Into::into).map_err(|error| core::Failure {
                code: error.code,
                message: error.message.into(),
                data: error.data.map(Into::into),
            })
        })
    }

    fn query(&self, _: inside::QueryContext, arguments: core::Json) -> inside::Work<'_> {
        Box::pin(async move { Ok(answer(arguments.as_str()).into()) })
    }
}

impl outside::Executor for Puppet {
    async fn execute(&self, task: outside::Task, kwargs: Json) -> Result<Json, ErrorObject> {
        perform(self, task, kwargs.get()).await
    }

    async fn query(&self, _: &str, kwargs: Json) -> Result<Json, ErrorObject> {
        Ok(answer(kwargs.get()))
    }
}

fn answer(kwargs: &str) -> Json {
    let kwargs: serde_json::Value = serde_json::from_str(kwargs).unwrap();
    to_json(&format!("{}?", kwargs["word"].as_str().unwrap())).unwrap()
}
