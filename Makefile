# Everything that is done with this project. `make help` lists it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# Which Python to make environments with; 3.11 or newer.
PYTHON ?=
export PYTHON
export PYTHONPATH := .:build/gen

PROTOS   := $(shell find proto -name '*.proto')
RUN      := .venv/bin
DEV      := .venv-dev/bin
LOCKS    := deploy/locks
ONLY     ?=
JOBS     ?= 3
# Several at a time, a thread each: threads that wait for each other's turn on a core burn it.
ALONE    := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

##@ Run

.PHONY: demo
demo: .venv/.ready build/gen/.ready ## Run the whole path on real servers and real data (ONCE=1: then stop)
	@$(RUN)/python -m deploy.local demo $(if $(ONCE),--once)

.PHONY: demo-serving
demo-serving: .venv/.ready build/gen/.ready ## Edit a scenario, exchange a model under load, read an experiment (ONCE=1: then stop)
	@$(RUN)/python -m deploy.local demo-serving $(if $(ONCE),--once)

.PHONY: up
up: .venv/.ready build/gen/.ready ## Start Kafka, Redis, the worker and the servers, and leave them running
	@$(RUN)/python -m deploy.local up

.PHONY: down
down: ## Stop what demo or up left running
	@python=$(firstword $(wildcard $(RUN)/python $(DEV)/python)); \
		if [ -n "$$python" ]; then $$python -m deploy.local down; else echo "nothing is running"; fi

##@ Check

.PHONY: test
test: .venv-dev/.ready build/gen/.ready ## Run every test and show the coverage (ONLY=tests/unit: some; JOBS=2: so many at once)
	@mkdir -p build/tmp
	TMPDIR=$(CURDIR)/build/tmp $(ALONE) $(DEV)/pytest -n $(JOBS) --cov --cov-report=term $(ONLY)

.PHONY: test-distributed
test-distributed: .venv-spark/.ready build/gen/.ready ## Prepare data on Spark and embedded, and compare; read the archive by Spark
	@mkdir -p build/tmp
	TMPDIR=$(CURDIR)/build/tmp .venv-spark/bin/pytest tests/distributed

.PHONY: clients
clients: .venv-dev/.ready build/gen/.ready ## Build and run the producers' and storefronts' examples whose languages this machine has, and say which it lacks
	@mkdir -p build/tmp
	TMPDIR=$(CURDIR)/build/tmp ATTUNE_TEST_CLIENTS=1 $(DEV)/pytest -v --timeout 1800 tests/integration/test_producer_examples.py \
		tests/integration/test_storefront_examples.py

.PHONY: check
check: check-format check-lint check-types check-imports check-proto check-dead check-locks ## Run all checks below

.PHONY: check-format
check-format: .venv-dev/.ready ## Format of Python and proto files
	$(DEV)/ruff format --check --quiet
	cd proto && ../$(DEV)/buf format --diff --exit-code . --path attune

.PHONY: check-lint
check-lint: .venv-dev/.ready ## Lint
	$(DEV)/ruff check --quiet

.PHONY: check-types
check-types: .venv-dev/.ready build/gen/.ready ## Strict types
	$(DEV)/mypy

.PHONY: check-imports
check-imports: .venv-dev/.ready build/gen/.ready ## Which module may import which
	$(DEV)/lint-imports

.PHONY: check-proto
check-proto: .venv-dev/.ready ## Contracts: style, and nothing that breaks the newest tag's
	$(DEV)/python proto/image.py build/contracts.binpb
	@$(DEV)/python proto/earlier.py build/earlier.binpb
	$(DEV)/buf lint build/contracts.binpb --config proto/buf.yaml --path attune
	$(DEV)/buf breaking build/contracts.binpb --against build/earlier.binpb --config proto/buf.yaml --path attune

.PHONY: check-dead
check-dead: .venv-dev/.ready ## Code that nothing uses
	@# Fields of structs count as unused where only their names are read; ruff sees to variables.
	@mkdir -p build; $(DEV)/vulture > build/dead.txt || [ $$? -eq 3 ]
	@! grep -vE 'unused (variable|attribute)' build/dead.txt

.PHONY: check-locks
check-locks: ## Locks hold neither addresses nor paths of a machine
	@! grep -L -- --hash= $(LOCKS)/*.txt | grep .
	@! grep -nE '://|^-|file:|/(home|root|tmp|opt|usr)/' $(LOCKS)/*.txt

.PHONY: fault
fault: .venv-dev/.ready build/gen/.ready ## Break things by seed and ask the oracle (FAULTS=300; SEED=n: one story alone)
	$(DEV)/python -m tests.fault.chaos $(if $(SEED),--seed $(SEED),--faults $(or $(FAULTS),300))

##@ Measure

.PHONY: bench-freshness
bench-freshness: .venv-dev/.ready build/gen/.ready ## How soon an event is in its profile (QUICK=1: in a minute, coarser)
	$(DEV)/python -m tests.bench.freshness $(if $(QUICK),--quick)

.PHONY: bench-stream
bench-stream: .venv-dev/.ready .venv-bench/.ready build/gen/.ready ## The worker beside its peers, one core each (QUICK=1: in two minutes, coarser)
	$(DEV)/python -m tests.bench.stream $(if $(QUICK),--quick)

.PHONY: bench-serve
bench-serve: .venv-dev/.ready build/gen/.ready ## How many recommendations a second, how late, for how much (QUICK=1: in minutes, coarser)
	$(DEV)/python -m tests.bench.serve $(if $(QUICK),--quick)

.PHONY: bench-archive
bench-archive: .venv-dev/.ready build/gen/.ready ## How many events a second one core archives (QUICK=1: in a minute, coarser)
	$(DEV)/python -m tests.bench.archive $(if $(QUICK),--quick)

.PHONY: bench-prepare
bench-prepare: .venv-dev/.ready build/gen/.ready ## How fast data is prepared, and in how much memory (QUICK=1: in a minute, coarser)
	$(DEV)/python -m tests.bench.preparing $(if $(QUICK),--quick)

.PHONY: bench-import
bench-import: .venv-dev/.ready build/gen/.ready ## How fast a shop's files are imported (QUICK=1: in a minute, coarser)
	$(DEV)/python -m tests.bench.importing $(if $(QUICK),--quick)

.PHONY: bench-filters
bench-filters: .venv-dev/.ready build/gen/.ready ## How soon filters are computed on a million products (QUICK=1: fewer calls, coarser)
	$(DEV)/python -m tests.bench.filters $(if $(QUICK),--quick)

.PHONY: bench-accuracy
bench-accuracy: .venv-dev/.ready build/gen/.ready ## How well the model foretells, on the papers' files, in an hour (QUICK=1: in minutes, coarser)
	$(DEV)/python -m tests.bench.accuracy.training_time $(if $(QUICK),--quick)
	$(DEV)/python -m tests.bench.accuracy $(if $(QUICK),--quick)

.PHONY: bench-library
bench-library: .venv-dev/.ready .venv-rectools/.ready build/gen/.ready ## Our training beside rectools' on the same file, which takes hours (EPOCHS=6: fewer; QUICK=1: in a minute)
	$(DEV)/python -m tests.bench.accuracy.beside_library $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(QUICK),--quick)

.PHONY: bench-actions
bench-actions: .venv-dev/.ready build/gen/.ready ## What knowing views, carts and purchases apart is worth (QUICK=1: one seed)
	$(DEV)/python -m tests.bench.accuracy.actions $(if $(QUICK),--quick)

.PHONY: bench-cold
bench-cold: .venv-dev/.ready build/gen/.ready ## How well products that nobody has bought yet are found (QUICK=1: one seed)
	$(DEV)/python -m tests.bench.accuracy.cold_products $(if $(QUICK),--quick)

.PHONY: bench-cold-start
bench-cold-start: .venv-dev/.ready build/gen/.ready ## How soon a new visitor and a new product are served (QUICK=1: fewer, coarser)
	$(DEV)/python -m tests.bench.cold_start $(if $(QUICK),--quick)

.PHONY: bench-architectures
bench-architectures: .venv-dev/.ready build/gen/.ready ## Which architecture wins where, in an hour (QUICK=1: one epoch each)
	$(DEV)/python -m tests.bench.accuracy.architectures $(if $(QUICK),--quick)

.PHONY: bench-diversity
bench-diversity: .venv-dev/.ready build/gen/.ready ## What variety costs, and what it brings (QUICK=1: in a minute, coarser)
	$(DEV)/python -m tests.bench.diversity $(if $(QUICK),--quick)

.PHONY: bench-plan
bench-plan: .venv-dev/.ready build/gen/.ready ## How far a plan is from what training takes (QUICK=1: on cuts of the data)
	$(DEV)/python -m tests.bench.planning $(if $(QUICK),--quick)

.PHONY: bench-experiments
bench-experiments: .venv-dev/.ready build/gen/.ready ## How often experiments err, and what they find (QUICK=1: a tenth of the worlds)
	$(DEV)/python -m tests.bench.experiments $(if $(QUICK),--quick)

.PHONY: bench-exposure
bench-exposure: .venv-dev/.ready build/gen/.ready ## What an exposure rule brings small merchants, and costs (QUICK=1: in seconds, coarser)
	$(DEV)/python -m tests.bench.exposure $(if $(QUICK),--quick)

.PHONY: bench-swapping
bench-swapping: .venv-dev/.ready build/gen/.ready ## What exchanging a model costs those who call meanwhile (QUICK=1: in a minute, coarser)
	$(ALONE) $(DEV)/python -m tests.bench.swapping $(if $(QUICK),--quick)

.PHONY: bench-loop
bench-loop: .venv-dev/.ready build/gen/.ready ## What retraining on a schedule is worth where taste drifts (QUICK=1: in a minute, coarser)
	$(ALONE) $(DEV)/python -m tests.bench.loop $(if $(QUICK),--quick)

##@ Model

.PHONY: model
model: .venv-dev/.ready build/gen/.ready ## Train the committed bundle again (same seed, same data)
	$(DEV)/python -m model_export all

.PHONY: verify-model
verify-model: .venv-dev/.ready build/gen/.ready ## Check the bundle's sums, golden outputs and report
	$(DEV)/python -m model_export verify --complete-journey

##@ Maintain

.PHONY: format
format: .venv-dev/.ready ## Format Python and proto files
	$(DEV)/ruff format
	$(DEV)/ruff check --fix --quiet
	cd proto && ../$(DEV)/buf format --write . --path attune

COMPILE = deploy/local/uv.sh pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade)

.PHONY: lock
lock: ## Renew the locks from pyproject.toml (UPGRADE=1: to the newest versions)
	$(COMPILE) pyproject.toml --extra build --extra local --extra prepare --extra text --extra train --extra dev -o $(LOCKS)/dev.txt
	$(COMPILE) pyproject.toml --extra build --extra local --extra prepare -c $(LOCKS)/dev.txt -o $(LOCKS)/run.txt
	$(COMPILE) pyproject.toml --extra build --extra local --extra prepare --extra spark --extra dev -c $(LOCKS)/dev.txt -o $(LOCKS)/spark.txt
	$(COMPILE) pyproject.toml -c $(LOCKS)/dev.txt -o $(LOCKS)/serve.txt
	$(COMPILE) pyproject.toml --extra prepare --extra text --extra train -c $(LOCKS)/dev.txt -o $(LOCKS)/train.txt
	@# Not by dev.txt: a peer wants an older client of Kafka than our tests do.
	$(COMPILE) pyproject.toml --extra bench -c $(LOCKS)/run.txt -o $(LOCKS)/bench.txt
	$(COMPILE) pyproject.toml --extra build -c $(LOCKS)/dev.txt -o $(LOCKS)/build.txt
	$(COMPILE) --group java -o $(LOCKS)/java.txt
	@# Not by dev.txt: rectools wants an older NumPy than ours.
	$(COMPILE) --group rectools -o $(LOCKS)/rectools.txt

.PHONY: proto-baseline
proto-baseline: .venv-dev/.ready ## Hold contracts to those of the last commit from now on, until there is a tag
	$(DEV)/python proto/earlier.py --renew

.PHONY: clean
clean: down ## Remove what was built, and the stack's data; the environments stay
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# Environments and generated code: made when missing or older than what they are made from.

.venv/.ready: $(LOCKS)/run.txt $(LOCKS)/java.txt deploy/local/install.sh deploy/local/uv.sh
	@deploy/local/install.sh .venv $(LOCKS)/run.txt
	@touch $@

.venv-dev/.ready: $(LOCKS)/dev.txt $(LOCKS)/java.txt deploy/local/install.sh deploy/local/uv.sh
	@deploy/local/install.sh .venv-dev $(LOCKS)/dev.txt
	@touch $@

.venv-bench/.ready: $(LOCKS)/bench.txt $(LOCKS)/java.txt deploy/local/install.sh deploy/local/uv.sh
	@deploy/local/install.sh .venv-bench $(LOCKS)/bench.txt
	@touch $@

.venv-rectools/.ready: $(LOCKS)/rectools.txt $(LOCKS)/java.txt deploy/local/install.sh deploy/local/uv.sh
	@deploy/local/install.sh .venv-rectools $(LOCKS)/rectools.txt
	@touch $@

.venv-spark/.ready: $(LOCKS)/spark.txt $(LOCKS)/java.txt deploy/local/install.sh deploy/local/uv.sh
	@deploy/local/install.sh .venv-spark $(LOCKS)/spark.txt
	@touch $@

build/gen/.ready: $(PROTOS) proto/generate.py
	@echo "generating code from proto/"
	@env=.venv-dev; [ -e $$env/.ready ] || env=.venv; \
		PATH="$$PWD/$$env/bin:$$PATH" python proto/generate.py build/gen
	@touch $@
