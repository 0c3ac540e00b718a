# `make` alone lists the targets: the sentence after ## is what it shows.

.DEFAULT_GOAL := help
.PHONY: help demo test test-coreclr build header docs-tables bench lint fmt install clean sim-soak sim-coverage mutants

# The bindings, tests and examples look for the library in target/release.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET

PREFIX ?= /usr/local

help:
	@echo "Cluster Gossip. The targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: ## Sets the machine up, builds, and runs one program per language as a cluster on this machine (DEMO_SECONDS=15).
	@tools/setup demo
	@$(MAKE) --no-print-directory build
	@python3 examples/demo/run.py

test: ## Sets the machine up, builds, and runs every test suite; `tools/test NAME...` runs some.
	@tools/setup test
	@tools/test

test-coreclr: ## Runs the C# tests on .NET Core too, if PyPI has its runtime for this machine. Not part of `make test`.
	@tools/setup test
	@$(MAKE) --no-print-directory build
	@bindings/csharp/test-coreclr.sh

build: ## Builds the release library: target/release/libcluster_gossip.so.1 and .a.
	@# With an example, so that cargo resolves features as for tests and examples; else each would build the library anew.
	cargo build --release --locked --lib --example demo
	@ln -sfn libcluster_gossip.so target/release/libcluster_gossip.so.1

header: ## Writes include/cluster_gossip.h anew from src/ffi.
	cargo run --release --locked --quiet --example header -- --write

docs-tables: ## Writes docs/configuration.md and docs/status.md anew from the tables in the source.
	cargo run --release --locked --quiet --example tables -- --write

bench: ## Sets the machine up, builds, and runs the benchmarks; their figures are also in build/bench/*.json (BENCH=NAME: one mark of the cluster).
	@tools/setup bench
	@$(MAKE) --no-print-directory build
	@mkdir -p build/bench
	benches/run.py $(BENCH)
ifndef BENCH
	cargo bench --locked --bench abi -- --json $(CURDIR)/build/bench/abi.json
	CLUSTER_GOSSIP_LIBRARY=target/release/libcluster_gossip.so.1 python3 bindings/python/bench.py --json build/bench/python.json
	bindings/go/repo-go run -C bindings/go ./bench --json $(CURDIR)/build/bench/go.json
	bindings/csharp/build.sh bench
	CLUSTER_GOSSIP_LIBRARY=target/release/libcluster_gossip.so.1 mono build/csharp/bench.exe --json build/bench/csharp.json
endif

SECONDS ?= 300
MEMBERS ?= 20

sim-soak: ## Adversarial runs of the simulator with new seeds (SECONDS=300, MEMBERS=20); prints the seeds that fail.
	cargo run --profile checks --locked --example simulate -- --scenario adversary --members $(MEMBERS) --wall $(SECONDS) --seed $$(date +%s)000

sim-coverage: ## Prints which part of the lines of the engine and the store the simulator's tests run.
	@tools/sim-coverage

mutants: ## Puts bugs into copies of the engine: which checker of the simulator finds each, at which seed.
	@tools/mutants

lint: ## Checks format (rustfmt), and that clippy and rustdoc have no warning.
	@tools/lint

fmt: ## Formats the Rust sources.
	cargo fmt

install: build ## Installs headers, libraries, pkg-config and CMake files under PREFIX (/usr/local); DESTDIR is honoured.
	@DESTDIR="$(DESTDIR)" bindings/cpp/install.sh "$(abspath $(PREFIX))"
	@install -m 644 target/release/libcluster_gossip.a "$(DESTDIR)$(abspath $(PREFIX))/lib/"

clean: ## Removes everything that was built.
	rm -rf target build tests/bindgen/target fuzz/target
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
