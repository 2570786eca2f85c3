# The commands of this project. `make help` lists them.

GO        ?= go
DURATION  ?= 60s
# The certified module of Go's cryptography (FIPS 140-3); GOFIPS140=off links the current one.
GOFIPS140 ?= v1.0.0
export GOFIPS140

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
PACKAGES := ./...

.PHONY: help build run cluster test check fmt vet staticcheck unit race integration fuzz restore-drill bench chaos chaos-planted tools clean

help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

build: ## build bin/trent
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/trent ./cmd/trent

run: build ## build and run trent dev on 127.0.0.1:7600
	./bin/trent dev

cluster: build ## run three processes behind HAProxy, until Ctrl-C
	@.ci/cluster

tools: ## install what the tests need (SoftHSM2, HAProxy, the AWS CLI)
	@.ci/tools

test: tools build unit race integration ## run all tests

# Packages whose tests all run under the race detector, and so only there.
RACE_ONLY = api api/audit api/oidc api/sigv4 api/throttle cluster/backup cmd/trent/config hsm region region/federation region/multiregion
# Packages that run there as well, without what is computing alone and would take minutes (-short).
RACE_TOO = cluster cluster/transport cmd/trent
ROOT = github.com/trentkms/trent
# More packages at a time than there are processors: many wait for elections and timeouts rather than compute.
TEST = $(GO) test -p 4 -timeout 20m

unit:
	$(TEST) $$($(GO) list $(PACKAGES) | grep -v -e /integration $(RACE_ONLY:%=-e '^$(ROOT)/%$$'))

# The packages with concurrency of their own, under the race detector; of the state machine and the embedded HSM the tests that have
# any, since the others are long computations. unit has vetted what both run.
race:
	$(TEST) -race $(RACE_ONLY:%=./%)
	$(TEST) -race -short -vet=off $(RACE_TOO:%=./%)
	$(TEST) -race -short -vet=off -run '^(TestReadersBesideApply|TestWait|TestRestoreWakesWaiters|TestRestoreIsAllOrNothing)$$' ./fsm
	$(TEST) -race -short -vet=off -run '^TestConformance$$/^(Concurrency|Close|Context|Destroy)$$' ./hsm/soft

# Two packages at a time: their nodes wait for each other more than they compute. One program serves all but the chaos harness.
integration:
	$(GO) build -tags trent_published_rsa $(if $(TRENT_TEST_RACE),-race) -ldflags '-s -w' -o bin/test/trent ./cmd/trent
	TRENT_TEST_BINARY=$${TRENT_TEST_BINARY:-$(CURDIR)/bin/test/trent} $(GO) test -count=1 -p 2 -timeout 20m ./integration/...

check: fmt vet staticcheck ## format, vet and staticcheck

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }

vet:
	$(GO) vet $(PACKAGES)

staticcheck:
	$(GO) tool staticcheck $(PACKAGES)

fuzz: ## run every fuzz target for DURATION
	@.ci/fuzz $(DURATION)

restore-drill: ## lose a region and bring it back from a snapshot; TRENT_DRILL_KEYS sets the number of keys
	TRENT_DRILL_KEYS=$${TRENT_DRILL_KEYS:-200} $(GO) test -count=1 -timeout 60m -run '^TestRestoreDrill$$' -v ./integration/cluster

bench: build ## run the benchmarks; DURATION bounds each measurement
	$(GO) run ./integration/bench -duration $(DURATION)

# chaos: DURATION of the traffic, SEED (drawn if empty), NODES, REGIONS, FAULTS and WORKLOADS (lists, or all), HSM (embedded, softhsm), ROUNDS.
CHAOS = $(GO) run ./integration/chaos
chaos: ## break a cluster in every way that there is and check what clients saw (docs/chaos.md)
	$(CHAOS) run -duration $(if $(filter command line environment,$(origin DURATION)),$(DURATION),10m) -seed $(or $(SEED),0) -nodes $(or $(NODES),3) \
		-regions $(or $(REGIONS),1) -faults $(or $(FAULTS),all) -workloads $(or $(WORKLOADS),all) -hsm $(or $(HSM),embedded) -rounds $(or $(ROUNDS),500)

chaos-planted: ## show that the harness finds every fault that is planted
	$(CHAOS) planted -seed $(or $(SEED),1)

clean: ## remove what the build made
	rm -rf bin
