# The commands of CONTRIBUTING.md. Each does the set-up it needs; the second time that takes a second.
.PHONY: demo test check setup bench lock pictures clean

python := .venv/bin/python

demo: setup
	$(python) -m testbed demo

test: setup
	$(python) -m pytest

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
