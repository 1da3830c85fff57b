# No step asks a question; none needs git, and once installed none needs a network.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test check chaos bench screenshots install chromium clean

PYTHON ?= python3
WORKERS ?= 2
PY := .venv/bin/python
export DEBIAN_FRONTEND := noninteractive
APT := apt-get -qq -y -o DPkg::Lock::Timeout=120 -o APT::Install-Recommends=false

help:
	@echo "make demo         a running shop with a first sale; PORT=8000, Ctrl-C ends it"
	echo "make test         lint, types, import contracts and all tests"
	echo "make check        lint, types and import contracts only"
	echo "make bench        measures the hot paths beside their limits on this machine"
	echo "make screenshots  pictures of the admin and of the API docs into docs/"
	echo "make clean        removes the demo's data and every cache, not .venv"

demo: install
	@exec $(PY) -m tests.demo

bench: install
	@exec $(PY) -m tests.bench

screenshots: install chromium
	@exec $(PY) -m tests.browser.screenshots

# --- lint, types, tests ------------------------------------------------------------------------

# The plugin of mypy reads the settings, which want to know everything; nothing is connected to.
SETTINGS := env SIYU_ENV=test SECRET_KEY=types WECHAT_APPID=types WECHAT_SECRET=types \
	DATABASE_URL=postgresql://types REDIS_URL=redis://types

# Every step runs, also after one that failed; the last lines say which.
define STEPS
lint_imports='from importlinter.cli import lint_imports_command as run; run()'
table=
failed=0
step() {
	local name=$$1 began=$$SECONDS verdict=passed
	shift
	echo "── $$name"
	"$$@" || { verdict=FAILED; failed=1; }
	table+=$$(printf '  %-18s %s in %d s' "$$name" "$$verdict" $$((SECONDS - began)))$$'\n'
}
summary() {
	printf '\n%s' "$$table"
	exit $$failed
}
checks() {
	step "lint" $(PY) -m ruff check .
	step "format" $(PY) -m ruff format --check .
	step "types" $(SETTINGS) $(PY) -m mypy .
	step "import contracts" $(PY) -c "$$lint_imports" --no-logo
}
endef

check: install
	@$(STEPS)
	checks
	summary

test: install chromium
	@$(STEPS)
	checks
	step "tests" $(PY) -m pytest -q -n $(WORKERS) --dist loadfile
	summary

# Random histories of money for MINUTES, each seed with its steps a second, then the kills.
MINUTES ?= 10
chaos: install
	@MONEY_MINUTES=$(MINUTES) $(PY) -m pytest -q -x tests/money
	$(PY) -m pytest -q tests/chaos

# --- what is needed ----------------------------------------------------------------------------

# .venv/.installed remembers what was installed: the requirements and the Python.
install:
	@if [ -x $(PY) ] && $(PY) -c '' 2>/dev/null; then
		python=$(PY)
	else
		python=$(PYTHON)
	fi
	command -v $$python >/dev/null || { echo "$$python is not there; set PYTHON=…" >&2; exit 1; }
	version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
		echo "Python 3.11 or newer is needed, $$python is $$version; set PYTHON=…" >&2
		exit 1
	}
	wanted="$$version $$(cat requirements.txt requirements-dev.txt | sha256sum)"
	if [ $$python = $(PY) ] && [ "$$(cat .venv/.installed 2>/dev/null)" = "$$wanted" ]; then
		exit 0
	fi
	if [ $$python != $(PY) ]; then
		$$python -c 'import ensurepip' 2>/dev/null || {
			echo "installing python3-venv"
			[ $$(id -u) = 0 ] && $(APT) update && $(APT) install python3-venv >/dev/null || {
				echo "$$python has no venv; as root: apt-get install python3-venv" >&2
				exit 1
			}
		}
		echo "making .venv with Python $$version"
		$$python -m venv --clear .venv
	fi
	echo "installing requirements-dev.txt into .venv (once, about half a minute)"
	$(PY) -m pip install --disable-pip-version-check --no-input --root-user-action=ignore \
		--progress-bar off -r requirements-dev.txt | {
		n=0
		while read -r word _; do
			case $$word in
			Collecting) n=$$((n + 1)); [ $$((n % 20)) != 0 ] || echo "  $$n packages found" ;;
			Installing) echo "  unpacking" ;;
			esac
		done
	}
	echo "$$wanted" > .venv/.installed

chromium:
	@command -v chromium >/dev/null && exit 0
	if [ $$(id -u) = 0 ] && command -v apt-get >/dev/null; then
		echo "installing chromium"
		$(APT) install chromium >/dev/null 2>&1 && exit 0
		$(APT) update >/dev/null 2>&1 && $(APT) install chromium >/dev/null 2>&1 && exit 0
	fi
	echo "chromium is not there and could not be installed: browser tests will say so"

clean:
	@data=$$(readlink .data/postgres/data || true)
	case $$data in
	/var/*/siyu-*/data) rm -rf "$${data%/data}" ;; # kept there for a clone that is closed
	esac
	rm -rf .data .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -print0 | xargs -0 rm -rf
