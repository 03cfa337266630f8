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

builtins=/usr/lib/clc/nvptx64--nvidiacl.bc
"${CLANG:-clang-15}" -target nvptx64-nvidia-nvcl -Xclang -target-cpu -Xclang sm_75 -x cl -cl-std=CL1.2 \
    -D __OPENCL_VERSION__=120 -I cl/common "${options[@]}" -Wno-linker-warnings -Xclang -finclude-default-header \
    -Xclang -mlink-builtin-bitcode -Xclang "$builtins" -O3 -S "$file" -o "$temp/kernel.ptx" || exit 1
status=0
for arch in "${archs[@]}"; do
    "${PTXAS:-ptxas}" -v -arch="$arch" "$temp/kernel.ptx" -o "$temp/kernel.cubin" > "$temp/log" 2>&1 || status=1
    grep -E 'Compiling|Used|error|fatal' "$temp/log" | sed "s/^/$arch /"
    if grep -qE '[1-9][0-9]* bytes spill' "$temp/log"; then
        echo "$arch: registers spill"
        status=1
    fi
done
exit $status
