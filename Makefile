.DEFAULT_GOAL := help
SHELL := /bin/bash

# Where the demo runs. Without KUBECONFIG it is the embedded cluster, which
# needs root; with it, REGISTRY says where that cluster's nodes can pull from.
REGISTRY ?= registry.test:5000
export HEADRACE_CACHE ?= $(HOME)/.cache/headrace
export REGISTRY

GO_FLAGS := -trimpath -buildvcs=false
CLUSTER  := bin/cluster
# Runs a program inside the embedded cluster's network, or as it is for another
# cluster. There is no module proxy inside: everything is downloaded before.
EXEC     := GOPROXY=off $(CLUSTER) exec --
# Modules besides the root: what they pin changes at another pace.
MODULES  := $(patsubst %/go.mod,%,$(wildcard test/cluster/go.mod test/cluster/*/go.mod bundles/platform/*/go.mod cmd/*/go.mod))
BUILDAH_TAGS := containers_image_openpgp,exclude_graphdriver_btrfs
# Go's own lines, and at the end each test that was skipped, with the reason.
TEST_TAGS := apiserver,policy,e2e,bench
TEST     := go tool gotestsum --format=standard-quiet --
# A clone of your own repository, instead of the samples:
#   make demo DEMO_REPO=/path/to/clone
DEMO_REPO ?=
# More for go test, such as BENCH_FLAGS=-benchtime=3x for three builds.
BENCH_FLAGS ?=
# Who may push builds, and who releases: the embedded registry has a login for
# each; for another registry name docker configs.
export BUILD_AUTH ?= $(if $(KUBECONFIG),$(HOME)/.docker/config.json,$(HEADRACE_CACHE)/build-auth.json)
export RELEASE_AUTH ?= $(if $(KUBECONFIG),$(HOME)/.docker/config.json,$(HEADRACE_CACHE)/release-auth.json)
DEMO_FLAGS := --build-auth=$(BUILD_AUTH) --release-auth=$(RELEASE_AUTH) $(if $(DEMO_REPO),--repo=$(DEMO_REPO))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: catalog ## The main job, end to end: git commit to released, signed, policy-checked image
	bin/demo fetch $(DEMO_FLAGS)
	$(EXEC) bin/demo run $(DEMO_FLAGS)
	@echo 'Stop it with: make down. It goes on from where it is with: make demo'

.PHONY: test
test: lint verify unit apiserver policy e2e ## All tests

.PHONY: build
build: tools ## Build every program into bin/
	go build $(GO_FLAGS) -o bin/ ./cmd/...

.PHONY: cluster
cluster: ## Build the cluster program
	@go version >/dev/null || { echo "Go is needed: https://go.dev/doc/install" >&2; exit 1; }
	@git --version >/dev/null || { echo "git is needed: apt-get install git" >&2; exit 1; }
	go build -C test/cluster $(GO_FLAGS) -o ../../bin/cluster .

.PHONY: tools
tools: cluster ## Build ko, and download what everything else is built from
	go build -C bundles/platform/ko $(GO_FLAGS) -o ../../../bin/ko github.com/google/ko
	@echo "downloading modules"
	@go mod download
	@for m in $(MODULES); do go -C $$m mod download || exit 1; done

.PHONY: up
up: cluster ## Start the embedded cluster, or check the one KUBECONFIG names
	$(CLUSTER) up

.PHONY: install
install: up build ## Tekton, Chains and Headrace on the cluster; a second run changes nothing
	$(EXEC) bin/install --registry=$(REGISTRY)
	$(EXEC) bin/install namespace --name demo-tenant --kind tenant
	$(EXEC) bin/install namespace --name demo-managed --kind managed
ifndef KUBECONFIG
	@mkdir -p $(HEADRACE_CACHE)
	@umask 077 && $(CLUSTER) registry-user --name build --prefix demo-tenant > $(BUILD_AUTH)
	@umask 077 && $(CLUSTER) registry-user --name release --prefix released > $(RELEASE_AUTH)
endif

.PHONY: catalog
catalog: install ## Build, pack and push the tasks and pipelines
	$(EXEC) bin/catalog publish --registry=$(REGISTRY)
	$(EXEC) bin/install reporting --registry=$(REGISTRY)

.PHONY: clients
clients: ## Build kubectl, tkn, cosign and ec, from what the project pins
	go build -C bundles/platform/tkn $(GO_FLAGS) -o ../../../bin/tkn github.com/tektoncd/cli/cmd/tkn
	go build -C bundles/platform/ec $(GO_FLAGS) -o ../../../bin/ec .
	go build -C bundles/platform/cosign $(GO_FLAGS) -o ../../../bin/cosign github.com/sigstore/cosign/v2/cmd/cosign
	ln -sf "$$($(CLUSTER) build --print=kube)" bin/kubectl

.PHONY: shell
shell: clients ## A shell where kubectl, tkn, cosign and ec see the cluster and its registry
	PATH="$(CURDIR)/bin:$$PATH" $(EXEC) $${SHELL:-/bin/bash}

.PHONY: down
down: ## Stop the embedded cluster; what it holds stays for the next start
	$(CLUSTER) down

.PHONY: clean
clean: ## Stop the embedded cluster and delete what it holds
	$(CLUSTER) clean

.PHONY: lint
lint: ## go vet and staticcheck
	go vet -tags=$(TEST_TAGS) ./...
	go tool staticcheck -tags=$(TEST_TAGS) ./...

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
	$(TEST) ./...
	go -C test/cluster test ./...
	CGO_ENABLED=1 go -C cmd/buildah test -tags=$(BUILDAH_TAGS) ./...
	go -C cmd/sast-gitleaks-check test ./...

.PHONY: apiserver
apiserver: tools ## CRD rules and controllers against a real API server
	$(CLUSTER) build
	$(TEST) -tags=apiserver ./test/apiserver/...

.PHONY: policy
policy: ## The release gate, with the real ec
	go build -C bundles/platform/ec $(GO_FLAGS) -o ../../../bin/ec .
	HEADRACE_EC=$(CURDIR)/bin/ec $(TEST) -tags=policy ./test/policy/...

.PHONY: e2e
e2e: catalog clients ## The journeys, on the cluster
	bin/demo fetch
	go test -tags=e2e -count=1 -timeout=40m -v -exec "env GOPROXY=off PATH=$(CURDIR)/bin:$$PATH $(CURDIR)/$(CLUSTER) exec --" ./test/e2e/...
	$(if $(KUBECONFIG),,go -C test/cluster test -tags=cluster -count=1 -timeout=10m .)

.PHONY: bench
bench: catalog ## What builds and their tasks cost, against the programs that others use
	TMPDIR=$(or $(wildcard /dev/shm),/tmp) go test -run='^$$' -bench=. -benchtime=3x -timeout=1h -p=1 ./pkg/git ./pkg/prefetch/gomod
	TMPDIR=$(or $(wildcard /dev/shm),/tmp) go test -run='^$$' -bench=. -benchtime=1x -timeout=1h ./pkg/artifact
	bin/demo fetch
	go test -tags=bench -run='^$$' -bench=. $(BENCH_FLAGS) -p=1 -count=1 -timeout=1h -v -exec "env GOPROXY=off $(CURDIR)/$(CLUSTER) exec --" ./test/bench/...

.PHONY: vuln
vuln: ## Known vulnerabilities in what we link; needs the network
	go tool govulncheck ./...
