#!/bin/bash
# check_model_files.sh: what tests/data has of models is what others make of it: the golden files of tests/data/gguf are those
# of the gguf and tokenizers packages, and the chain-of-thought model solves its problems in NumPy. The packages, those of
# tests/llm/requirements.txt, are kept in build/tools.
. "$(dirname "$0")/common.sh"

packages=$TOOLS/llm
export PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=$JOBS
if ! python3 -c 'import gguf, numpy, tokenizers' 2>/dev/null &&
    ! python3 -m pip install --quiet --target "$packages" -r tests/llm/requirements.txt > /dev/null 2>&1; then
    skip "model files: pip cannot install what tests/llm/requirements.txt names"
    finish
fi
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
check "golden files: made anew" python3 tests/llm/make_golden.py "$temp"
check "golden files: the same" diff -r --exclude=README.md "$temp" tests/data/gguf
check "the chain-of-thought model solves its problems" python3 tests/llm/check_model.py
finish
