#!/bin/bash
# check_lint.sh: every kernel is OpenCL C 1.2 without a warning, under each option set that the library uses; and the list of
# those sets that serves without a build is the library's.
. "$(dirname "$0")/common.sh"

for_each_kernel lint ci/lint_kernel.sh build/lint
listed=$(kernel_list | cut -f 1 | sort -u)
for file in cl/*.cl host/gear-llm/cl/*.cl; do
    [ -e "$file" ] || continue
    stem=${file%.cl}
    stem=${stem#cl/}
    grep -qx "$stem" <<< "$listed" || fail "lint $stem: the option list does not name it"
done
tool=$(options_tool)
if [ -z "$tool" ]; then
    skip "ci/kernel_options.txt is what list_options prints: no build under $BUILD"
elif "$tool" | cmp -s - ci/kernel_options.txt; then
    passed=$((passed + 1))
else
    fail "ci/kernel_options.txt is not what list_options prints: $tool > ci/kernel_options.txt"
fi
finish
