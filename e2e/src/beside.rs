//! Clients that go on asking while something changes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Result, anyhow};

/// Ends the clients however the change ends, or nobody would wait for them.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes a change while each client asks, again and again, until the change is over. `ask` is handed what the client has noted so far.
/// Gives what the change gave, and the notes of all clients in their order.
///
/// # Errors
/// That of the change, or else of the first client that failed; who fails asks no more.
pub fn beside<C: Sync, N: Default + Send, T>(
    clients: &[C],
    ask: impl Fn(&C, &mut N) -> Result<()> + Sync,
    change: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<N>)> {
    let over = AtomicBool::new(false);
    let until_over = |client| {
        let mut notes = N::default();
        while !over.load(Ordering::Relaxed) {
            ask(client, &mut notes)?;
        }
        Ok(notes)
    };
    thread::scope(|scope| {
        let asking: Vec<_> = clients.iter().map(|client| scope.spawn(move || until_over(client))).collect();
        let changed = {
            let _over = Over(&over);
            change()
        };
        let notes = asking.into_iter().map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?);
        let notes = notes.collect::<Result<Vec<N>>>();
        Ok((changed?, notes?))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use anyhow::bail;

    use super::*;

    #[test]
    fn clients_ask_until_the_change_is_over() {
        let (asked, change) = mpsc::channel();
        let (changed, counts) = beside(
            &["a", "b"],
            |client, count: &mut usize| {
                *count += 1;
                Ok(asked.send(*client)?)
            },
            || Ok(["a", "b"].map(|client| change.iter().find(|it| *it == client))),
        )
        .unwrap();
        assert_eq!(changed, [Some("a"), Some("b")]);
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn whoever_fails_first_is_told() {
        let (asked, change) = mpsc::channel();
        let ask = |client: &&'static str, (): &mut ()| {
            asked.send(*client)?;
            if *client == "b" { bail!("no answer") } else { Ok(()) }
        };
        let told = beside(&["a", "b"], ask, || Ok(change.iter().find(|it| *it == "b"))).unwrap_err();
        assert_eq!(told.to_string(), "no answer");
        let told = beside(&["a", "b"], ask, || -> Result<()> { bail!("no change") }).unwrap_err();
        assert_eq!(told.to_string(), "no change");
    }
}
