# Run in an environment with the dev extra: pip install -e '.[dev]'

SITE ?= site

.PHONY: check style types pages test bench docs clean

check: style types pages  ## all three; make -j 2 check does two at a time

style:  ## ruff
	ruff check .
	ruff format --check .

types:  ## mypy
	mypy

pages:  ## the documentation, where a warning is an error
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet --site-dir $(SITE)

test:  ## every test, with the coverage of the package
	pytest --cov=lookwider --cov-report=term-missing:skip-covered

bench:  ## every benchmark, one after the other
	set -e; for benchmark in $$(grep -l __main__ benchmarks/*.py); do echo "== $$benchmark"; python "$$benchmark"; done

docs:  ## the documentation, into $(SITE)/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --site-dir $(SITE)

clean:  ## what the commands above leave
	rm -rf site dist build htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
