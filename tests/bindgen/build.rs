//! Generates Rust declarations from include/cluster_gossip.h, as any Rust program that links the library through C would.

use std::{env, path::PathBuf};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..").canonicalize().unwrap();
    let header = root.join("include/cluster_gossip.h");
    let libraries = root.join("target/release");
    println!("cargo:rerun-if-changed={}", header.display());
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=dylib=cluster_gossip");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
    bindgen::Builder::default()
        .header(header.to_str().unwrap())
        .allowlist_item("(gossip|GOSSIP)_.*")
        // Layouts are checked by the compiler, in the tests that bindgen writes.
        .layout_tests(true)
        .generate()
        .expect("bindgen reads the header")
        .write_to_file(PathBuf::from(env::var("OUT_DIR").unwrap()).join("gossip.rs"))
        .unwrap();
}
