# MarketStream. `make` lists what there is. Everything needs Go alone; a C compiler adds -race.
SHELL := /bin/sh
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/marketstream
LINT_VERSION := v2.15.0
LINT := $(TOOLS)/golangci-lint-$(LINT_VERSION)
GOTESTSUM := $(TOOLS)/gotestsum-v1.13.0
FUZZTIME ?= 10s
ARGS ?=
# The race detector needs cgo and a C compiler.
RACE := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo -race)

# RERUNS=2 has a test that failed run again by itself, and lists it. A data race, a panic and what
# fails each time stay red: on shared machines a deadline passes now and then that no code can hold.
RERUNS ?=
GOTEST = $(if $(RERUNS),$(GOTESTSUM) --format standard-quiet --rerun-fails=$(RERUNS) --rerun-fails-max-failures=5 \
	--rerun-fails-abort-on-data-race --packages=./... --,$(GO) test ./...)

.PHONY: help build plugin run test unit lint bench bench-operator chaos scenario generate check-generated check-tidy fuzz static docker kube cluster-up cluster-down e2e
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

build: ## build bin/marketstream
	@$(GO) build -ldflags '$(LDFLAGS)' -o bin/marketstream ./cmd/marketstream

plugin: ## build bin/kubectl-marketstream; on your PATH it is `kubectl marketstream`
	@$(GO) build -ldflags '$(LDFLAGS)' -o bin/kubectl-marketstream ./cmd/kubectl-marketstream

run: ## run the demo; ARGS="--listen 127.0.0.1:8081" adds flags
	@echo "building …"
	@$(MAKE) --no-print-directory build
	@exec bin/marketstream run -f config/samples/demo.yaml $(ARGS)

test: ## everything that CI checks
	@echo "== gofmt"; out=$$(gofmt -l api cmd $(wildcard controllers) streamer hack); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	@echo "== go vet"; $(GO) vet ./... && cd hack && $(GO) vet -tags e2e ./... && cd bench && $(GO) vet ./... && cd ../rules && $(GO) vet ./...
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory kube
	@echo "== tests of hack"; cd hack && $(GOTEST) -count=1 -timeout 20m
	@echo "== alerts and dashboard"; cd hack/rules && $(GO) test -count=1 ./...
	@$(MAKE) --no-print-directory check-generated check-tidy lint

kube: ## the programs of Kubernetes that tests need, built once
	@echo "== programs of Kubernetes"; cd hack && $(GO) run ./cluster build

cluster-up: ## a Kubernetes cluster on this machine, as root; ARGS="-nodes 2 -prometheus"
	@cd hack && $(GO) run ./cluster up $(ARGS)

cluster-down: ## stop it and remove its state
	@cd hack && $(GO) run ./cluster down

e2e: ## the operator in a real cluster (make cluster-up first), with docs/e2e-report.md; RUN=install.yaml/Roll is a part, without
	@cd hack && $(if $(RUN),,E2E_REPORT=$(CURDIR)/docs/e2e-report.md )$(GO) test -tags e2e -count=1 -v -timeout 90m -run 'TestE2E$(if $(RUN),/$(RUN))' ./e2e

unit: $(if $(RERUNS),$(GOTESTSUM)) ## the tests of the module
	@echo "== go test $(RACE)"
	@$(if $(RACE),CGO_ENABLED=1 )$(GOTEST) $(RACE) -timeout 25m

lint: $(LINT) ## golangci-lint, built from its module on first use
	@echo "== golangci-lint"; $(LINT) run ./...

$(LINT): hack/lint/go.mod hack/lint/go.sum
	@echo "== building golangci-lint $(LINT_VERSION), once"
	@mkdir -p $(TOOLS)
	@cd hack/lint && CGO_ENABLED=0 $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(GOTESTSUM): hack/lint/go.mod hack/lint/go.sum
	@mkdir -p $(TOOLS)
	@cd hack/lint && CGO_ENABLED=0 $(GO) build -o $@ gotest.tools/gotestsum
	@touch $@

bench: ## the figures of docs/acceptance.md
	@cd hack/bench && $(GO) run .

bench-operator: kube ## what STREAMS=1000 streams cost the operator: seconds, API calls, memory
	@cd hack && MARKETSTREAM_STREAMS=$(or $(STREAMS),1000) $(GO) test -count=1 -v -timeout 90m -run '^TestBench$$' ./operatortest

chaos: ## faults on a whole system, from a seed; SEED=7 FAULTS=100, ARGS="-kinds rewind" adds flags
	@cd hack && $(GO) run ./chaos -seed $(or $(SEED),0) -faults $(or $(FAULTS),100) $(ARGS)

scenario: ## a planned course of things on a whole system, with figures; NAME=reshard CLIENTS=1000
	@cd hack && $(GO) run ./chaos -scenario $(or $(NAME),reshard) $(if $(CLIENTS),-clients $(CLIENTS)) $(if $(SEED),-seed $(SEED)) $(ARGS)

generate: ## deepcopy, apply configurations, CRD, Helm chart, dist/install.yaml
	@hack/generate.sh

check-generated: ## generated files are fresh
	@echo "== generated files"; hack/generate.sh --check

check-tidy: ## go.mod files are tidy
	@echo "== go mod tidy"; $(GO) mod tidy -diff && cd hack && $(GO) mod tidy -diff && cd bench && $(GO) mod tidy -diff && cd ../lint && $(GO) mod tidy -diff && cd ../rules && $(GO) mod tidy -diff

fuzz: ## every fuzz test for FUZZTIME (10s)
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

static: ## bin/linux/marketstream, which the Dockerfile copies; GOARCH=arm64 for another machine
	@CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o bin/linux/marketstream ./cmd/marketstream

docker: static ## the image; IMAGE=name, BASE=another base image than scratch, PLATFORM=linux/arm64 with GOARCH=arm64
	@docker build $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(PLATFORM),--platform $(PLATFORM)) -t $(or $(IMAGE),marketstream/marketstream:$(VERSION)) .
