# The commands of CONTRIBUTING.md. Each does the set-up it needs; the second time that takes a second.
.PHONY: demo test test-guests test-others check setup bench lock pictures clean

python := .venv/bin/python

demo: setup
	$(python) -m testbed demo

# Tests with guests mostly wait, and two guests spoil each other's timing: they run one after the other, and all others
# beside them. What judges by measuring for minutes has the machine to itself at the end.
test: setup
	$(MAKE) --no-print-directory --keep-going --jobs 2 test-guests test-others
	$(python) -m pytest -m alone tests/system

test-guests:
	$(python) -m pytest -m "guest and not alone"

test-others:
	$(python) -m pytest -m "not guest"

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright

bench:
	scripts/setup bench
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
