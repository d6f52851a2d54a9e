//! Bodies that no server and no proxy may hold as a whole: long ones, and one that comes in pieces.

use std::{convert::Infallible, io, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use tonic::body::Body;

/// One piece of a long body.
static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];

/// Reads a body and tells how many bytes it had.
pub(crate) async fn count(mut body: Incoming) -> io::Result<usize> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes)
}

/// A body of so many bytes.
pub(crate) fn long(bytes: usize) -> Response<Body> {
    let pieces = stream::unfold(bytes, |left| async move {
        let piece = left.min(PIECE.len());
        (piece > 0).then(|| (Bytes::from_static(&PIECE[..piece]), left - piece))
    });
    answer("application/octet-stream", pieces)
}

/// Two server-sent events, so many seconds apart.
pub(crate) fn events(seconds: u64) -> Response<Body> {
    let later = stream::once(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Bytes::from_static(b"data: later\n\n")
    });
    answer("text/event-stream", stream::iter([Bytes::from_static(b"data: first\n\n")]).chain(later))
}

fn answer(kind: &'static str, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(StreamBody::new(pieces.map(|it| Ok::<_, Infallible>(Frame::data(it))))));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
