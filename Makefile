# The targets of walferry. `make help` lists them.

# The server to build against and to install into. Looked up when a rule needs it, since `make prepare` may only
# just have installed it; given by hand, nothing is installed.
PG_CONFIG_GIVEN := $(if $(filter command environment,$(origin PG_CONFIG)),$(PG_CONFIG))
PG_CONFIG ?= $(shell ls /usr/lib/postgresql/15/bin/pg_config 2>/dev/null || command -v pg_config)
PG_MAJOR = $(shell $(PG_CONFIG) --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
# A folder per major, so that builds of several majors do not undo each other.
EXT_TARGET = $(TARGET)/pg$(PG_MAJOR)
EXT_CARGO = PGRX_PG_CONFIG_PATH=$(PG_CONFIG) cargo
EXT_ARGS = -p walferry-decoder --features pg$(PG_MAJOR) --target-dir $(EXT_TARGET)
LIBRARY = $(EXT_TARGET)/release/libwalferry_decoder.so
VERSION := 0.1.0
BINARY := $(TARGET)/release/walferry
LAB := $(TARGET)/release/lab
PREFIX ?= /usr/local
UNITDIR ?= /etc/systemd/system
SQL_FILES := $(sort $(wildcard sql/source/*.sql))
MAKEFLAGS += --no-print-directory

# Throwaway clusters and the demo read these.
export PG_CONFIG
export WALFERRY_BIN ?= $(BINARY)
# A trace in the middle of a server's error detail helps nobody.
unexport RUST_BACKTRACE

.PHONY: help prepare build build-applier build-extension install-extension install demo test unit scenarios \
	corpora large majors bench lint clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 28

prepare: ## install what is missing on Debian 12 (needs root only then)
	@PG_CONFIG="$(PG_CONFIG_GIVEN)" tests/tools/prepare.sh

build: prepare build-applier build-extension ## the applier and the extension, optimised

# All members at once, here and below: dependencies are then built with one set of features, once.
build-applier:
	cargo build --release --bin walferry

build-extension:
	$(EXT_CARGO) build --release $(EXT_ARGS)

# Renamed into place, never written over: a server that has the old library mapped would crash if it changed, and
# one that starts a session meanwhile finds the old one or the new one.
install-extension: build-extension ## the extension into the server of PG_CONFIG
	@set -eu; lib="$$($(PG_CONFIG) --pkglibdir)"; share="$$($(PG_CONFIG) --sharedir)/extension"; \
	mkdir -p "$$lib" "$$share"; \
	cat $(SQL_FILES) > $(EXT_TARGET)/walferry.sql; \
	place() { install -m "$$1" "$$2" "$$3.new"; mv -f "$$3.new" "$$3"; }; \
	place 755 $(LIBRARY) "$$lib/walferry.so"; \
	place 644 $(EXT_TARGET)/walferry.sql "$$share/walferry--$(VERSION).sql"; \
	place 644 decoder-ext/walferry.control "$$share/walferry.control"; \
	echo "installed walferry $(VERSION) into PostgreSQL $(PG_MAJOR): $$lib"

install: build-applier ## the binary and the systemd unit
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/walferry
	install -D -m 644 docs/walferry@.service $(DESTDIR)$(UNITDIR)/walferry@.service

demo: prepare ## two throwaway clusters, a shop and pgbench, copied and kept level before your eyes
	@tests/tools/quiet.sh "Building walferry" cargo build --release --bin walferry --bin lab --bin demo
	@tests/tools/quiet.sh "Building its extension" $(MAKE) install-extension
	@$(LAB) run -- $(TARGET)/release/demo

test: prepare build-applier install-extension lint unit majors scenarios ## everything that CI runs

unit: ## tests that need no server
	cargo test --lib --bins --test arrows --test round_trips

scenarios: corpora ## the built binary between two real clusters; SCENARIO=word runs those whose name has it
	cargo build --bin lab
	$(TARGET)/debug/lab run -- cargo test --test scenarios -- --test-threads=4 $(SCENARIO)

corpora: prepare ## PostgreSQL's own regression database, for a scenario that copies it; kept until make clean
	tests/tools/regression.sh $(TARGET)/corpora/regression

large: export WALFERRY_LAB_EVENTS ?= 5000000
large: prepare ## the scenario with one big table, at 1.5 GB
	@$(MAKE) scenarios SCENARIO=one_big_table

majors: ## compile the extension for the other majors
	tests/tools/majors.sh check

bench: build install-extension ## next to native replication, pg_dump and pgcopydb; WORKLOAD=word chooses
	cargo build --release --bin lab --bin bench
	@PG_CONFIG="$(PG_CONFIG_GIVEN)" tests/tools/prepare.sh pgcopydb
	$(LAB) run -- $(TARGET)/release/bench $(WORKLOAD)

lint: ## formatting, clippy, and cargo deny where it is installed
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	$(EXT_CARGO) clippy --release $(EXT_ARGS) -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; \
	else echo "lint: cargo-deny is not installed, licences and advisories were not looked at"; fi

clean: ## everything that was built or fetched
	cargo clean
	rm -rf .lab
