//! What holds for the sources as a whole: who may import whom, what the manifests may depend on,
//! how long a file may be, and that what the documents name exists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client_sample;
mod documents;
mod executor_sample;
mod files;
mod flow_sample;
mod imports;
mod manifests;
mod methods;
mod paths;
mod protocol;
mod session;
mod workspace;
