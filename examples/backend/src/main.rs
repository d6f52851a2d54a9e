//! `axoneme-backend`: the backend of the corpus as a program.

use axoneme_backend::{Args, serve};
use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    serve(Args::parse())
}
