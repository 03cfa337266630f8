#!/bin/bash
# figures.sh [--only NAME] [--device SUBSTRING] [--robust FOLDER] [--results FOLDER] [--build DIR]
#            [other options of ci/llm_runs.py]
# makes the tables and figures of docs/quality.md and docs/plan.md that whole models stand for. Every run is kept in
# docs/results (--results) and its caches are not run again when they are there: delete a file to have it run anew. NAME is the
# start of a part's name:
#   spectrum          singular values of what 2-bit backbones leave of real keys and values (NumPy)
#   cot_table         the chain-of-thought model: every backbone with and without L and S at 2, 3 and 4 bits, and presets
#   cot_training      the recipes with L in the setting of the training's notes
#   cot_study         the recipes and the setting of the study of the mixed backbone
#   cot_iterations    2-bit KIVI with L over power iterations
#   cot_sweep         2-bit KIVI over ranks and outliers
#   smollm2_table, smollm2_study, smollm2_sweep   the same of SmolLM2, which is fetched; long on a CPU
#   robust_table, robust_training   with --robust FOLDER, the checkpoint that tests/llm/convert_cot.py converts
#   smollm2_plan      plans of gear-plan beside the recipes of the study, on windows that they were not fitted on
#   draw              tables and figures of what is kept
# Without --only: all of them. Rows may come from several machines; each names its device.
. "$(dirname "$0")/common.sh"

only='' robust='' results=docs/results build='' more=()
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { echo "figures.sh: $1 needs a value" >&2; exit 2; }
    case $1 in
    --only) only=$2 ;;
    --robust) robust=$2 ;;
    --results) results=$2 ;;
    --build) build=$2 ;;
    *) more+=("$1" "$2") ;;
    esac
    shift 2
done

wanted()
{
    [[ $1 == "$only"* ]] && echo "== $1"
}

# Builds the programs unless a build is given; sets $program to gear-llm, beside which gear-plan lies.
need_program()
{
    [ -z "${program:-}" ] || return 0
    if [ -z "$build" ]; then
        build=build/release
        build_tree "$build" -DGEAR_BUILD_TESTS=OFF > build/figures.log 2>&1 || { tail -n 40 build/figures.log; return 1; }
    fi
    program=$(find "$build" -type f -name gear-llm -perm -u+x -print -quit)
    [ -n "$program" ] || { echo "figures.sh: no gear-llm in $build" >&2; return 1; }
}

model_run()
{
    need_program && python3 ci/llm_runs.py "$program" "$@" --results "$results" "${more[@]}"
}

mkdir -p "$results" build
status=0
if wanted spectrum; then
    python3 ci/quality_spectrum.py "$results/spectrum.json" docs/quality_spectrum.svg || status=1
fi
for run in cot_table cot_training cot_study cot_iterations cot_sweep; do
    if wanted "$run"; then model_run "$run" || status=1; fi
done
for run in smollm2_table smollm2_study smollm2_sweep; do
    if wanted "$run"; then ci/get_model.sh && model_run "$run" || status=1; fi
done
for run in robust_table robust_training; do
    if [ -n "$robust" ] && wanted "$run"; then
        python3 tests/llm/convert_cot.py "$robust" robust build/robust.gguf &&
            model_run "$run" --robust build/robust.gguf || status=1
    fi
done
if wanted smollm2_plan; then
    ci/get_model.sh && need_program &&
        python3 ci/plan_runs.py "$program" "$(dirname "$program")/gear-plan" --results "$results" "${more[@]}" || status=1
fi
if wanted draw; then
    python3 ci/llm_tables.py "$results" && python3 ci/llm_plot.py "$results" docs || status=1
fi
exit $status
