//! Values of the configuration file that are narrower than their TOML types: counts, hosts, origins.
//! An error says what is allowed; where it is in the file, TOML's reader adds.

use std::fmt;
use std::marker::PhantomData;
use std::net::Ipv6Addr;
use std::num::NonZeroU64;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a number that is not 0, for a member that may be left out.
pub(super) fn count<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<NonZeroU64>,
{
    let count = deserializer.deserialize_i64(CountVisitor(PhantomData))?;
    Ok(Some(count))
}

/// Reads names of this machine, each with a port or without.
pub(super) fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let hosts = Vec::<Host>::deserialize(deserializer)?;
    Ok(hosts.into_iter().map(|host| host.0).collect())
}

/// Reads origins of web pages.
pub(super) fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<Origin>::deserialize(deserializer)?;
    Ok(origins.into_iter().map(|origin| origin.0).collect())
}

struct CountVisitor<T>(PhantomData<T>);

/// What a header `Host` can say.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Host(String);

/// What a header `Origin` can say.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Origin(String);

impl<T: TryFrom<NonZeroU64>> Visitor<'_> for CountVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only 32 bits are narrower than what TOML can say.
        match size_of::<T>() {
            4 => write!(
                formatter,
                "an integer of at least 1 and at most {}",
                u32::MAX
            ),
            _ => formatter.write_str("an integer of at least 1"),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        u64::try_from(number)
            .ok()
            .and_then(NonZeroU64::new)
            .and_then(|count| T::try_from(count).ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match is_host(&text) {
            true => Ok(Self(text)),
            false => Err(format!(
                "{text:?} is no host; give a name or an address, with a port or without, as \
                 \"storage.example\" or \"storage.example:8080\""
            )),
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_scheme = |scheme: &str| {
            let mut bytes = scheme.bytes();
            !scheme.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        match text.split_once("://") {
            Some((scheme, host)) if is_scheme(scheme) && is_host(host) => Ok(Self(text)),
            _ => Err(format!(
                "{text:?} is no origin; give scheme and host without a path, as \
                 \"https://manager.example\""
            )),
        }
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let mut bytes = name.bytes();
            !name.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_names_or_addresses() {
        for good in [
            "a",
            "storage.example",
            "storage.example:8080",
            "192.0.2.7",
            "[::1]",
            "[::1]:80",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            "http://x",
            "x/",
            "*.example",
            "a,b",
            "a b",
            "u@x",
            "::1",
            "[x]",
            "x:",
            "x:port",
            ":80",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn origins_have_scheme_and_host() {
        for (text, is_origin) in [
            ("https://manager.example", true),
            ("http://[::1]:3000", true),
            ("tauri://localhost", true),
            ("x", false),
            ("null", false),
            ("://x", false),
            ("https://", false),
            ("https://manager.example/", false),
        ] {
            assert_eq!(
                Origin::try_from(text.to_owned()).is_ok(),
                is_origin,
                "{text}"
            );
        }
    }
}
