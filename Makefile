# Needs only make, a shell and Python 3.11 or newer; everything else goes into .venv, pinned by hash.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test chaos bench check lint clean
.DELETE_ON_ERROR:

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
ARGS ?=
SIZE ?=

# The command: any copy of this folder runs its own code, since neither it nor the .pth file names an absolute path.
define LAUNCHER
#!/bin/sh
'''exec' "$$(dirname "$$(readlink -f "$$0")")/python" "$$(readlink -f "$$0")" "$$@"
' '''
import sys
from api.main import main
sys.exit(main())
endef
export LAUNCHER

help: ## 列出目标 / list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile
	@printf '  %s\n' '参数 / arguments: make run ARGS="--help", make test ARGS="-k embedded", make bench SIZE=10m'

run: .venv/run.stamp ## 启动口岸 / start the port: http://127.0.0.1:8000
	@exec .venv/bin/kouan run $(ARGS)

test: .venv/test.stamp ## 全部测试 / all tests
	@exec $(PY) -m pytest -q -n auto $(ARGS)

chaos: .venv/test.stamp ## 故障测试，约五分钟 / the fault tests in full, about five minutes
	@exec $(PY) -m tests.faults --long $(ARGS)

bench: export SIZE := $(SIZE)
bench: .venv/test.stamp ## 性能测试 / the benchmarks
	@exec $(PY) -m tests.bench $(ARGS)

check: .venv/test.stamp ## 格式、规范、类型 / format, lint, types
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy

lint: .venv/test.stamp ## 自动整理 / tidy what a tool can tidy
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean: ## 删除 .venv 与缓存，不动数据 / remove .venv and caches, never data
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp is as new as the last complete installation, so a second start installs nothing.
.venv/run.stamp: requirements.lock .venv/kouan.stamp
	@printf '%s\n' '安装依赖 / installing dependencies: $<'
	@$(PIP) install --quiet --require-hashes -r $<
	@touch $@

.venv/test.stamp: requirements-dev.lock .venv/run.stamp
	@printf '%s\n' '安装依赖 / installing dependencies: $<'
	@$(PIP) install --quiet --require-hashes -r $<
	@touch $@

# No build of our own package: it would need tools that no lock pins. A .pth file and a launcher do the same.
.venv/kouan.stamp: Makefile .venv/python.stamp
	@site=$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	root=$$($(PY) -c 'import os, sys; print(os.path.relpath(".", sys.argv[1]))' "$$site") && \
	printf '%s\n' "$$root" > "$$site/kouan.pth"
	@printf '%s\n' "$$LAUNCHER" > .venv/bin/kouan
	@chmod +x .venv/bin/kouan
	@touch $@

# pyenv and the like leave names behind that run nothing, so each candidate is asked.
.venv/python.stamp:
	@new='import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))'; \
	if test -x $(PY) && $(PY) -c "$$new" >/dev/null 2>&1; then touch $@; exit 0; fi; \
	found=; \
	for python in $${PYTHON:-python3.13 python3.12 python3.11 python3}; do \
		if version=$$("$$python" -c "$$new" 2>/dev/null); then \
			rm -rf .venv; \
			"$$python" -m venv .venv && touch $@ && exit 0; \
			printf '%s\n' "无法创建 .venv：Debian 请装 python3-venv / cannot make .venv: on Debian install python3-venv" >&2; \
			rm -rf .venv; exit 1; \
		fi; \
		test -z "$$version" || found="$$found $$python=$$version"; \
	done; \
	printf '%s\n' "需要 Python 3.11 或更新版本，找到：$${found:- 无} / Python 3.11 or newer is needed, found:$${found:- none}" >&2; \
	exit 1
