//! Loading a program again when the kernel was disturbed: it gives up verifying when a signal comes (`EAGAIN`), and one may come
//! whenever a child of this process ends.

use std::io::ErrorKind;

use aya::programs::ProgramError;

/// As libbpf does.
const ATTEMPTS: usize = 5;

/// Loads a program, again as long as signals are in the way.
pub(crate) fn undisturbed(load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    repeat(load, |error| {
        let disturbed =
            matches!(error, ProgramError::LoadError { io_error, .. } if io_error.kind() == ErrorKind::WouldBlock);
        if disturbed {
            tracing::info!("a signal came while the kernel verified a program, which is loaded again");
        }
        disturbed
    })
}

fn repeat<E>(mut work: impl FnMut() -> Result<(), E>, disturbed: impl Fn(&E) -> bool) -> Result<(), E> {
    for _ in 1..ATTEMPTS {
        match work() {
            Err(error) if disturbed(&error) => {}
            result => return result,
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is tried when it fails so often, and how it ends. The error says whether it was a disturbance.
    fn tried(failures: usize, disturbance: bool) -> (usize, Result<(), bool>) {
        let mut count = 0;
        let work = || {
            count += 1;
            if count > failures { Ok(()) } else { Err(disturbance) }
        };
        let result = repeat(work, |disturbance| *disturbance);
        (count, result)
    }

    #[test]
    fn a_disturbed_load_is_repeated_and_no_other() {
        assert_eq!(tried(0, true), (1, Ok(())));
        assert_eq!(tried(3, true), (4, Ok(())));
        assert_eq!(tried(4, true), (5, Ok(())));
        assert_eq!(tried(100, true), (5, Err(true)));
        assert_eq!(tried(1, false), (1, Err(false)));
    }
}
