# Everything that a person or a machine does with this repository, by name. The work is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help setup countries demo test test-full bench fuzz fmt check audit screenshots clean

help: ## Say what there is
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what building and testing need (Debian packages, npm packages)
	@scripts/install-deps.sh build test
	@scripts/npm.sh

countries: ## Install the database of countries for a server on this machine (/usr/share/bramble, DESTDIR)
	@scripts/install-countries.sh

demo: ## Start a server and a device agent for this machine; Ctrl+C stops both
	@scripts/demo.sh

test: ## Run every check and every test; what is missing is installed first
	@scripts/test.sh

test-full: ## The same with the long ones: 5,000 devices, a minute of flood, coturn
	@scripts/test.sh --full

comma := ,

bench: ## Measure a release build beside ssh and record the table; ROWS=relayed,keystroke shows some only
	@scripts/bench.sh $(subst $(comma), ,$(ROWS))

fuzz: ## Fuzz what reads bytes from strangers, a minute for each target (SECONDS_EACH=60)
	@scripts/fuzz.sh

fmt: ## Format the Rust code
	@cargo fmt --all

check: ## The quick part of `make test`: formatting, lints, types
	@scripts/test.sh --checks

audit: ## Look for known vulnerabilities in dependencies (asks the advisory database on the network)
	@scripts/cargo-tool.sh cargo-deny
	@PATH="$$(scripts/cargo-tool.sh --where):$$PATH" cargo deny check advisories

screenshots: ## Take the pictures that the README shows
	@scripts/test.sh --screenshots

clean: ## Remove the demo's data; build output stays
	@rm -rf .demo
