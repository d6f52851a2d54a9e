//! gRPC as its users have it: a client of tonic, over TLS, to a server of tonic.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use axoneme_testnet::Namespace;
use futures::StreamExt as _;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tonic::{
    Code, Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// Question and answer of `corpus.Echo`.
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

/// Calls that go there, for this host.
pub(crate) struct Calls {
    pub(crate) to: SocketAddr,
    pub(crate) host: &'static str,
    pub(crate) tls: TlsConnector,
}

impl Calls {
    /// One question with one answer, a talk of several, and a call that fails: with the status of the server.
    pub(crate) fn all(&self, from: &Namespace) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        from.enter(|| {
            runtime.block_on(async {
                let mut client = Grpc::new(self.channel().await?);
                say(&mut client).await.context("one question")?;
                talk(&mut client).await.context("a talk")?;
                fail(&mut client).await.context("a call that fails")
            })
        })?
    }

    async fn channel(&self) -> Result<Channel> {
        let (to, host, tls) = (self.to, self.host, self.tls.clone());
        let connect = move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect(to).await?;
                let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
            }
        };
        let endpoint = Endpoint::from_shared(format!("http://{host}"))?.origin(format!("https://{host}").parse()?);
        Ok(endpoint.connect_with_connector(service_fn(connect)).await?)
    }
}

async fn say(client: &mut Grpc<Channel>) -> Result<()> {
    client.ready().await?;
    let path = PathAndQuery::from_static("/corpus.Echo/Say");
    let answer = client.unary(Request::new(text("hello")), path, ProstCodec::<Text, Text>::default()).await?;
    ensure!(answer.get_ref().text == "calls: hello", "{answer:?}");
    Ok(())
}

/// Each question waits for the answer to the one before: what is held back by anybody in between is never answered.
async fn talk(client: &mut Grpc<Channel>) -> Result<()> {
    client.ready().await?;
    let path = PathAndQuery::from_static("/corpus.Echo/Talk");
    let (ask, questions) = mpsc::unbounded_channel();
    let questions = futures::stream::unfold(questions, |mut questions| async {
        questions.recv().await.map(|question| (question, questions))
    });
    ask.send(text("0"))?;
    let codec = ProstCodec::<Text, Text>::default();
    let mut answers = client.streaming(Request::new(questions), path, codec).await?.into_inner();
    for at in 0..20 {
        let answer = answers.next().await.context("the talk ended")??;
        ensure!(answer.text == format!("calls: {at}"), "{answer:?}");
        ask.send(text(&(at + 1).to_string()))?;
    }
    drop(ask);
    answers.next().await.context("no last answer")??;
    ensure!(answers.next().await.is_none(), "more answers than questions");
    ensure!(answers.trailers().await?.is_some(), "no trailers");
    Ok(())
}

async fn fail(client: &mut Grpc<Channel>) -> Result<()> {
    client.ready().await?;
    let path = PathAndQuery::from_static("/corpus.Echo/Nothing");
    let answer = client.unary(Request::new(text("")), path, ProstCodec::<Text, Text>::default()).await;
    let status = answer.err().context("it succeeds")?;
    ensure!(status.code() == Code::Unimplemented && status.message().contains("nobody serves"), "{status:?}");
    Ok(())
}
