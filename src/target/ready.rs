//! How a server shows that it serves.

use std::fmt;
use std::str::FromStr;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::quote::one_line;

/// When a server counts as ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// A connection to `HOST:PORT` is accepted.
    Tcp(String),
    /// A GET of the URL is answered by a status from 200 to 399.
    Http(Url),
    /// A line of its standard output or error matches.
    Line(String),
}

/// An `http://` URL, as much of it as a plain request needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct Url {
    /// `HOST:PORT`, as it was written.
    authority: String,
    /// Path and query, with the `/` that it begins with.
    path: String,
}

impl Url {
    /// `HOST:PORT` to connect to.
    #[must_use]
    pub fn address(&self) -> String {
        if has_port(&self.authority) { self.authority.clone() } else { format!("{}:80", self.authority) }
    }

    /// The request, to be answered and closed.
    #[must_use]
    pub fn request(&self) -> String {
        let Self { authority, path } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: corefit\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
    }
}

impl FromStr for Ready {
    type Err = Error;

    /// Reads `tcp:HOST:PORT`, `http:URL` (the URL may stand without the first `http:`) or `line:REGEX`.
    ///
    /// # Errors
    /// It is none of them; the text says what is wrong with it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let shown = one_line(text);
        let bad = |why: &str| Error::Invalid(format!("`--ready {shown}`: {why}"));
        if let Some(address) = text.strip_prefix("tcp:") {
            let has_host = address.rsplit_once(':').is_some_and(|(host, _)| !host.is_empty());
            return match has_host && has_port(address) && is_plain(address) {
                true => Ok(Self::Tcp(address.to_owned())),
                false => Err(bad("write `tcp:HOST:PORT`, as in `tcp:127.0.0.1:8080`")),
            };
        }
        if let Some(regex) = text.strip_prefix("line:") {
            let compiled = Regex::new(regex).map_err(|error| {
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                bad(&format!("it is not a regular expression: {why}"))
            })?;
            return match compiled.is_match(b"") {
                true => Err(bad("it matches an empty line, so any server would be ready at once")),
                false => Ok(Self::Line(regex.to_owned())),
            };
        }
        if text.starts_with("https:") || text.starts_with("http:https:") {
            return Err(bad("only `http` can be asked; for a server behind TLS write `tcp:HOST:PORT`"));
        }
        match text.strip_prefix("http:").map(|url| if url.starts_with("//") { text } else { url }) {
            Some(url) => url.to_owned().try_into().map(Self::Http).map_err(|why: String| bad(&why)),
            None => Err(bad("write `tcp:HOST:PORT`, `http:URL` or `line:REGEX`")),
        }
    }
}

impl fmt::Display for Ready {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Http(url) => write!(f, "http://{}{}", url.authority, url.path),
            Self::Line(regex) => write!(f, "line:{regex}"),
        }
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("write `http://HOST[:PORT]/PATH`")?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let has_host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@');
        let has_no_port = authority.ends_with(']') || !authority.contains(':');
        if !has_host || !(has_port(authority) || has_no_port) || !is_plain(rest) {
            return Err("write `http://HOST[:PORT]/PATH`".to_owned());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { authority: authority.to_owned(), path: format!("{slash}{path}") })
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        format!("http://{}{}", url.authority, url.path)
    }
}

/// Whether `authority` ends in a port that can be connected to. The colons of an IPv6 address stand in brackets.
fn has_port(authority: &str) -> bool {
    let port =
        authority.rsplit_once(':').map(|(host, port)| (!host.contains(':') || host.ends_with(']'), port));
    port.is_some_and(|(is_host, port)| is_host && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether `text` can stand in a request: visible ASCII, no blanks, no line ends.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Ready {
        text.parse().unwrap()
    }

    #[test]
    fn each_way_is_read_and_written_as_it_is_typed() {
        for text in [
            "tcp:127.0.0.1:8080",
            "tcp:[::1]:80",
            "tcp:localhost:1",
            "line:listening on [0-9]+",
            "http://h:8/x?y=1",
        ] {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(read("http:http://h/x"), read("http://h/x"));
    }

    #[track_caller]
    fn url(text: &str) -> Url {
        let Ready::Http(url) = read(text) else { panic!("{text} is a URL") };
        url
    }

    #[test]
    fn a_url_is_taken_apart() {
        assert_eq!(url("http://h").address(), "h:80");
        assert_eq!(url("http://[::1]").address(), "[::1]:80");
        assert_eq!(url("http://[::1]:8080/a").address(), "[::1]:8080");
        assert!(
            url("http://h:81/a/b?c=d#e").request().starts_with("GET /a/b?c=d HTTP/1.1\r\nHost: h:81\r\n")
        );
        assert!(url("http://h?c").request().starts_with("GET /?c "));
    }

    #[test]
    fn what_cannot_be_waited_for_is_refused_in_one_line() {
        for (text, part) in [
            ("", "write `tcp:"),
            ("8080", "write `tcp:"),
            ("tcp:", "tcp:HOST:PORT"),
            ("tcp:8080", "tcp:HOST:PORT"),
            ("tcp::8080", "tcp:HOST:PORT"),
            ("tcp:h:0", "tcp:HOST:PORT"),
            ("tcp:h:99999", "tcp:HOST:PORT"),
            ("tcp:::1:80", "tcp:HOST:PORT"),
            ("http:h", "http://HOST"),
            ("http://", "http://HOST"),
            ("http://:80/", "http://HOST"),
            ("http://h:x/", "http://HOST"),
            ("http://h/a b", "http://HOST"),
            ("http://h/a\r\nX: y", "http://HOST"),
            ("http://user@h/", "http://HOST"),
            ("https://h/", "only `http`"),
            ("line:(", "regular expression"),
            ("line:", "empty line"),
            ("line:.*", "empty line"),
        ] {
            let error = text.parse::<Ready>().expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn the_manifest_has_it_by_its_name() {
        let json = |text: &str| serde_json::to_string(&read(text)).unwrap();
        assert_eq!(json("tcp:h:1"), r#"{"tcp":"h:1"}"#);
        assert_eq!(json("http://h:1/x"), r#"{"http":"http://h:1/x"}"#);
        let back: Ready = serde_json::from_str(&json("http://h:1/x")).unwrap();
        assert_eq!(back, read("http://h:1/x"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_text_panics_and_what_is_read_reads_back(text in "(tcp:|http:|http://|line:|)[a-z:/\\[\\]?#.0-9@ ]{0,20}") {
            if let Ok(ready) = text.parse::<Ready>() {
                prop_assert_eq!(ready.to_string().parse::<Ready>().unwrap(), ready);
            }
        }
    }
}
