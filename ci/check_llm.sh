#!/bin/bash
# check_llm.sh: gear-llm's logits against a NumPy forward pass of the same files, for both models: the one of tests/data/cot and
# SmolLM2 (ci/get_model.sh). Needs a build, pip and the network for the model and the packages of tests/llm/requirements.txt,
# which are kept in build/tools.
. "$(dirname "$0")/common.sh"

program=$(find "$BUILD" -type f -name gear-llm -perm -u+x -print -quit 2>/dev/null)
packages=$TOOLS/llm
if [ -z "$program" ]; then
    skip "logits: no gear-llm under $BUILD"
    finish
fi
if ! PYTHONPATH=$packages python3 -c 'import gguf, numpy, tokenizers' 2>/dev/null &&
    ! python3 -m pip install --quiet --target "$packages" -r tests/llm/requirements.txt > /dev/null 2>&1; then
    skip "logits: pip cannot install what tests/llm/requirements.txt names"
    finish
fi
export PYTHONPATH=$packages
prompt=$(mktemp)
trap 'rm -f "$prompt"' EXIT
head -n 1 tests/data/cot/eval_public.txt | cut -f 1 | tr -d '\n' > "$prompt"
check "logits of the chain-of-thought model" python3 tests/llm/compare.py "$program" tests/data/cot/final.gguf "$prompt"
if model=$(ci/get_model.sh 2>/dev/null); then
    check "logits of SmolLM2" python3 tests/llm/compare.py "$program" "$model" tests/data/text/*.txt
else
    skip "logits of SmolLM2: the model could not be had"
fi
finish
