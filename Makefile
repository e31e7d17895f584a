# The whole of recon from one place. `make help` lists the targets.
SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO      ?= cargo
PROFILE    ?= release
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)
DESTDIR    ?=
PREFIX     ?= /usr
LIBEXECDIR ?= $(PREFIX)/lib/recon
UNITDIR    ?= $(PREFIX)/lib/systemd/system
BED        := tests/system/bed

AGENTS     := hub kage kaze sentinel
BINARIES   := reconctl $(addprefix recon-,$(AGENTS))
BUILD_DIR   = $(TARGET_DIR)/$(PROFILE)
CARGO_PROFILE = $(if $(filter debug,$(PROFILE)),dev,$(PROFILE))

.PHONY: help build install uninstall demo test test-fmt test-clippy test-unit test-system bench bench-ports bench-units clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 18

build: ## Build all binaries (PROFILE=release|debug).
	$(CARGO) build --locked --profile $(CARGO_PROFILE) --bins

install: build ## Install below DESTDIR: binaries, units, sysusers, tmpfiles, manifests, man pages, completions.
	install -Dm755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD_DIR)/reconctl
	install -Dm755 -t $(DESTDIR)$(LIBEXECDIR) $(addprefix $(BUILD_DIR)/recon-,$(AGENTS))
	install -Dm644 -t $(DESTDIR)$(UNITDIR) units/*
	install -Dm644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d packaging/sysusers.d/recon.conf
	install -Dm644 -t $(DESTDIR)$(PREFIX)/lib/tmpfiles.d packaging/tmpfiles.d/recon.conf
	install -Dm644 -t $(DESTDIR)$(LIBEXECDIR)/agents.d packaging/agents.d/*.toml
	install -Dm644 packaging/recon.toml $(DESTDIR)$(PREFIX)/share/doc/recon/recon.toml
	$(BUILD_DIR)/reconctl generate $(DESTDIR)$(PREFIX)/share
