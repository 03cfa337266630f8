#!/bin/bash
# gate_nvidia.sh FILE OPTIONS [ARCH...]: compiles one kernel file to PTX with clang and assembles it with ptxas (PTXAS, or on
# the PATH); fails on a compile error or a register spill. Prints registers and local memory.
set -u
file=$1
read -ra options <<< "$2"
shift 2
archs=("$@")
[ ${#archs[@]} -gt 0 ] || read -ra archs <<< "${GATE_NVIDIA:-sm_75 sm_80 sm_90 sm_100}"
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

least=sm_75
if [[ $file == *_nvidia.cl || ${options[*]} == *HALF_PAIRS=1* ]]; then # kernels with instructions of sm_80
    least=sm_80
    kept=()
    for arch in "${archs[@]}"; do [ "${arch#sm_}" -lt 80 ] || kept+=("$arch"); done
    archs=("${kept[@]}")
fi
# GATE_FIRST=1: of the chips that the kernel is for the first alone.
[ "${GATE_FIRST:-0}" = 0 ] || archs=("${archs[@]:0:1}")
builtins=/usr/lib/clc/nvptx64--nvidiacl.bc
"${CLANG:-clang-15}" -target nvptx64-nvidia-nvcl -Xclang -target-cpu -Xclang "$least" -x cl -cl-std=CL1.2 \
    -D __OPENCL_VERSION__=120 -I "$(dirname "$file")/common" "${options[@]}" -Wno-linker-warnings \
    -Xclang -finclude-default-header \
    -Xclang -mlink-builtin-bitcode -Xclang "$builtins" -O3 -S "$file" -o "$temp/kernel.ptx" || exit 1
# clang-15 knows PTX only up to 7.5; what it wrote is valid in every later version
[ $least = sm_75 ] || sed -i 's/^\.version .*/.version 7.8/' "$temp/kernel.ptx"
# Two row tiles a warp take all 255 registers: on sm_80 with low rank two words more (docs/kernels.md), elsewhere none.
status=0
for arch in "${archs[@]}"; do
    "${PTXAS:-ptxas}" -v -arch="$arch" "$temp/kernel.ptx" -o "$temp/kernel.cubin" > "$temp/log" 2>&1 || status=1
    grep -E 'Compiling|Used|error|fatal' "$temp/log" | sed "s/^/$arch /"
    most=0
    [[ $arch != sm_80 || ${options[*]} != *NV_ROW_TILES=2* ]] || most=8
    if grep -oE '[0-9]+ bytes spill' "$temp/log" | awk -v most=$most '$1 > most { found = 1 } END { exit !found }'; then
        echo "$arch: registers spill"
        status=1
    fi
done
exit $status
