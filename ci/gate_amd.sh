#!/bin/bash
# gate_amd.sh FILE OPTIONS [CHIP...]: compiles one kernel file for AMD chips; fails on a compile error, a call left unresolved,
# spilled vector registers or scratch memory (scalar registers spill to vector lanes, without memory traffic: printed only).
# Prints registers, local memory and occupancy. Upstream clang's numbers: an indication, not AMD's own compiler.
set -u
file=$1
read -ra options <<< "$2"
shift 2
chips=("$@")
[ ${#chips[@]} -gt 0 ] || read -ra chips <<< "${GATE_AMD:-gfx906 gfx90a gfx1030 gfx1100}"
clang=${CLANG:-clang-15}
bitcode=/usr/lib/x86_64-linux-gnu/amdgcn/bitcode
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# Debian's device libraries lack the newest chips; what is missing is one constant.
isa_module()
{
    local hex=${1#gfx} length major minor step
    if [ -f "$bitcode/oclc_isa_version_$hex.bc" ]; then
        echo "$bitcode/oclc_isa_version_$hex.bc"
        return
    fi
    length=${#hex}
    major=${hex:0:length-2} minor=${hex:length-2:1} step=$((16#${hex:length-1:1}))
    echo "__attribute__((visibility(\"protected\"))) const __constant unsigned __oclc_ISA_version =" \
        "$((major * 1000 + minor * 100 + step));" > "$temp/isa.cl"
    "$clang" -target amdgcn-amd-amdhsa -mcpu="$1" -mcode-object-version=4 -x cl -cl-std=CL2.0 -nogpulib -emit-llvm \
        -c "$temp/isa.cl" -o "$temp/isa_$1.bc" >&2 && echo "$temp/isa_$1.bc"
}

status=0
for chip in "${chips[@]}"; do
    case $chip in
    gfx10* | gfx11* | gfx12*) wave64=off ;;
    *) wave64=on ;;
    esac
    isa=$(isa_module "$chip") || { status=1; continue; }
    link=()
    for module in opencl ocml ockl; do link+=(-Xclang -mlink-builtin-bitcode -Xclang "$bitcode/$module.bc"); done
    for module in "wavefrontsize64_$wave64" finite_only_off unsafe_math_off daz_opt_off correctly_rounded_sqrt_on \
        abi_version_400; do
        link+=(-Xclang -mlink-builtin-bitcode -Xclang "$bitcode/oclc_$module.bc")
    done
    link+=(-Xclang -mlink-builtin-bitcode -Xclang "$isa")
    if ! "$clang" -target amdgcn-amd-amdhsa -mcpu="$chip" -mcode-object-version=4 -x cl -cl-std=CL1.2 \
        -D __OPENCL_VERSION__=120 -I "$(dirname "$file")/common" "${options[@]}" -nogpulib \
        -Xclang -finclude-default-header "${link[@]}" \
        -O3 -S "$file" -o "$temp/kernel.s" -Rpass-analysis=kernel-resource-usage 2> "$temp/log"; then
        cat "$temp/log"
        echo "$chip: does not compile"
        status=1
        continue
    fi
    sed -n 's/.*remark: *//; s/ *\[-Rpass.*//; /Function Name\|VGPRs:\|Scratch\|Occup\|Spill\|LDS/p' "$temp/log" | tr -s ' ' |
        paste -s -d ';' | sed "s/Function Name/\n$chip/g"
    if grep -qE 'VGPRs Spill: [1-9]|ScratchSize \[bytes/lane\]: [1-9]' "$temp/log"; then
        echo "$chip: registers spill"
        status=1
    fi
    # what is addressed must be defined here: constant tables are, library functions that were not linked are not
    unresolved=$(grep -oE '[A-Za-z_][A-Za-z0-9_.]*@rel32' "$temp/kernel.s" | sed 's/@rel32//' | sort -u | while read -r name; do
        grep -q "^$name:" "$temp/kernel.s" || echo "$name"
    done)
    if [ -n "$unresolved" ]; then
        echo "$chip: a call is left unresolved"
        status=1
    fi
done
exit $status
