# The commands of CONTRIBUTING.md. Each does the set-up it needs; the second time that takes a second.
.PHONY: demo test check setup bench lock pictures clean

python := .venv/bin/python

demo: setup
	$(python) -m testbed demo

# Most tests wait more than they compute: two files at a time, those that take longest first. What judges by measuring
# for minutes has the machine to itself at the end.
test: setup
	$(python) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not alone" tests/validate tests/twin tests
	$(python) -m pytest -m alone tests/system

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
