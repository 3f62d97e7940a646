//! Hosts in other languages: thin faces of the public API.

mod python;
