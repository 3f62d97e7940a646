//! Hosts in other languages: thin faces of the public API.

#[cfg(feature = "capi")]
mod c;
#[cfg(feature = "python")]
mod python;
