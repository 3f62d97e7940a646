# Everything that a developer or CI runs. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
FILE ?= README.md
SECONDS ?= 60
SEED ?= 0
HOST = $(shell rustc -vV | sed -n 's/host: //p')
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name '*.json') Cargo.toml Cargo.lock
# A C compiler with the header; and where the library is, also at run time.
C := $(CC) -std=c99 -D_XOPEN_SOURCE=700 -pedantic -Wall -Wextra -Iinclude
C_LIBRARY := -Ltarget/capi -lconcerto -Wl,-rpath,$(CURDIR)/target/capi

.PHONY: help demo test format lint types native capi rust-test py-test fuzz fuzz-deep deep interleave golden tables header c-example rust-example asan bench bench-parts bench-compare hosts long-stream soak wheel wheel-test lock clean
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: native .venv/.local ## Summarise FILE (default README.md) with a real model on this machine
	@$(BIN)/python examples/digest.py $(FILE)

test: lint types rust-test py-test ## Formatting, lints, types, all tests: what CI runs

format: .venv/.dev ## Format all code
	$(BIN)/ruff format python tests benches examples
	$(BIN)/ruff check --fix python tests benches examples
	cargo fmt

lint: .venv/.dev ## Check formatting and lints of both languages
	$(BIN)/ruff format --check python tests benches examples
	$(BIN)/ruff check python tests benches examples
	cargo fmt --check
	cargo clippy --locked --all-targets --features python,mock,capi,bench,interleave -- -D warnings

types: .venv/.dev ## mypy --strict
	$(BIN)/mypy

native: .venv/.native ## Build the native module into the virtual environment

capi: target/capi/.built ## Build the C library into target/capi

rust-test: ## Tests and doctests of the crate
	cargo test --locked --features mock,capi

# The C library first: after `rust-test` it is there already, and the native module takes its place in cargo's folder.
py-test: capi native ## Tests of the front end, the hosts and the command line
	$(BIN)/pytest -n 2

FUZZ = ulimit -v 4194304 && target/fuzz/fuzz --programs target/fuzz/programs
COUNT ?= 10000000

fuzz: target/fuzz/.built ## Feed damaged programs to the loader and the VM, and texts to the front end, SECONDS=60 each; bad inputs stay in tests/fuzz/crashes
	$(FUZZ) --seconds $(SECONDS) --seed $(SEED)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

fuzz-deep: target/fuzz/.built ## The same with COUNT=10000000 inputs in all, seed SEED, on two processors (an hour or two)
	$(FUZZ) --count $$(($(COUNT) * 185 / 1000)) --seed $(SEED) --jobs 2
	$(BIN)/python -m tests.fuzz --deep $(COUNT) --seed $(SEED) --jobs 2

deep: native ## Compare the VM with the oracle on 100,000 generated programs; all property tests at depth
	HYPOTHESIS_PROFILE=deep $(BIN)/pytest -n 2 tests/host/test_oracle.py tests/frontend/test_round_trips.py --durations=0

interleave: ## Queues, cancellation and metrics under thousands of schedules of their threads
	cargo test --locked --features mock,capi,interleave --lib interleavings

golden: native ## Rewrite the expected files of golden tests (look at the difference before you commit it)
	$(BIN)/pytest tests --update-golden

tables: .venv/.dev ## Generate the parser tables from the grammar
	PYTHONPATH=python $(BIN)/python -m concerto.syntax.generate

header: .venv/.dev ## Generate include/concerto.h from the C interface
	$(BIN)/python -m tests.capi.header

rust-example: native ## Build the Rust example, and run it without network and keys
	@mkdir -p target/embed_rust
	$(BIN)/concerto build examples/embed_rust/deploy.conc -o target/embed_rust/deploy.conc-ir
	cargo build --locked --features mock --example embed_rust
	cd target/embed_rust && ../debug/examples/embed_rust --mock

c-example: native capi ## Build the C example, and run it without network and keys
	$(BIN)/concerto build examples/embed_c/triage.conc -o target/capi/triage.conc-ir
	$(C) examples/embed_c/triage.c $(C_LIBRARY) -o target/capi/triage
	target/capi/triage target/capi/triage.conc-ir

ASAN = target/asan/$(HOST)/debug

asan: native ## The C interface under AddressSanitizer, library and all (needs the nightly compiler; minutes)
	RUSTFLAGS=-Zsanitizer=address cargo +nightly build --locked --lib --features mock,capi --target-dir target/asan --target $(HOST)
	$(BIN)/concerto build examples/embed_c/triage.conc -o target/asan/triage.conc-ir
	$(C) -g -fsanitize=address tests/capi/cycle.c -L$(ASAN) -lconcerto -Wl,-rpath,$(CURDIR)/$(ASAN) -o target/asan/cycle
	CYCLE_SANITIZED=1 target/asan/cycle target/asan/triage.conc-ir 200
	LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 CONCERTO_C_LIBRARY=$(CURDIR)/$(ASAN)/libconcerto.so $(BIN)/pytest tests/capi/test_contract.py

PARTS ?=

bench: .venv/.dev ## Run the benchmarks (release build), or PARTS of them; see benches/README.md
	$(BIN)/maturin develop --locked --release
	@rm -f .venv/.native
	$(BIN)/python -m benches.run $(PARTS)

bench-parts: native ## What parts of the crate cost by themselves (release build, criterion)
	@mkdir -p target/parts
	for name in fib integers strings structs documents; do $(BIN)/concerto build benches/algorithms/$$name.conc -o target/parts/$$name.conc-ir || exit; done
	cargo bench --locked --features bench --bench parts

hosts: .venv/.dev ## The Python host under load (release build): waiting runs, event loops, exits, leaks
	$(BIN)/maturin develop --locked --release
	@rm -f .venv/.native
	ulimit -n $$(ulimit -H -n) && $(BIN)/python benches/hosts.py

ROUNDS ?= 3

long-stream: .venv/.dev ## One stream of 1,000,000 chunks from Python, and the same with the OpenAI SDK (release build; ROUNDS=3)
	$(BIN)/maturin develop --locked --release
	@rm -f .venv/.native
	$(BIN)/python benches/long_stream.py --rounds $(ROUNDS)

bench-compare: native ## Compare with other ways to call models, each in an environment of its own; an hour (ROUNDS=3)
	$(BIN)/python -m benches.compare.run --rounds $(ROUNDS)

STREAMS ?= 5000
CALLS ?= 1000000
SEED ?= 1

soak: .venv/.dev ## Very many calls and streams with seeded faults, minutes: STREAMS, CALLS, SEED; nothing may get lost
	PYTHONPATH=python $(BIN)/python -m concerto build benches/programs/load.conc -o target/load.conc-ir
	ulimit -n $$(ulimit -H -n) && cargo bench --locked --features mock --bench soak -- target/load.conc-ir --streams $(STREAMS) --calls $(CALLS) --seed $(SEED)

# The second one needs no Python 3.15 here: all that a stable ABI asks for is known.
wheel: .venv/.dev ## Build the wheels (abi3, abi3t) and the source package into dist/
	$(BIN)/maturin build --locked --release --sdist --out dist
	$(BIN)/maturin build --locked --release --out dist --interpreter python3.15

wheel-test: wheel ## Install the wheels where neither Rust nor this clone is, and use it (minutes: a release build)
	$(BIN)/python -m tests.packaging

lock: .venv/.dev ## Renew the lock files (needs uv)
	uv pip compile --generate-hashes --no-annotate --no-header --no-emit-index-url --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	uv pip compile --generate-hashes --no-annotate --no-header --no-emit-index-url --universal --python-version 3.11 requirements-local.in -o requirements-local.txt
	cargo update

clean: ## Remove what was built
	rm -rf .venv target dist

.venv/.dev: requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

.venv/.local: requirements-local.txt .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-local.txt
	@touch $@

.venv/.native: .venv/.dev pyproject.toml $(RUST_SOURCES)
	$(BIN)/maturin develop --locked --quiet
	@touch $@

# With the example, cargo resolves the same features as for `cargo test`, so that the two share all that they build.
target/capi/.built: $(RUST_SOURCES) tests/hosts/hosts.rs examples/desk/desk.rs $(wildcard tests/fuzz/*.rs)
	cargo build --locked --features mock,capi --lib --example hosts --example desk --example fuzz
	@mkdir -p target/capi
	@cp target/debug/libconcerto.* $(addprefix target/debug/examples/,hosts desk fuzz) target/capi
	@touch $@

# Optimised, but with all checks of a development build, and with its dependencies as they are there already.
target/fuzz/.built: .venv/.native $(RUST_SOURCES) $(wildcard tests/fuzz/*.rs)
	CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo build --locked --features mock,capi --example fuzz
	@mkdir -p target/fuzz
	@cp target/debug/examples/fuzz target/fuzz
	$(BIN)/python -m tests.fuzz.programs target/fuzz/programs
	@touch $@
