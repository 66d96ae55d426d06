# gravity_memory: build, install and test. `make help` lists what there is to do.
#
# The version stands once, in gravity_memory.control. The objects stand in sql/, one per file, and sql/load_order.txt
# says in which order they make up the installation script.

EXTENSION := gravity_memory
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)
SCRIPT := $(EXTENSION)--$(EXTVERSION).sql
OBJECTS := $(shell sed -e 's/\#.*//' -e 's/[[:space:]]*$$//' -e '/^$$/d' sql/load_order.txt)

# Released scripts and upgrade scripts are files at the root; only the current version's script is built.
DATA := $(SCRIPT) $(filter-out $(SCRIPT),$(sort $(wildcard $(EXTENSION)--*.sql)))
NO_INSTALLCHECK := 1

PYTHON ?= python3
PG_CONFIG ?= pg_config
PG_PROVE ?= pg_prove
PROVE_FLAGS ?=
TEST_DATABASE := gravity_memory_installcheck
ISOLATION_DATABASE := gravity_memory_isolation
ISOLATION_OUTPUT := build/isolation

.DEFAULT_GOAL := all

# PGXS is read only for the goals that need it: `make demo` and `make test` work where no PostgreSQL is installed.
PGXS_GOALS := install installdirs uninstall installcheck installcheck-pgtap installcheck-isolation
ifneq (,$(filter $(PGXS_GOALS),$(MAKECMDGOALS)))
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(PGXS))
$(error $(PG_CONFIG) does not run. Name the pg_config of the PostgreSQL that you mean, for example \
make PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config $(MAKECMDGOALS))
endif
PG_MAJOR := $(shell $(PG_CONFIG) --version | sed 's/^PostgreSQL \([0-9][0-9]*\).*/\1/')
ifneq (,$(filter 8 9 10 11 12 13 14,$(PG_MAJOR)))
$(error gravity_memory needs PostgreSQL 15 or newer, and $(PG_CONFIG) belongs to PostgreSQL $(PG_MAJOR))
endif
endif

# Before PGXS: `install` builds `all` first.
all: $(SCRIPT)

ifdef PGXS
include $(PGXS)
endif

define ASSEMBLE
printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit' && \
for object in $(OBJECTS); do \
  printf '\n-- sql/%s\n\n' "$$object" && cat "sql/$$object" || exit 1; \
done
endef

# The script is replaced only when it differs, so that building in a fresh checkout changes nothing.
$(SCRIPT): $(EXTENSION).control sql/load_order.txt $(addprefix sql/,$(OBJECTS))
	@( $(ASSEMBLE) ) > .$@.new
	@if cmp -s .$@.new $@; then rm .$@.new; else mv .$@.new $@ && echo "built $@"; fi

# Fails when somebody changed sql/ and committed another script than it builds.
check-script:
	@( $(ASSEMBLE) ) | cmp - $(SCRIPT) || { echo "$(SCRIPT) is not what sql/ builds: run make" >&2; exit 1; }

# Tests against the running server that the PG* variables name. The extension and pgTAP must be installed there.
installcheck: installcheck-pgtap installcheck-isolation

PSQL = '$(bindir)/psql' --no-psqlrc --quiet --set=ON_ERROR_STOP=1

installcheck-pgtap:
	@test -n "$(wildcard tests/pgtap/*.sql)" || { echo "tests/pgtap has no tests" >&2; exit 1; }
	@command -v $(PG_PROVE) > /dev/null || { echo "$(PG_PROVE) is not installed: on Debian, apt-get install" \
	  "libtap-parser-sourcehandler-pgtap-perl; elsewhere, cpan TAP::Parser::SourceHandler::pgTAP" >&2; exit 1; }
	$(PSQL) --dbname=postgres \
	  --command='SET client_min_messages = warning' \
	  --command='DROP DATABASE IF EXISTS $(TEST_DATABASE) WITH (FORCE)' \
	  --command="CREATE DATABASE $(TEST_DATABASE) TEMPLATE template0 ENCODING 'UTF8'" \
	  --command="ALTER DATABASE $(TEST_DATABASE) SET track_functions = 'all'"
	$(PSQL) --dbname=$(TEST_DATABASE) \
	  --command='CREATE EXTENSION vector' \
	  --command='CREATE EXTENSION pgtap' \
	  --command='CREATE EXTENSION $(EXTENSION)'
	$(PG_PROVE) --psql-bin '$(bindir)/psql' --dbname $(TEST_DATABASE) $(PROVE_FLAGS) $(sort $(wildcard tests/pgtap/*.sql))

# isolationtester comes with PostgreSQL's development files; packagers who lack it must say that they leave it out.
ISOLATION_TESTS = $(sort $(basename $(notdir $(wildcard tests/isolation/specs/*.spec))))
ISOLATION_REGRESS ?= $(dir $(PGXS))../test/isolation/pg_isolation_regress

installcheck-isolation:
ifeq ($(ISOLATION),skip)
	@echo "ISOLATION=skip: the tests for concurrent sessions are left out" >&2
else
	@test -n "$(ISOLATION_TESTS)" || { echo "tests/isolation has no tests" >&2; exit 1; }
	@test -x '$(ISOLATION_REGRESS)' || { echo "The tests for concurrent sessions cannot run:" \
	  "$(ISOLATION_REGRESS) is missing. Install PostgreSQL's development files, or leave these tests out with" \
	  "ISOLATION=skip" >&2; exit 1; }
	@mkdir -p $(ISOLATION_OUTPUT)
	'$(ISOLATION_REGRESS)' --bindir='$(bindir)' --inputdir=tests/isolation --outputdir=$(ISOLATION_OUTPUT) \
	  --dbname=$(ISOLATION_DATABASE) --load-extension=vector --load-extension=$(EXTENSION) $(ISOLATION_TESTS) \
	  || { cat $(ISOLATION_OUTPUT)/regression.diffs 2> /dev/null >&2; exit 1; }
endif

# What follows sets up all that it needs by itself (see devtools/).

demo:
	@$(PYTHON) -B -m devtools demo

# LEGS chooses PostgreSQL versions and the image: make test LEGS=16,18
test:
	@$(PYTHON) -B -m devtools test $(if $(LEGS),--legs $(LEGS))

test-15 test-16 test-17 test-18 test-image: test-%:
	@$(PYTHON) -B -m devtools test --legs $*

lint:
	@$(PYTHON) -B -m devtools lint

# PGXN's archive, from what is committed.
dist: $(SCRIPT)
	git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ --output=$(EXTENSION)-$(EXTVERSION).zip HEAD

clean: clean-build
clean-build:
	rm -rf build .$(EXTENSION)--*.sql.new $(EXTENSION)-*.zip

help:
	@echo 'make                          build $(SCRIPT) from sql/'
	@echo 'make install                  install it; PG_CONFIG=... chooses the PostgreSQL (15 or newer)'
	@echo 'make installcheck             pgTAP and isolation tests on the server named by the PG* variables'
	@echo 'make demo                     see it work on a server of its own; needs Python 3.11 only'
	@echo 'make test                     checks and all tests on PostgreSQL 15, 16, 17 and 18 (16 and 18 without root)'
	@echo 'make test-18                  the same on one version'
	@echo 'make test-image               build the Dockerfile and use the image'
	@echo 'make lint                     the checks alone'
	@echo 'make dist                     an archive for PGXN'
	@echo 'make clean                    remove what was built (never a versioned script)'

.PHONY: all check-script installcheck installcheck-pgtap installcheck-isolation demo test test-15 test-16 test-17 \
  test-18 test-image lint dist clean clean-build help
