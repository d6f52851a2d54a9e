//! How long a review takes: in the validation alone, and through the whole webhook under a steady load.
//!
//! The server is the operator's own: TLS, HTTP, checks. Requests start at fixed times whether or not earlier ones have been
//! answered, and are timed from when they should have started, so that a server that stalls cannot hide it.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axoneme_envoy::Policy;
use axoneme_operator::{
    Engine,
    admission::{self, Verdict},
    ca::{Authority, Leaf},
    webhook,
};
use axoneme_xds::grpc::Hub;
use futures::future::join_all;
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionReview},
};
use tokio::{net::TcpListener, sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use self::{client::Client, reviews::Review};

mod client;
mod reviews;

const SECONDS: u32 = 10;
/// Connections that the API server would keep open.
const CONNECTIONS: usize = 8;
/// Reviews of one kind that are timed without the webhook around them.
const VALIDATIONS: usize = 1000;

fn main() {
    // Requests a second: nobody saves the large one more often.
    let reviews = [(reviews::article(), 200), (reviews::large(), 5)];
    for (review, _) in &reviews {
        let times = validate(review);
        report(&format!("validation of {} ({} kB)", review.name, review.body.len() / 1024), times);
    }
    // As in the operator's own main.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let [small, large] = &reviews;
    for loads in [&[small][..], &[large], &[small, large]] {
        let all = runtime.block_on(served(loads));
        for ((review, rate), times) in loads.iter().zip(all) {
            let beside = if loads.len() > 1 { ", beside the other" } else { "" };
            report(&format!("webhook at {rate}/s for {SECONDS} s, {}{beside}", review.name), times);
        }
    }
}

/// From the bytes of a review to the verdict, after some that do not count.
fn validate(review: &Review) -> Vec<Duration> {
    let mut times = Vec::with_capacity(VALIDATIONS);
    for round in 0..VALIDATIONS + VALIDATIONS / 10 {
        let start = Instant::now();
        let verdict = judge(&review.body);
        let time = start.elapsed();
        assert_eq!(verdict.errors, [], "{}", review.name);
        if round >= VALIDATIONS / 10 {
            times.push(time);
        }
    }
    times
}

fn judge(body: &[u8]) -> Verdict {
    let review = serde_json::from_slice::<AdmissionReview<DynamicObject>>(body).unwrap();
    let request: AdmissionRequest<DynamicObject> = review.try_into().unwrap();
    admission::judge(&request, &Policy::default(), |_| Vec::new())
}

/// Times of each of these loads, all on one webhook at the same time.
async fn served(loads: &[&(Review, u32)]) -> Vec<Vec<Duration>> {
    let authority = Authority::generate().unwrap();
    let trusted = authority.certificate_pem().to_owned();
    let leaf = Arc::new(Leaf::new(authority, Leaf::service_names("axoneme-operator", "mesh")).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let end = CancellationToken::new();
    let server = tokio::spawn(webhook::serve(listener, leaf, Hub::new(Engine::new()), end.clone()));
    let all = join_all(loads.iter().map(|(review, rate)| load(review, *rate, address, &trusted))).await;
    end.cancel();
    server.await.unwrap().unwrap();
    all
}

async fn load(review: &Review, rate: u32, address: SocketAddr, trusted: &str) -> Vec<Duration> {
    let (idle, mut free) = mpsc::unbounded_channel();
    for _ in 0..CONNECTIONS {
        let mut client = Client::open(address, trusted, "axoneme-operator.mesh.svc").await;
        // The first ones warm caches up and do not count.
        for _ in 0..rate / 10 {
            client.ask(&review.body).await;
        }
        idle.send(client).unwrap();
    }
    let (done, mut times) = mpsc::unbounded_channel();
    let start = Instant::now() + Duration::from_millis(10);
    for number in 0..rate * SECONDS {
        let due = start + Duration::from_secs(1) * number / rate;
        sleep_until(due.into()).await;
        let mut client = free.recv().await.unwrap();
        let (idle, done, body) = (idle.clone(), done.clone(), review.body.clone());
        tokio::spawn(async move {
            client.ask(&body).await;
            done.send(due.elapsed()).unwrap();
            idle.send(client).unwrap();
        });
    }
    drop(done);
    let mut all = Vec::new();
    while let Some(time) = times.recv().await {
        all.push(time);
    }
    all
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms, {} requests", at(500), at(990), at(1000), times.len());
}
