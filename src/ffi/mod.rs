//! The C ABI: pointer checks, panic guard, status mapping, and nothing else.
//!
//! `include/cluster_gossip.h` is generated from these files by `examples/header.rs`: the comments of public items are
//! the header's text, and the first line of each file is the title of its section. They are therefore written for C.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`types`] | the types of the header |
//! | [`status`], [`setting`] | the tables that bindings read: statuses, settings |
//! | [`config`], [`node`], [`cluster`], [`state`], [`entries`], [`members`], [`sub`], [`queue`], [`events`], [`bytes`] | the functions, a file for each object |
//! | `handle` | ids and what they name |
//! | `guard`, `input`, `text` | panics and error texts, arguments, texts handed out |
//! | `eventfd` | the file descriptor of a queue |
#![allow(non_camel_case_types)] // the names are C's
#![allow(clippy::missing_safety_doc)] // what pointers must be is said once, at the beginning of the header

pub mod bytes;
pub mod cluster;
pub mod config;
pub mod entries;
mod eventfd;
pub mod events;
mod guard;
mod handle;
mod input;
pub mod members;
pub mod node;
pub mod queue;
pub mod setting;
pub mod state;
pub mod status;
pub mod sub;
mod text;
pub mod types;
