#!/bin/bash
# check_quality.sh [--run]: the figures of whole models against their bounds (ci/check_quality.py): those that docs/results
# keeps, which takes a second; with --run all but the making of plans is run anew, on PoCL in about half an hour, and nothing of
# it is kept in docs/results.
. "$(dirname "$0")/common.sh"

results=docs/results more=()
if [ "${1:-}" = --run ]; then
    program=$(find "$BUILD" -type f -name gear-llm -perm -u+x -print -quit 2>/dev/null)
    if [ -z "$program" ]; then
        skip "quality: no gear-llm under $BUILD"
        finish
    fi
    results=$BUILD/quality
    rm -rf "$results"
    mkdir -p "$results"
    cp docs/results/plan-*.json "$results" 2>/dev/null
    more=(--results "$results" --kept-plans --run "$program" "$(dirname "$program")/gear-plan")
fi

# The table is worth reading whether or not its figures are kept.
hold()
{
    local name=$1 table
    shift
    if table=$(python3 ci/check_quality.py "$@" "${more[@]}" 2>&1); then
        pass "$name"
        printf '%s\n' "$table"
    else
        fail "$name"
        printf '%s\n' "$table" | tail -n 60 | sed 's/^/    /'
    fi
}

hold "answers of the chain-of-thought model" solve
if [ ${#more[@]} -gt 0 ] && ! ci/get_model.sh > /dev/null 2>&1; then
    skip "divergence of SmolLM2: the model could not be had"
    finish
fi
hold "divergence of SmolLM2" eval
if compgen -G "docs/results/plan-*.json" > /dev/null; then
    hold "plans beside the recipes of the study" plan
else
    skip "plans beside the recipes of the study: docs/results has none"
fi
finish
