#!/bin/bash
# check_lint.sh: every kernel is OpenCL C 1.2 without a warning, under each option set that the library uses.
. "$(dirname "$0")/common.sh"

for_each_kernel lint ci/lint_kernel.sh build/lint
listed=$(kernel_list | cut -f 1 | sort -u)
for file in cl/*.cl; do
    [ -e "$file" ] || continue
    stem=$(basename "$file" .cl)
    grep -qx "$stem" <<< "$listed" || fail "lint $stem: the option list does not name it"
done
finish
