.DEFAULT_GOAL := help
SHELL := /bin/bash

# Where the demo runs. Without KUBECONFIG it is the embedded cluster, which
# needs root; with it, REGISTRY says where that cluster's nodes can pull from.
REGISTRY ?= registry.test:5000
export HEADRACE_CACHE ?= $(HOME)/.cache/headrace
export REGISTRY

GO_FLAGS := -trimpath -buildvcs=false
CLUSTER  := bin/cluster
# Inside the embedded cluster's network there is no module proxy: everything
# is downloaded before, and a build that asks for more fails.
INSIDE   := GOPROXY=off GOFLAGS=-mod=mod
EXEC     := $(CLUSTER) exec --
# Modules besides the root: what they pin changes at another pace.
MODULES  := $(patsubst %/go.mod,%,$(wildcard test/cluster/go.mod test/cluster/*/go.mod bundles/platform/*/go.mod cmd/*/go.mod))
# A repository of your own instead of the samples: make demo DEMO_REPO=/path/to/clone
DEMO_REPO ?=
DEMO_FLAGS := $(if $(DEMO_REPO),--repo=$(DEMO_REPO))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: catalog ## The main job, end to end: git commit to released, signed, policy-checked image
	bin/demo fetch $(DEMO_FLAGS)
	$(EXEC) bin/demo run $(DEMO_FLAGS)

.PHONY: test
test: lint verify unit apiserver policy e2e ## All tests

.PHONY: bench
bench: catalog ## Pods and seconds of a build against the bare binaries; memory of the controller
	$(EXEC) bin/demo bench

.PHONY: build
build: tools ## Build every program into bin/
	go build $(GO_FLAGS) -o bin/ ./cmd/...

.PHONY: tools
tools: ## Build the cluster program and ko
	@go version >/dev/null || { echo "Go is needed: https://go.dev/doc/install" >&2; exit 1; }
	@git --version >/dev/null || { echo "git is needed: apt-get install git" >&2; exit 1; }
	go build -C test/cluster $(GO_FLAGS) -o ../../bin/cluster .
	go build -C bundles/platform/ko $(GO_FLAGS) -o ../../../bin/ko github.com/google/ko
	@go mod download
	@for m in $(MODULES); do go -C $$m mod download || exit 1; done

.PHONY: up
up: tools ## Start the embedded cluster, or check the one KUBECONFIG names
	$(CLUSTER) build
	$(CLUSTER) up

.PHONY: install
install: up build ## Tekton, Chains and Headrace on the cluster; a second run changes nothing
	$(INSIDE) $(EXEC) bin/install --registry=$(REGISTRY)

.PHONY: catalog
catalog: install ## Build, pack and push the tasks and pipelines
	$(INSIDE) $(EXEC) bin/catalog publish --registry=$(REGISTRY)

.PHONY: shell
shell: ## A shell where kubectl, tkn, cosign and ec see the cluster and its registry
	$(EXEC) $$SHELL

.PHONY: down
down: ## Stop the embedded cluster; what it holds stays for the next start
	$(CLUSTER) down

.PHONY: clean
clean: ## Stop the embedded cluster and delete what it holds
	$(CLUSTER) clean

.PHONY: lint
lint: ## go vet and staticcheck
	go vet ./...
	go tool staticcheck ./...

.PHONY: generate
generate: ## Rewrite everything that is generated
	go tool controller-gen object paths=./pkg/apis/...
	go tool controller-gen crd paths=./pkg/apis/... output:crd:dir=bundles/install/crds
	go run ./cmd/catalog generate

.PHONY: verify
verify: ## Fail if anything generated is stale
	go run ./cmd/catalog generate --check

.PHONY: unit
unit: ## Unit and contract tests: no cluster, no network
	go test ./...
	go -C test/cluster test ./...

.PHONY: apiserver
apiserver: tools ## CRD rules and controllers against a real API server
	$(CLUSTER) build
	go test -tags=apiserver ./test/apiserver/...

.PHONY: policy
policy: tools ## The release gate, with the real ec
	go test -tags=policy ./test/policy/...

.PHONY: e2e
e2e: catalog ## The journeys, on the cluster
	bin/demo fetch
	$(INSIDE) go test -tags=e2e -count=1 -timeout=40m -v -exec "$(CURDIR)/$(EXEC)" ./test/e2e/...
	$(if $(KUBECONFIG),,go -C test/cluster test -tags=cluster -count=1 -timeout=10m .)

.PHONY: vuln
vuln: ## Known vulnerabilities in what we link; needs the network
	go tool govulncheck ./...
