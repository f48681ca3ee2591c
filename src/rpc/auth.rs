//! Who is calling, and from which page: the token, the peer's uid, the headers `Host` and `Origin`.
//! What is done about a caller without access is the middleware's.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::{HeaderMap, Request};

use super::token::Token;

/// What a caller may do. There is one kind of user as yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything, under this name: `token:admin`, `uid:0`.
    Granted(Arc<str>),
    /// No token, or a wrong one.
    Unauthenticated,
    /// A known caller who may not.
    Denied,
}

/// Decides about callers over TCP.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    token: Token,
    administrator: Arc<str>,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Doorkeeper {
    /// `hosts` and `origins` are allowed beside the names of this machine itself.
    pub(super) fn new(token: Token, hosts: &[String], origins: &[String]) -> Self {
        Self {
            token,
            administrator: Arc::from("token:admin"),
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            origins: origins
                .iter()
                .map(|origin| origin.to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether the request shows the token.
    pub(super) fn access(&self, headers: &HeaderMap) -> Access {
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        match shown {
            Some((_, token)) if self.token.matches(token.trim()) => {
                Access::Granted(Arc::clone(&self.administrator))
            }
            _ => Access::Unauthenticated,
        }
    }

    /// Refuses a request that a page of somebody else made in a browser: under a foreign name of
    /// this address, or from a foreign origin. `local` is the address that the client connected to,
    /// nothing on a Unix socket, which no browser reaches.
    pub(super) fn check<B>(
        &self,
        request: &Request<B>,
        local: Option<IpAddr>,
    ) -> Result<(), &'static str> {
        if local.is_some() {
            let named = request
                .headers()
                .get_all(HOST)
                .iter()
                .map(|value| value.to_str().ok());
            let target = request
                .uri()
                .authority()
                .map(|authority| Some(authority.as_str()));
            for host in named.chain(target) {
                if !host.is_some_and(|host| self.is_own_host(host, local)) {
                    return Err("Host not allowed\n");
                }
            }
        }
        for origin in request.headers().get_all(ORIGIN) {
            if !origin
                .to_str()
                .is_ok_and(|origin| self.is_own_origin(origin, local))
            {
                return Err("Origin not allowed\n");
            }
        }
        Ok(())
    }

    fn is_own_origin(&self, origin: &str, local: Option<IpAddr>) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.contains(&origin)
            || origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"))
                .is_some_and(|host| self.is_own_host(host, local))
    }

    /// The port does not matter: a browser that was led here under another name shows that name.
    fn is_own_host(&self, authority: &str, local: Option<IpAddr>) -> bool {
        let authority = authority.to_ascii_lowercase();
        let host = without_port(&authority);
        if host == "localhost"
            || self
                .hosts
                .iter()
                .any(|own| own == host || *own == authority)
        {
            return true;
        }
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        address.is_ok_and(|address| {
            address.is_loopback() || local.is_some_and(|local| local.to_canonical() == address)
        })
    }
}

fn without_port(authority: &str) -> &str {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

/// The access of the peer of a Unix socket: the daemon's own user and root.
pub(super) fn peer_access(peer_uid: u32, own_uid: u32) -> Access {
    if peer_uid == own_uid || peer_uid == 0 {
        Access::Granted(Arc::from(format!("uid:{peer_uid}")))
    } else {
        Access::Denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let doorkeeper = Doorkeeper::new(
            Token::from("a token of some length"),
            &["Opstead.example".to_owned()],
            &["https://Console.example:8443".to_owned()],
        );
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        doorkeeper.check(
            &request.body(()).unwrap(),
            Some(IpAddr::from([192, 0, 2, 7])),
        )
    }

    #[test]
    fn hosts_of_this_machine_and_configured_ones_are_own() {
        for host in [
            "localhost",
            "LOCALHOST:6770",
            "127.0.0.1",
            "127.0.0.1:6770",
            "[::1]:6770",
            "192.0.2.7:1",
            "opstead.example:6770",
        ] {
            assert_eq!(check(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "opstead.example.evil",
            "",
            "[::2]",
            "127.0.0.1.evil.example",
        ] {
            assert!(check(&[("host", host)]).is_err(), "{host}");
        }
        assert!(check(&[("host", "localhost"), ("host", "evil.example")]).is_err());
    }

    #[test]
    fn origins_of_others_are_foreign() {
        for origin in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "https://console.example:8443",
        ] {
            assert_eq!(check(&[("origin", origin)]), Ok(()), "{origin}");
        }
        for origin in [
            "null",
            "https://evil.example",
            "https://console.example",
            "file://",
            "x",
        ] {
            assert!(check(&[("origin", origin)]).is_err(), "{origin}");
        }
    }

    #[test]
    fn a_peer_is_the_owner_or_root() {
        assert_eq!(peer_access(0, 1000), Access::Granted(Arc::from("uid:0")));
        assert_eq!(
            peer_access(1000, 1000),
            Access::Granted(Arc::from("uid:1000"))
        );
        assert_eq!(peer_access(1001, 1000), Access::Denied);
        assert_eq!(peer_access(1000, 0), Access::Denied);
    }
}
