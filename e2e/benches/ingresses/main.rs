//! Ingresses added one by one through a real API server: how soon each is served, whether the others notice, and what it costs.
//! Then Ingresses of another class, which should cost nothing, and certificates that rotate.
//!
//! `cargo xtask bench --only ingresses` starts the cluster and runs this.

mod api;
mod appear;
mod foreign;
mod http;
mod objects;
mod others;
mod place;
mod report;
mod rotate;
mod usage;

use anyhow::{Context as _, Result};
use axoneme_e2e::Cluster;
use clap::Parser;

use self::{api::Api, objects::Mode, others::Others, place::Place, usage::Usage};

#[derive(Parser)]
struct Args {
    /// Ingresses of our own, one after the other.
    #[arg(long, default_value_t = 3000)]
    count: usize,
    /// An address for each, or one for all.
    #[arg(long, value_enum, default_value_t = Mode::Dedicated)]
    mode: Mode,
    /// Ingresses of another class, after that.
    #[arg(long, default_value_t = 5000)]
    foreign: usize,
    /// Certificates, one after the other.
    #[arg(long, default_value_t = 30)]
    rotations: usize,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let cluster = Cluster::get()?;
    objects::prepare(&cluster)?;
    let api = Api::start(&cluster).await?;
    let mut place = Place::find(&cluster, &api, args.mode).await?;

    let before = Usage::now(&cluster)?;
    let mut others = Others::default();
    let appeared =
        appear::one_by_one(&api, &mut place, args.count, &mut others).await.context("add Ingresses one by one")?;
    let own = Usage::now(&cluster)?.since(&before);
    report::appeared(args.mode, &appeared);
    report::others(&*others.stop().await);
    report::usage(&format!("{} Ingresses", args.count), &own);

    if args.foreign > 0 {
        let cost =
            foreign::add(&cluster, &api, &mut place, args.foreign).await.context("add Ingresses of another class")?;
        report::usage(&format!("{} Ingresses of another class", args.foreign), &cost);
        report::share(&own, args.count, &cost, args.foreign);
    }
    if args.rotations > 0 {
        let times = rotate::time(&api, &mut place, args.rotations).await.context("rotate certificates")?;
        report::rotations(&times);
    }
    objects::remove(&cluster)
}
