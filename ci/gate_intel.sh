#!/bin/bash
# gate_intel.sh FILE OPTIONS [DEVICE...]: compiles one kernel file for Intel GPUs with ocloc; fails on a compile error or on
# scratch memory (a register spill). Prints SIMD width, local memory and code size.
set -u
file=$1
options=$2
shift 2
devices=("$@")
[ ${#devices[@]} -gt 0 ] || read -ra devices <<< "${GATE_INTEL:-skl tgllp acm-g10 pvc}"
here=$(dirname "$0")
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

status=0
for device in "${devices[@]}"; do
    if ! ocloc compile -q -device "$device" -file "$file" -options "-cl-std=CL1.2 -I $(dirname "$file")/common $options" \
        -out_dir "$temp/$device" -output kernel > "$temp/log" 2>&1; then
        cat "$temp/log"
        echo "$device: does not compile"
        status=1
        continue
    fi
    grep -i spill "$temp/log" && status=1
    python3 "$here/intel_resources.py" "$device" "$temp/$device"/*.bin || status=1
done
exit $status
