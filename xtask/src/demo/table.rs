//! What a person sees of questions and answers.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, ensure};
use axoneme_testnet::http::Client;

use super::questions::Question;

/// Asks everything, prints what came, and returns how many answers were wrong.
pub(crate) fn show(questions: &[Question<'_>], echo: &Path, interrupt: &AtomicBool) -> Result<usize> {
    let client = Client::new(echo);
    let wide = questions.iter().map(|question| question.url.len()).max().unwrap_or_default();
    let mut wrong = 0;
    let mut from = "";
    for question in questions {
        ensure!(!interrupt.load(Ordering::Relaxed), "interrupted");
        if question.from.name != from {
            from = &question.from.name;
            println!("\n  from {from} ({}, {})", question.who, question.from.address);
        }
        let (said, right) = question.expect.judge(&client.get_many(question.from, &question.url, question.count)?);
        wrong += usize::from(!right);
        let mark = if right { "ok   " } else { "WRONG" };
        println!("  {mark} {:<wide$}  {said:<56} through {}", question.url, question.through);
    }
    println!("\n  {} of {} as expected", questions.len() - wrong, questions.len());
    Ok(wrong)
}
