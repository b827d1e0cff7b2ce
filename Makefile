# make demo   the chat on http://127.0.0.1:6543
# make demo-cluster  the same in three processes, behind HAProxy, on Redis and PostgreSQL
# make check  what needs no server, before each commit: seconds
# make test   everything that can be checked; COVERAGE=1: and how much of the code ran;
#             FULL=1: every combination of parameters, over both readers, many more random examples;
#             without it cases take turns in browsers, databases and balancers (tests/selection.py)
# make compiled  machine code beside the sources, in this checkout; make plain: without it again
# make test-compiled  a part of the tests once more, in a copy that is compiled
# make test-pythons  the tests that need no server, by each later Python that is there
# make docs   the documentation, in build/docs
# make bench  how this server compares with others; make bench-short: a first look;
#             make bench-stalls: what holds up its loop; make bench-killed: how soon the clients
#             of a process that is killed are back; make bench-capacity: what a million connections
#             take, computed from the last make bench
# make proxies  what the browser's clients make of what may stand between: half an hour;
#             a part: make proxies WAYS='cut after|HTTP/1.0' CLIENTS=stock BROWSERS=chromium

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

NODE_MODULES = js/node_modules/.package-lock.json
LOCK = js/package.json js/package-lock.json
BUILD = setup.cfg setup.py pyproject.toml buildtools/build_backend.py

# A stamp per set of requirements: what is up to date is not installed again.
DEMO = $(VENV)/.installed-demo
TEST = $(VENV)/.installed-test

# Tests mostly wait: seven workers keep two cores busy. Those with browsers are a run of their own,
# beside all others: no worker collects what the other run has, each has browsers of its own, and
# coverage costs nothing where it finds nothing new. tests/conftest.py says what stays together.
TESTS = $(if $(FULL),SOCKJS_TEST_FULL=1) $(BIN)/python -m pytest --dist loadscope \
  --no-loadscope-reorder $(if $(FULL),--hypothesis-profile=night)
UNITS = -n 3 --dist loadscope -m 'not server' --hypothesis-profile=check
FULL =
COVERAGE =

# Those that setup.cfg names beside the one of .venv.
PYTHONS = python3.12 python3.13

# A part of the benchmark: make bench LOADS="ws-echo c100,open c32" PEERS=ours,limit REPS=1
LOADS =
PEERS =
REPS =
SECONDS =

# How many clients there are: make bench-killed SESSIONS=5000 SHARE=100 (%, at the process that is
# killed). And from which file of a run the capacity is computed; the last one.
SESSIONS =
SHARE =
REPORT =

# A part of the table of middleboxes.
WAYS =
CLIENTS =
BROWSERS =

# Where it is set, each worker of the tests would compile all of them anew: half of a quick check.
unexport PYTHONDONTWRITEBYTECODE
# Trio has one for Hypothesis, and each worker would import all of it for nothing.
export HYPOTHESIS_NO_PLUGINS = 1

.PHONY: demo demo-cluster check test test-js test-js-units bytecode test-units compiled plain test-compiled test-pythons test-browsers test-python coverage lint format docs bench bench-short bench-stalls bench-killed bench-capacity proxies browser-files programs dist clean

demo: $(DEMO)
	@# Pyramid 2.1 imports pkg_resources, which says at every start that it is deprecated.
	PYTHONWARNINGS='ignore:pkg_resources is deprecated' $(BIN)/pserve demo.ini

# It wants what the tests install: the package's extras, and programs of the system.
demo-cluster: $(TEST) programs
	@exec $(BIN)/python -m buildtools.cluster_demo

check: $(TEST) $(NODE_MODULES)
	@$(MAKE) --no-print-directory -j3 --output-sync=target lint test-js-units test-units

test:
	@$(MAKE) --no-print-directory -j3 --output-sync=target lint test-js programs bytecode
	@$(MAKE) --no-print-directory -j2 test-browsers test-python
	$(if $(COVERAGE),@$(MAKE) --no-print-directory coverage)

# What it says is shown at its end, as the other run tells beside it how it gets on.
test-browsers: $(TEST) $(NODE_MODULES)
	@mkdir -p build
	@$(TESTS) -n 3 tests/e2e >build/browsers.txt 2>&1; status=$$?; cat build/browsers.txt; exit $$status

test-python: $(TEST)
	$(TESTS) -n 4 --ignore=tests/e2e $(if $(COVERAGE),--cov --cov-report=)

# Some of them talk to our server.
test-js: $(TEST) $(NODE_MODULES)
	cd js && npm test

# All but those for which servers are started, or the browser's files are built.
test-js-units: $(NODE_MODULES)
	cd js && npm run --silent test:units

# By one process: of a fresh checkout each worker would compile all of the tests. What is wrong with
# them, their run tells.
bytecode: $(TEST)
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true

test-units: $(TEST)
	$(BIN)/python -m pytest $(UNITS)

compiled: $(TEST)
	$(BIN)/python -m buildtools.compiled

plain: $(BIN)/python
	$(BIN)/python -m buildtools.compiled --remove

# The copy is built again where a source has changed. What an application sees is the same over both
# readers and behind a balancer: one of them is enough; and of whole servers, what strains the
# compiled parts.
COMPILED_TESTS = tests/core tests/resume tests/endpoint tests/conformance $(addprefix \
  tests/integration/test_,$(addsuffix .py,bad_input chaos history presence resume_network \
  resume_styles stop))
COMPILED = $(CURDIR)/build/compiled
test-compiled: $(TEST)
	$(BIN)/python -m buildtools.compiled --copy
	cd $(COMPILED) && export PYTHONPATH=$(COMPILED) && \
	  $(CURDIR)/$(BIN)/python -c 'import sockjs_bridge; assert sockjs_bridge.compiled' && \
	  $(CURDIR)/$(BIN)/python -m pytest -n 2 --dist loadscope --hypothesis-profile=check \
	    -m 'not interpreted' -k 'not (haproxy or nginx or reference)' \
	    $(COMPILED_TESTS)

# Each in an environment of its own, below build.
test-pythons: | browser-files
	@set -e; for python in $(PYTHONS); do \
	  $$python -c '' 2>/dev/null || { echo "$$python is not here"; continue; }; \
	  $$python -m venv build/$$python; \
	  build/$$python/bin/python -m pip --disable-pip-version-check --quiet install -e '.[chat,test]'; \
	  build/$$python/bin/python -m pytest $(UNITS); \
	done

# Of the run before, branches too. All of the library is reached; what no test can reach has a comment
# beside it. The tenth is for what a busy machine may leave out: a run is not red by chance.
coverage:
	$(BIN)/coverage report --include='sockjs_bridge/*' --fail-under=99.9
	$(BIN)/coverage report --include='pyramid_chat/*' --fail-under=98

lint: $(TEST) $(NODE_MODULES)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd js && npm run --silent lint && npm run --silent types

format: $(TEST)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What tests/docs builds too: a warning is an error.
docs: $(TEST)
	$(BIN)/python -m sphinx -n -W --keep-going -q -d build/doctrees docs build/docs
	@echo build/docs/index.html

bench bench-short bench-stalls: $(DEMO)
	@$(BIN)/python -m bench.run $(patsubst bench-%,--%,$(filter-out bench,$@)) \
	  $(if $(LOADS),--loads '$(LOADS)') $(if $(PEERS),--peers '$(PEERS)') \
	  $(if $(REPS),--reps '$(REPS)') $(if $(SECONDS),--seconds '$(SECONDS)')

bench-killed: $(DEMO)
	@$(BIN)/python -m bench.killed $(if $(SESSIONS),--sessions '$(SESSIONS)') \
	  $(if $(SHARE),--share '$(SHARE)')

# What the docs have: make bench-capacity >docs/capacity.txt
bench-capacity: $(DEMO)
	@$(BIN)/python -m bench.capacity $(REPORT)

# Kept in build/proxies/table.txt.
proxies: $(TEST) programs
	@$(BIN)/python -W ignore -m tests.proxies.table $(if $(WAYS),--ways '$(WAYS)') \
	  $(if $(CLIENTS),--clients '$(CLIENTS)') $(if $(BROWSERS),--browsers '$(BROWSERS)')

dist: $(TEST)
	rm -rf dist
	$(BIN)/python -m build

# Browsers, proxies, PostgreSQL and Redis, by apt where they are missing and we may.
programs:
	sh tests/tools/install.sh

clean:
	rm -rf $(VENV) js/node_modules js/.built sockjs_bridge/static pyramid_chat/static/dist
	rm -rf build dist *.egg-info
	find sockjs_bridge -name '*.so' -delete
	rm -rf .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is older than Python 3.11; name another one: make PYTHON=python3.11" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

# The files for browsers come first, but no change of them alone is a reason to install again. The
# benchmark's ours-cluster wants the second extra.
$(DEMO): $(BIN)/python $(BUILD) | browser-files
	$(PIP) install -e '.[chat,cluster]'
	@touch $@

$(TEST): $(BIN)/python $(BUILD) | browser-files
	$(PIP) install -e '.[chat,test]'
	@touch $(DEMO) $@

# Does nothing where they are up to date.
browser-files:
	@$(PYTHON) buildtools/browser_files.py

# After the build, which installs the same packages.
$(NODE_MODULES): $(LOCK) | browser-files
	cd js && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
