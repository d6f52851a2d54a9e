//! What a request asks the server to do instead of answering: `x-script: 503 hang 200` is one step for each time that this
//! very request comes, the last one for all further times. `x-script-v1` is for the server of that name.

use std::{future::pending, io, time::Duration};

use hyper::{HeaderMap, StatusCode};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Answer with this status.
    Answer(StatusCode),
    /// Answer after a second.
    Slow,
    /// Never answer.
    Hang,
    /// Close the connection without an answer.
    Close,
}

impl Step {
    /// The step of the `nth` time, counted from 1.
    pub(crate) fn of(headers: &HeaderMap, name: &str, nth: usize) -> Self {
        let script = headers.get(format!("x-script-{name}")).or_else(|| headers.get("x-script"));
        let script = script.and_then(|script| script.to_str().ok()).unwrap_or_default();
        let steps: Vec<_> = script.split_whitespace().collect();
        match steps.get(nth.saturating_sub(1)).or(steps.last()) {
            None => Self::Answer(StatusCode::OK),
            Some(&"slow") => Self::Slow,
            Some(&"hang") => Self::Hang,
            Some(&"close") => Self::Close,
            Some(status) => Self::Answer(status.parse().unwrap_or(StatusCode::BAD_REQUEST)),
        }
    }

    /// Does it, as far as there is something to do.
    pub(crate) async fn run(self) -> io::Result<StatusCode> {
        match self {
            Self::Answer(status) => Ok(status),
            Self::Slow => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(StatusCode::OK)
            }
            Self::Hang => pending().await,
            Self::Close => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_each_other_and_the_last_stays() {
        let mut headers = HeaderMap::new();
        let step = |headers: &HeaderMap, nth| Step::of(headers, "v1", nth);
        assert_eq!(step(&headers, 1), Step::Answer(StatusCode::OK));
        headers.insert("x-script", "503 hang close".parse().unwrap());
        let steps = [1, 2, 3, 9].map(|nth| step(&headers, nth));
        assert_eq!(steps, [Step::Answer(StatusCode::SERVICE_UNAVAILABLE), Step::Hang, Step::Close, Step::Close]);
        headers.insert("x-script-v1", "404".parse().unwrap());
        assert_eq!(step(&headers, 1), Step::Answer(StatusCode::NOT_FOUND));
        assert_eq!(Step::of(&headers, "v2", 2), Step::Hang);
    }
}
