//! What the parts of Axoneme agree on: the intent protocol, names and labels and, behind the feature `crd`,
//! the custom resources.
#![forbid(unsafe_code)]

#[cfg(feature = "crd")]
pub mod cec;
pub mod intent;
pub mod names;
