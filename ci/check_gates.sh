#!/bin/bash
# check_gates.sh [amd] [intel] [nvidia]: compiles the library's kernels offline for GPUs that need not be there; all three
# without an argument. A gate whose compiler cannot be had is counted as skipped.
. "$(dirname "$0")/common.sh"

# ptxas of an installed CUDA toolkit, or of NVIDIA's wheel on PyPI, kept under build/tools.
find_ptxas()
{
    local found
    command -v "${PTXAS:-ptxas}" && return
    found=$(find "$TOOLS/cuda" -type f -name ptxas -print -quit 2>/dev/null)
    if [ -z "$found" ]; then
        /usr/bin/python3 -m pip install --quiet --no-deps --target "$TOOLS/cuda" nvidia-cuda-nvcc==13.0.88 >&2 || return
        found=$(find "$TOOLS/cuda" -type f -name ptxas -print -quit)
        [ -n "$found" ] || return
    fi
    chmod +x "$found" && echo "$ROOT/$found"
}

gates=("$@")
[ ${#gates[@]} -gt 0 ] || gates=(amd intel nvidia)
for gate in "${gates[@]}"; do
    case $gate in
    amd) need=clang-15 ;;
    intel) need=ocloc ;;
    nvidia)
        need=clang-15
        if ! PTXAS=$(find_ptxas); then
            skip "nvidia gate: no ptxas here, and pip could not install it"
            continue
        fi
        export PTXAS
        ;;
    *)
        fail "unknown gate $gate"
        continue
        ;;
    esac
    if ! command -v "$need" > /dev/null; then
        skip "$gate gate: no $need"
        continue
    fi
    for_each_kernel "$gate" "ci/gate_$gate.sh" "build/gates/$gate"
done
finish
