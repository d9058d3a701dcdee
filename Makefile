# What people and CI call. `make` lists it.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory

LINT_VERSION  := v2.15.0
NATS_VERSION  := v0.5.1

FUZZTIME      ?= 10s
TESTFLAGS     ?=
SEED          ?= 1
SEEDS         ?= 10
SLOWFLUSH     ?= 10m
ENDURE        ?= 3m

# The data path written by hand, to measure beside, and a log of real commands, where they are at hand.
export MAESTRO_SHARED ?= $(abspath ../shared)
FLOOR         ?= $(wildcard $(MAESTRO_SHARED)/floor)

GO_FILES       = $$(find . -name '*.go' -not -path './tmp/*')

# Tests that need the stock `nats` command line take it from NATS_CLI, or else from .bin/nats in the top folder.
export NATS_CLI ?= $(CURDIR)/.bin/nats

.PHONY: help demo test race cover fuzz bench faults endure lint weight build clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## run a worker, its database and its broker, and watch commands go through (examples/demo)
	@./setup
	@go run ./examples/demo

test: .bin/nats-$(NATS_VERSION) ## run all tests against real servers; TESTFLAGS="-run Name" for some of them
	@./setup test
	go test -count=1 -timeout=20m $(TESTFLAGS) ./...

race: ## run all tests with the race detector
	@./setup race
	@$(MAKE) test TESTFLAGS="-race $(TESTFLAGS)"

cover: ## run all tests and say how much of the code they reach; the lines are in tmp/cover.html
	@mkdir -p tmp
	@$(MAKE) test TESTFLAGS="-coverpkg=./... -coverprofile=tmp/cover.out"
	@go tool cover -html=tmp/cover.out -o tmp/cover.html
	@go tool cover -func=tmp/cover.out | tail -n 1

fuzz: ## run every fuzz target for a while; FUZZTIME=10s or 1000x (executions) each
	@grep -Eo '^func Fuzz\w+' $(GO_FILES) | sed -E 's|/[^/]+:func | |' | while read -r dir target; do \
		echo "$$target in $$dir"; \
		go test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) "$$dir" </dev/null; \
	done

bench: ## measure, beside the program in FLOOR if it is there, and write docs/performance.md; BENCH="-only load -rounds 1", BENCH=-list
	@./setup
	@go run ./internal/bench -write docs/performance.md $(if $(FLOOR),-floor $(FLOOR)) $(BENCH)

faults: ## break a running system for minutes, and check that nothing is lost, doubled or out of order; SEED=1 SEEDS=10
	@./setup test
	go test -count=1 -v -timeout=0 -run='^(TestFaults|TestASlowFlushGivesNoCommandUp)$$' ./tests/faults -seed=$(SEED) -seeds=$(SEEDS) -slowflush=$(SLOWFLUSH)

endure: ## drive every bad habit of users' code into one namespace, with a good load beside it; ENDURE=3m
	@./setup
	go test -count=1 -v -timeout=0 -run='^TestNoHabitStopsAPartition$$' ./tests/hostile -endure=$(ENDURE)

lint: .bin/golangci-lint-$(LINT_VERSION) ## check the format, go vet, and the rules of .golangci.yaml
	@unformatted=$$(gofmt -l $(GO_FILES)); \
	if [[ $$unformatted ]]; then echo "not formatted, run gofmt -w:" $$unformatted >&2; exit 1; fi
	go vet ./...
	.bin/golangci-lint run

weight: ## say what a program weighs that only sends commands
	@go test -count=1 -v -run='^TestASenderIsLight$$' ./tests/house

build: ## build worker and publisher into .bin
	go build -o .bin/ ./cmd/...

clean: ## remove what make has built
	rm -rf .bin tmp/cover.out tmp/cover.html

# Tools are built from their modules, each version in a folder of its own, with a link to the one in use.
.bin/golangci-lint-%: PACKAGE = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
.bin/nats-%:          PACKAGE = github.com/nats-io/natscli/nats

.bin/golangci-lint-% .bin/nats-%:
	@echo "building $(@F) into .bin, once"
	@GOBIN=$(CURDIR)/$@.new go install $(PACKAGE)@$*
	@mv $@.new $@ && ln -sfn $(@F)/$(notdir $(PACKAGE)) .bin/$(notdir $(PACKAGE))
