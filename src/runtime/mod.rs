//! Sockets, timers, threads: what the sans-IO engine needs to run on a real machine. Holds no protocol rule.

pub mod node;
