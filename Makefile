# `make run` and `make test` are all one needs; both install what is missing (scripts/setup.sh).

PATH := $(PATH):/usr/sbin:/usr/local/sbin:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(or $(XDG_DATA_HOME),$(HOME)/.local/share)/annals/bin
export PATH

# `make run PROFILE=dev` builds sooner and runs slower.
PROFILE ?= release
# What `build` built, and not `cargo run`: for fewer packages cargo would choose other features and build much anew.
TARGET = $(shell cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
ANNALS = "$(TARGET)/$(PROFILE:dev=debug)/annals"

.PHONY: run demo serve build test bench setup clean-data

run: build ## the demo data, loaded and served until Ctrl-C
	$(ANNALS) demo --keep-serving

demo: build ## loads the demo data, prints a summary and ends
	$(ANNALS) demo

serve: build ## an instance without the demo data
	$(ANNALS) serve

build: setup
	cargo build --profile $(PROFILE) -p api -p replay-tools --bins

test: ## every check and every test
	@scripts/setup.sh test
	@scripts/test.sh

bench: ## the benchmarks of docs/, on this machine
	@scripts/setup.sh bench
	cargo bench --workspace --bench '*'

setup:
	@scripts/setup.sh

clean-data: ## removes ./data and the private servers' files
	@scripts/clean-data.sh
