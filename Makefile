# Two commands matter: `make run` and `make test`. The rest is what they are made of.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CONSOLE := host/console
CARGO ?= cargo
# The journal of `make run`; remove it to start afresh.
DATA := data

.PHONY: help run test lint build console bench bench-large restarts attack soak features openapi tools unit end-to-end peers browser clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

run: build ## Build everything and start it with the sample configuration and the emulators
	@set -a; . config/emulated.env; set +a; \
	target/debug/emulators & emulators=$$!; \
	trap 'kill $$emulators 2>/dev/null || true' EXIT; \
	target/debug/cordboard run config --sign-in kim

test: tools lint unit end-to-end peers browser features ## Install what tests need, lint, run everything

build: console
	$(CARGO) build --workspace --locked

console: $(CONSOLE)/dist/index.html

$(CONSOLE)/node_modules/.package-lock.json: $(CONSOLE)/package-lock.json
	cd $(CONSOLE) && npm ci --no-audit --no-fund

$(CONSOLE)/dist/index.html: $(CONSOLE)/node_modules/.package-lock.json $(CONSOLE)/openapi.json $(CONSOLE)/index.html $(CONSOLE)/vite.config.ts $(wildcard $(CONSOLE)/src/*)
	cd $(CONSOLE) && npm run build
	@touch $@ host/src/http/console.rs

openapi: ## Write the OpenAPI description that the console's types are made from
	$(CARGO) build -p cordboard-host --locked
	target/debug/cordboard openapi > $(CONSOLE)/openapi.json

tools: ## Install what the tests need and this machine lacks
	tests/install-tools

lint: console tools ## Formatting, clippy with warnings denied, documentation, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps --locked --quiet
	tests/check-dependencies
	tests/check-boundaries

unit: build
	$(CARGO) test --workspace --exclude cordboard-tests --all-features --locked

end-to-end: build
	$(CARGO) test -p cordboard-tests --locked

peers: build ## The official SDKs, the OpenAPI descriptions and schemathesis check us from outside
	tests/peers/run

browser: build ## The whole story in a real browser
	tests/browser/run

bench: console ## Measure; prints a table and writes target/bench.json
	$(CARGO) build --workspace --release --locked
	target/release/bench

bench-large: console ## Search among MESSAGES (10000000) while webhooks flow; takes minutes and gigabytes
	$(CARGO) build --workspace --release --locked
	target/release/bench search $(or $(MESSAGES),10000000)
	target/release/bench start $(or $(OPEN),10000000)

restarts: build ## Kill a host COUNT times (10000) in the midst of its work, and look at it after each start
	target/debug/restarts --count $(or $(COUNT),10000)

attack: build ## Attack a running host in the long form; prints what was tried and what was measured
	CORDBOARD_ATTACK=long $(CARGO) test -p cordboard-tests --locked --test attack -- --nocapture --test-threads 1

soak: build ## Let a host work for MINUTES (60) at moderate traffic, and look at what has grown
	target/debug/soak --minutes $(or $(MINUTES),60)

features: ## Check tests/FEATURES.md against the tests that name its IDs
	tests/check-features

clean:
	$(CARGO) clean
	rm -rf $(CONSOLE)/dist $(CONSOLE)/node_modules tests/browser/node_modules $(DATA)
