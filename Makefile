# Gatehouse. `make` lists what there is.

GO            ?= go
GOLANGCI_LINT ?= github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT    ?= github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
CYCLONEDX     ?= github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
GOVULNCHECK   ?= golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME      ?= 30s
FUZZ          ?=
SOAK          ?= 5m
BENCHCOUNT    ?= 5
RESULTS       ?=
ARCH          ?= arm64
ARGS          ?=

# Where make build puts the functions.
BUILD ?= build

# What the functions are packed with: this file and, if there is one, the folder
# keys/ beside it (keysFile).
CONFIG ?= infra/gatehouse.yaml

# The race detector needs a C compiler. Without one the tests still run, except
# in CI, where they must not.
RACE := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help
.PHONY: help run demo check doctor explain schema postman template sam-local test test-long lint fuzz soak cover bench bench-check build sbom vulnerable ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the whole system on this machine (ARGS="--trace", ARGS="--help")
	@$(GO) run ./infra/local run $(ARGS)

demo: ## the walk-through, from an open API to a refused scope
	@$(GO) run ./infra/local demo $(ARGS)

check: ## read infra/gatehouse.yaml; print its routes, warnings and limits
	@$(GO) run ./infra/local check $(ARGS)

doctor: ## ask the identity providers for all that is needed of them; say what to do
	@$(GO) run ./infra/local doctor $(ARGS)

explain: ## what is decided about the token on standard input (ARGS="GET /orders")
	@$(GO) run ./infra/local explain $(ARGS)

schema: ## write infra/gatehouse.schema.json from the types
	@$(GO) run ./infra/local schema > infra/gatehouse.schema.json.new
	@mv infra/gatehouse.schema.json.new infra/gatehouse.schema.json

postman: ## write infra/postman from the OpenAPI documents
	@$(GO) run ./infra/local postman

template: ## SAM, cfn-lint and checkov over the templates, and our own rules
	$(GO) test ./infra/template

sam-local: ## the events and the orders API by sam local, in containers (Linux, root, Docker)
	@echo "sam local: an image of a Debian, sam build, some fifty containers, one line each; about three minutes"
	$(GO) test -v -count=1 -timeout 20m ./infra/samlocal

test: ## all tests, in random order, with the race detector
ifeq ($(RACE),)
	@echo "make test: no C compiler, so the race detector is off" >&2
	@test -z "$(CI)"
endif
	$(GO) test $(RACE) -shuffle=on -timeout 30m $$($(GO) list ./... | grep -v '/infra/samlocal$$') # has a target of its own

test-long: ## what takes minutes: the registry's costs among 100,000 applications
	$(GO) test ./shared/registry -run '^TestDynamo$$' -crowd 100000

lint: ## vet, format, the linters of .golangci.yml, and the workflow for GitHub
	$(GO) vet ./...
	$(GO) run $(GOLANGCI_LINT) run ./...
	$(GO) run $(ACTIONLINT)

fuzz: ## every fuzz target for FUZZTIME (30s); FUZZ=shared/token runs those that match
	@$(GO) run ./infra/fuzz -time $(FUZZTIME) -run '$(FUZZ)' -summary "$(SUMMARY)"

soak: ## the system under load for SOAK (5m), while keys rotate and the provider fails
	$(GO) test ./infra/local -run '^TestSoak$$' -soak $(SOAK) -timeout 60m -v

cover: ## coverage by package, and coverage.html
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -html=coverage.out -o coverage.html

bench: ## what decisions, the broker and whole functions cost, beside peers (RESULTS=docs/performance)
	@$(GO) run ./infra/bench -count $(BENCHCOUNT) -o "$(RESULTS)"

bench-check: ## the parts of a decision against the bounds that CI holds
	@$(GO) run ./infra/bench -check -count 3

FUNCTIONS := Authorizer Registration Broker Reconciler DemoApi Mcp Talk

build: $(FUNCTIONS:%=build-%Function) ## the functions, as sam build makes them, under build/

# SAM calls build-<LogicalId> with ARTIFACTS_DIR; both ways compile with this line.
define function
	@mkdir -p "$(or $(ARTIFACTS_DIR),$(BUILD)/$@)"
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) $(GO) build -trimpath -buildvcs=false -tags lambda.norpc -ldflags='-s -w' \
		-o "$(or $(ARTIFACTS_DIR),$(BUILD)/$@)/bootstrap" ./$(1)
endef

define configuration
	cp $(CONFIG) "$(or $(ARTIFACTS_DIR),$(BUILD)/$@)/gatehouse.yaml"
	if [ -d "$(dir $(CONFIG))keys" ]; then cp -R "$(dir $(CONFIG))keys" "$(or $(ARTIFACTS_DIR),$(BUILD)/$@)/"; fi
endef

.PHONY: $(FUNCTIONS:%=build-%Function)
build-AuthorizerFunction:
	$(call function,functions/authorizer)
	$(configuration)

build-RegistrationFunction:
	$(call function,functions/registration)
	$(configuration)

build-BrokerFunction:
	$(call function,functions/broker)
	$(configuration)

build-ReconcilerFunction:
	$(call function,functions/reconciler)
	$(configuration)

build-DemoApiFunction:
	$(call function,functions/demoapi)

# Of the template in infra/examples/mcp.
build-McpFunction:
	$(call function,infra/examples/mcp)

# Of the template in infra/examples/websocket.
build-TalkFunction:
	$(call function,infra/examples/websocket)

sbom: build ## what each function is made of, as CycloneDX, under build/sbom/
	@mkdir -p $(BUILD)/sbom
	@for f in $(FUNCTIONS); do \
		$(GO) run $(CYCLONEDX) bin -json -noserial -output $(BUILD)/sbom/$$f.json $(BUILD)/build-$${f}Function/bootstrap 2>$(BUILD)/sbom/log || { cat $(BUILD)/sbom/log >&2; exit 1; }; \
	done
	@ls $(BUILD)/sbom/*.json

vulnerable: ## known vulnerabilities that the code can reach; asks vuln.go.dev
	$(GO) run $(GOVULNCHECK) ./...

# What was counted on the way stands at the end.
ci: export SUMMARY = $(CURDIR)/build/summary
ci: ## everything CI does, on any machine with Go and a C compiler
	@mkdir -p build && rm -f $(SUMMARY)
	$(MAKE) lint
	$(MAKE) test
	$(MAKE) soak SOAK=1m
	$(MAKE) test-long
	$(MAKE) sam-local
	$(MAKE) sbom
	$(MAKE) demo
	$(MAKE) check
	$(MAKE) bench-check
	$(MAKE) fuzz
	@echo && awk '{ n = $$1; sub(/^ *[0-9]+ */, ""); sum[$$0] += n } END { for (what in sum) printf "%12d  %s\n", sum[what], what }' $(SUMMARY) | sort -k2

clean: ## what the other targets left behind
	rm -rf build .aws-sam coverage.out coverage.html
