# gravity_memory: build, install and test. `make help` lists what there is to do.
#
# The version stands once, in gravity_memory.control. The objects stand in sql/, one per file, and sql/load_order.txt
# says in which order they make up the installation script.

EXTENSION := gravity_memory
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)
SCRIPT := $(EXTENSION)--$(EXTVERSION).sql
OBJECTS := $(shell sed -e 's/\#.*//' -e 's/[[:space:]]*$$//' -e '/^$$/d' sql/load_order.txt)

# sql/upgrades/OLD--NEW.sql is the part written by hand of the upgrade from a released version to the current one.
UPGRADE_PARTS := $(wildcard sql/upgrades/*--$(EXTVERSION).sql)
UPGRADES := $(patsubst sql/upgrades/%,$(EXTENSION)--%,$(UPGRADE_PARTS))

# Scripts of released versions, and upgrades between them, are files at the root; only those to the current version are built.
BUILT := $(SCRIPT) $(UPGRADES)
DATA := $(BUILT) $(filter-out $(BUILT),$(sort $(wildcard $(EXTENSION)--*.sql)))
NO_INSTALLCHECK := 1

PYTHON ?= python3
PG_CONFIG ?= pg_config
PG_PROVE ?= pg_prove
PROVE_FLAGS ?=
TEST_DATABASE := gravity_memory_installcheck
UPGRADED_DATABASE := gravity_memory_upgraded
ISOLATION_DATABASE := gravity_memory_isolation
ISOLATION_OUTPUT := build/isolation

.DEFAULT_GOAL := all

# PGXS is read only for the goals that need it: `make demo` and `make test` work where no PostgreSQL is installed.
PGXS_GOALS := install installdirs uninstall installcheck installcheck-pgtap installcheck-upgraded installcheck-isolation
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
all: $(BUILT)

ifdef PGXS
include $(PGXS)
endif

define ASSEMBLE
printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit' && \
for object in $(OBJECTS); do \
  printf '\n-- sql/%s\n\n' "$$object" && cat "sql/$$object" || exit 1; \
done
endef

# The script of an upgrade, called with OLD--NEW: the part written by hand comes after the preflight, which is the first
# object, and the owner is put right before setup, the last one.
OBJECT_PATHS := $(addprefix sql/,$(OBJECTS))
UPGRADE_ORDER = $(firstword $(OBJECT_PATHS)) sql/upgrades/$(1).sql \
  $(filter-out $(firstword $(OBJECT_PATHS)) $(lastword $(OBJECT_PATHS)),$(OBJECT_PATHS)) \
  sql/upgrades/owners.sql $(lastword $(OBJECT_PATHS))
ASSEMBLE_UPGRADE = awk -v released=$(EXTENSION)--$(firstword $(subst --, ,$(1))).sql -v target=$(EXTVERSION) \
  -f sql/upgrades/build.awk $(UPGRADE_ORDER)

# A script is replaced only when it differs, so that building in a fresh checkout changes nothing.
REPLACE = if cmp -s .$@.new $@; then rm .$@.new; else mv .$@.new $@ && echo "built $@"; fi

$(SCRIPT): $(EXTENSION).control sql/load_order.txt $(OBJECT_PATHS)
	@( $(ASSEMBLE) ) > .$@.new
	@$(REPLACE)

$(UPGRADES): $(EXTENSION)--%.sql: sql/upgrades/%.sql sql/upgrades/build.awk sql/upgrades/owners.sql $(EXTENSION).control \
  sql/load_order.txt $(OBJECT_PATHS)
	@$(call ASSEMBLE_UPGRADE,$*) > .$@.new
	@$(REPLACE)

# Fails when somebody changed sql/ and committed other scripts than it builds.
check-script: $(addprefix check-,$(BUILT))
COMPARE = cmp .$(1).new $(1) || { rm .$(1).new; echo "$(1) is not what sql/ builds: run make" >&2; exit 1; }; rm .$(1).new

check-$(SCRIPT):
	@( $(ASSEMBLE) ) > .$(SCRIPT).new
	@$(call COMPARE,$(SCRIPT))

$(addprefix check-,$(UPGRADES)): check-$(EXTENSION)--%.sql:
	@$(call ASSEMBLE_UPGRADE,$*) > .$(EXTENSION)--$*.sql.new
	@$(call COMPARE,$(EXTENSION)--$*.sql)

# Tests against the running server that the PG* variables name. The extension and pgTAP must be installed there.
installcheck: installcheck-pgtap installcheck-upgraded installcheck-isolation

PSQL = '$(bindir)/psql' --no-psqlrc --quiet --set=ON_ERROR_STOP=1

# Called with the name of a database: makes it, with what the tests need but gravity_memory.
define MAKE_TEST_DATABASE
@test -n "$(wildcard tests/pgtap/*.sql)" || { echo "tests/pgtap has no tests" >&2; exit 1; }
@command -v $(PG_PROVE) > /dev/null || { echo "$(PG_PROVE) is not installed: on Debian, apt-get install" \
  "libtap-parser-sourcehandler-pgtap-perl; elsewhere, cpan TAP::Parser::SourceHandler::pgTAP" >&2; exit 1; }
$(PSQL) --dbname=postgres \
  --command='SET client_min_messages = warning' \
  --command='DROP DATABASE IF EXISTS $(1) WITH (FORCE)' \
  --command="CREATE DATABASE $(1) TEMPLATE template0 ENCODING 'UTF8'" \
  --command="ALTER DATABASE $(1) SET track_functions = 'all'"
$(PSQL) --dbname=$(1) --command='CREATE EXTENSION vector' --command='CREATE EXTENSION pgtap'
endef
PGTAP_TESTS ?= $(sort $(wildcard tests/pgtap/*.sql))
PROVE = $(PG_PROVE) --psql-bin '$(bindir)/psql' --dbname $(1) $(PROVE_FLAGS) $(PGTAP_TESTS)

installcheck-pgtap:
	$(call MAKE_TEST_DATABASE,$(TEST_DATABASE))
	$(PSQL) --dbname=$(TEST_DATABASE) --command='CREATE EXTENSION $(EXTENSION)'
	$(call PROVE,$(TEST_DATABASE))

# The same tests, in a database that held memories when it was upgraded from the version before.
UPGRADE_FROM ?= $(firstword $(subst --, ,$(notdir $(lastword $(sort $(UPGRADE_PARTS))))))

installcheck-upgraded:
	@test -n "$(UPGRADE_FROM)" || { echo "sql/upgrades has no upgrade to $(EXTVERSION)" >&2; exit 1; }
	$(call MAKE_TEST_DATABASE,$(UPGRADED_DATABASE))
	$(PSQL) --dbname=$(UPGRADED_DATABASE) --output=/dev/null \
	  --command="CREATE EXTENSION $(EXTENSION) VERSION '$(UPGRADE_FROM)'" \
	  --file=tests/upgrade/populate.sql \
	  --command="ALTER EXTENSION $(EXTENSION) UPDATE"
	$(call PROVE,$(UPGRADED_DATABASE))

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

# LEGS chooses PostgreSQL versions and the image, JOBS how many run at a time: make test LEGS=16,18 JOBS=1
test:
	@$(PYTHON) -B -m devtools test $(if $(LEGS),--legs $(LEGS)) $(if $(JOBS),--jobs $(JOBS))

# The same, with the long tests at their full length: an hour and more.
test-full:
	@GRAVITY_MEMORY_TEST_FULL=1 $(PYTHON) -B -m devtools test $(if $(LEGS),--legs $(LEGS)) $(if $(JOBS),--jobs $(JOBS))

test-15 test-16 test-17 test-18: test-%:
	@$(PYTHON) -B -m devtools test --legs $*

# The Dockerfile and compose.yaml with all of installcheck, of which `make test` runs some on the image.
docker-check test-image:
	@GRAVITY_MEMORY_TEST_FULL=1 $(PYTHON) -B -m devtools test --legs image --no-lint

lint:
	@$(PYTHON) -B -m devtools lint

# The benchmark: results, plots and report in docs/benchmarks, or for the quick one, which is not to be kept, in build/benchmarks.
# PARTS chooses: make bench PARTS='timeline recall'
bench:
	@$(PYTHON) -B -m devtools run bench.suite $(if $(PARTS),--parts $(PARTS))

bench-quick:
	@$(PYTHON) -B -m devtools run bench.suite --scale quick --output build/benchmarks $(if $(PARTS),--parts $(PARTS))

# docs/reference.md, from what a fresh installation says of itself.
reference: $(BUILT)
	@$(PYTHON) -B -m devtools run devtools.reference

# For servers where nobody can put files: SQL that hands all versions, and the upgrades between them, to pg_tle.
TLE := build/$(EXTENSION)--tle.sql
tle: $(BUILT)
	@mkdir -p $(dir $(TLE))
	@sh sql/tle/build.sh $(EXTENSION) > $(TLE).new || { rm $(TLE).new; exit 1; }
	@mv $(TLE).new $(TLE) && echo "built $(TLE)"

# PGXN's archive, from what is committed.
dist: $(BUILT)
	git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ --output=$(EXTENSION)-$(EXTVERSION).zip HEAD

clean: clean-build
clean-build:
	rm -rf build .$(EXTENSION)--*.sql.new $(EXTENSION)-*.zip

help:
	@echo 'make                          build $(BUILT) from sql/'
	@echo 'make install                  install it; PG_CONFIG=... chooses the PostgreSQL (15 or newer)'
	@echo 'make installcheck             pgTAP and isolation tests on the server named by the PG* variables, the former'
	@echo '                              also in a database upgraded from the version before'
	@echo 'make demo                     see it work on a server of its own; needs Python 3.11 only'
	@echo 'make test                     checks and all tests on PostgreSQL 15, 16, 17 and 18 (16 and 18 without root)'
	@echo 'make test-18                  the same on one version'
	@echo 'make test-full                the same, with the long tests at their full length'
	@echo 'make docker-check             build the Dockerfile, run it as compose.yaml says, and all of installcheck on it'
	@echo 'make lint                     the checks alone'
	@echo 'make bench                    measure it beside the specification and plain pgvector: see bench/README.md'
	@echo 'make bench-quick              the same with less data, in a few minutes'
	@echo 'make reference                write docs/reference.md from the comments and catalogues of a fresh installation'
	@echo 'make dist                     an archive for PGXN'
	@echo 'make tle                      $(TLE): all versions for pg_tle, where nobody can put files'
	@echo 'make clean                    remove what was built (never a versioned script)'

.PHONY: all check-script installcheck installcheck-pgtap installcheck-upgraded installcheck-isolation demo test test-full test-15 test-16 test-17 \
  test-18 docker-check test-image lint bench bench-quick reference tle dist clean clean-build help
