//! How values of options are read.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use opstead_client::schema::params::FilterType;
use opstead_client::schema::{OperationState, Resource};

pub(super) fn filter_type() -> impl TypedValueParser<Value = FilterType> {
    let words = [
        PossibleValue::new("glob"),
        PossibleValue::new("regexp").alias("regex"),
    ];
    PossibleValuesParser::new(words).map(|word| match word.as_str() {
        "glob" => FilterType::Glob,
        _ => FilterType::Regexp,
    })
}

pub(super) fn state() -> impl TypedValueParser<Value = OperationState> {
    PossibleValuesParser::new(OperationState::ALL.iter().map(|state| state.as_str())).try_map(
        |word| {
            let mut states = OperationState::ALL.iter().copied();
            states
                .find(|state| state.as_str() == word)
                .ok_or("no such state")
        },
    )
}

pub(super) fn resource(text: &str) -> Result<Resource, String> {
    match text.split_once(':') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok(Resource {
            kind: kind.to_owned(),
            id: id.to_owned(),
        }),
        _ => Err("expected TYPE:ID, like image:a".to_owned()),
    }
}
