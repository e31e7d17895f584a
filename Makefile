# The whole of recon from one place. `make help` lists the targets.
SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO      ?= cargo
PROFILE    ?= release
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)
DESTDIR    ?=
PREFIX     ?= /usr
# The units and the loader name /usr/lib/recon, whatever the prefix of the rest.
LIBEXECDIR := /usr/lib/recon
UNITDIR    ?= /usr/lib/systemd/system
USERUNITDIR ?= /usr/lib/systemd/user
BED        := tests/system/bed

AGENTS     := hub kage kaze kumo ryu sentinel suzu
HELPERS    := shim generator
BINARIES   := reconctl $(addprefix recon-,$(AGENTS) $(HELPERS))
BUILD_DIR   = $(TARGET_DIR)/$(PROFILE)
CARGO_PROFILE = $(if $(filter debug,$(PROFILE)),dev,$(PROFILE))

.PHONY: help tools postgres build install uninstall demo test test-fmt test-clippy test-unit test-api test-readers test-system test-chaos fuzz bench bench-ports bench-web bench-services bench-units bench-hub bench-assess

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 18

build: ## Build all binaries (PROFILE=release|debug).
	$(CARGO) build --locked --profile $(CARGO_PROFILE) --bins

install: build ## Install below DESTDIR: binaries, units, sysusers, tmpfiles, manifests, man pages, completions.
	install -Dm755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD_DIR)/reconctl
	install -Dm755 -t $(DESTDIR)$(LIBEXECDIR) $(addprefix $(BUILD_DIR)/recon-,$(AGENTS) $(HELPERS))
	cd units && find . -type f -not -path './user/*' -exec install -Dm644 {} $(DESTDIR)$(UNITDIR)/{} ';'
	cd units/user && find . -not -type d -exec install -Dm644 {} $(DESTDIR)$(USERUNITDIR)/{} ';'
	install -Dm644 -t $(DESTDIR)/usr/lib/sysusers.d packaging/sysusers.d/recon.conf
	install -Dm644 -t $(DESTDIR)/usr/lib/tmpfiles.d packaging/tmpfiles.d/recon.conf
	install -Dm644 -t $(DESTDIR)/usr/share/polkit-1/rules.d packaging/polkit-1/rules.d/60-recon.rules
	install -Dm644 -t $(DESTDIR)/usr/lib/systemd/system-preset packaging/systemd-preset/80-recon.preset
	install -Dm644 -t $(DESTDIR)$(LIBEXECDIR)/agents.d packaging/agents.d/*.toml
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/recon/rules packaging/rules/*.toml
	install -Dm644 packaging/recon.toml $(DESTDIR)$(PREFIX)/share/doc/recon/recon.toml
	$(BUILD_DIR)/reconctl generate $(DESTDIR)$(PREFIX)/share

uninstall: ## Remove what install put there (not /etc/recon, not /var/lib/recon).
	rm -rf $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(PREFIX)/share/doc/recon
	rm -f $(DESTDIR)$(PREFIX)/bin/reconctl
	cd units && find . -type f -not -path './user/*' -exec rm -f $(DESTDIR)$(UNITDIR)/{} ';'
	cd units/user && find . -not -type d -exec rm -f $(DESTDIR)$(USERUNITDIR)/{} ';'
	rmdir $(DESTDIR)$(UNITDIR)/recon@hub.service.d || true
	rm -f $(DESTDIR)/usr/lib/sysusers.d/recon.conf $(DESTDIR)/usr/lib/tmpfiles.d/recon.conf
	rm -f $(DESTDIR)/usr/share/polkit-1/rules.d/60-recon.rules $(DESTDIR)/usr/lib/systemd/system-preset/80-recon.preset
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/reconctl*.1 $(DESTDIR)$(PREFIX)/share/man/man5/recon.toml.5 \
	    $(DESTDIR)$(PREFIX)/share/man/man8/recon-*.8
	rm -rf $(DESTDIR)$(PREFIX)/share/recon
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/reconctl
	rm -f $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_reconctl $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/reconctl.fish

demo: tools build ## Boot the fleet in a private systemd, scan real servers, show what it found (DEMO_OUT=DIR).
	tests/system/demo $(if $(DEMO_OUT),--out $(DEMO_OUT))

test: tools postgres test-fmt test-clippy test-unit test-api test-readers test-system ## Everything that must pass.

test-fmt: ## Formatting.
	$(CARGO) fmt --check

test-clippy: ## Lints and documentation, with warnings as errors.
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

test-unit: ## Unit and integration tests.
	$(CARGO) test --locked

test-api: ## Requests of every kind against a real hub, by its own description of its routes.
	$(MAKE) build PROFILE=debug
	tests/api $(TARGET_DIR)/debug/recon-hub $(TARGET_DIR)/api-venv

test-readers: ## What reads nmap's XML (ndiff, python-libnmap) reads ours.
	tests/nmap-readers $(TARGET_DIR)/readers-venv

test-system: ## Every scenario under a real systemd, the machine's and Debian 13's.
	$(MAKE) build PROFILE=debug
	tests/system/bed-selftest
	tests/system/run --profile debug

test-chaos: postgres ## The long form of the hub's chaos test (CHAOS_RECORDS=10000, CHAOS_RUNS=1, CHAOS_SEED=1).
	CHAOS_RECORDS=$(or $(CHAOS_RECORDS),10000) CHAOS_RUNS=$(or $(CHAOS_RUNS),1) CHAOS_SEED=$(or $(CHAOS_SEED),1) \
	    $(CARGO) test --locked --test hub_chaos -- --nocapture --test-threads 1

# FUZZ_MS each, as many at a time as there are processors, of inputs that are made from real ones; no
# coverage, for which cargo-bolero is. Each says at its end how many inputs it had. Our own code is
# checked for overflows, which a release is not; the libraries are those of a release.
FUZZ_PROFILE := --release $(addprefix --config profile.release.package.recon.,opt-level=1 overflow-checks=true debug-assertions=true)
fuzz: ## Every parser of what strangers say, ten minutes each (FUZZ=NAME, FUZZ_MS=600000, FUZZ_THREADS=N).
	BOLERO_RANDOM_ITERATIONS=1000000000000 BOLERO_RANDOM_TEST_TIME_MS=$(or $(FUZZ_MS),600000) \
	    $(CARGO) test --locked $(FUZZ_PROFILE) --lib fuzz_tests::$(FUZZ) -- --nocapture --test-threads $(or $(FUZZ_THREADS),$(shell nproc))

bench: bench-ports bench-web bench-services bench-units bench-hub bench-assess ## Benchmarks against peers (BENCH_OUT=DIR).

bench-ports: tools ## Port scans against nmap, masscan, zmap, RustScan and bare C loops (12 minutes; BENCH_ROWS=REGEX, RUNS=N).
	$(MAKE) build PROFILE=release
	benches/ports/run $(BENCH_OUT)

bench-web: tools ## Spider and enumerator against wget, Scrapy, gobuster, ffuf, feroxbuster and wrk (15 minutes; BENCH_ROWS, RUNS).
	$(MAKE) build PROFILE=release
	benches/web/run $(BENCH_OUT)

bench-services: tools ## Which services 46 real ports carry, against nmap -sV.
	$(MAKE) build PROFILE=release
	benches/services $(BENCH_OUT)

bench-units: tools ## status and apply of seven agents, readiness and memory of an idle agent, 10 to 1,000 agents.
	$(MAKE) build PROFILE=release
	benches/units $(BENCH_OUT)

bench-hub: tools postgres ## Leases, results, imports and memory of a hub, SQLite and PostgreSQL, 10,000,000 targets.
	BENCH_OUT=$(abspath $(BENCH_OUT)) $(CARGO) bench --locked --bench hub

bench-assess: tools ## Import and lookups of 300,000 vulnerabilities, assessments (6 minutes; BENCH_CVES, BENCH_RUNS).
	BENCH_OUT=$(abspath $(BENCH_OUT)) $(CARGO) bench --locked --bench assess

# What a build needs from the distribution; does nothing where it is there.
.PHONY: tools
tools:
	@command -v $(CARGO) >/dev/null || { echo "Rust is needed: https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	    echo "installing a C compiler (TLS and SQLite are built from source)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev make; }
	@python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null || { \
	    echo "installing Python's venv (tests/api)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; }

# The server that the tests start themselves. The package would start one of its own, which nobody
# asked for: a wish of the administrator's about that is left alone.
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || { \
	    echo "installing PostgreSQL (the tests run one of their own)"; \
	    mkdir -p /etc/postgresql-common; \
	    [ -e /etc/postgresql-common/createcluster.conf ] || \
	        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; }
