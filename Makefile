# The commands of CONTRIBUTING.md. Each does the set-up it needs; the second time that takes a second.
parts := test-trials test-native test-guests test-kills test-others
.PHONY: demo test $(parts) check setup bench lock pictures clean

python := .venv/bin/python

demo: setup
	$(python) -m testbed demo

# Tests mostly wait: for routing to converge, for timers to run out. So they run in parts, three of them side by side, which
# two cores bear. What judges by the times and rates that it measures has the machine to itself at the end.
trials := tests/twin tests/validate tests/adapters
native := tests/converge tests/emulator tests/substrate
kills := tests/system tests/replay tests/adapters

test:
	scripts/setup tests
	$(MAKE) --no-print-directory --keep-going --jobs 3 $(parts)
	$(python) -m pytest -m alone

test-trials:
	$(python) -m pytest -m "guest and not alone" $(trials)

test-guests:
	$(python) -m pytest -m "guest and not alone" $(trials:%=--ignore %)

test-native:
	$(python) -m pytest -m "not guest and not alone" $(native)

test-kills:
	$(python) -m pytest -m "not guest and not alone" $(kills)

test-others:
	$(python) -m pytest -m "not guest and not alone" $(native:%=--ignore %) $(kills:%=--ignore %)

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright

bench: setup
	$(python) -m benchmarks

setup:
	@scripts/setup

lock:
	.venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --output-file requirements.lock requirements.in

pictures:
	scripts/setup pictures
	scripts/pictures

clean:
	rm -rf .venv out build *.egg-info .pytest_cache .ruff_cache .hypothesis
