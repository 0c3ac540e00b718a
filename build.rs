//! Compiles `proto/` (with protox, so no `protoc` is needed) and gives the shared library its linker properties.

fn main() {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");

    let files = protox::compile(["proto/cluster.proto", "proto/cluster_gossip.proto", "proto/gossip.proto"], ["proto"])
        .expect("proto/*.proto compile");
    prost_build::Config::new()
        .btree_map(["."]) // a snapshot of equal states is equal bytes
        .compile_fds(files)
        .expect("code for proto/*.proto");

    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The major ABI version is in the SONAME, so that a program never loads a library it was not built for.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcluster_gossip.so.1");
        // Threads of ours may outlive a dlclose: the code they run must stay mapped.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        // Symbols of the crates inside are nobody's business (zig's linker does not know the flag and needs none).
        println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    }
}
