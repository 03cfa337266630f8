#!/bin/bash
# check_oclgrind.sh [PROGRAM [ARGUMENT...]]: runs a test program (the stage tests of the build tree by default) under
# Oclgrind, which simulates the device and finds races, accesses out of bounds, divergent barriers and misuse of the API.
# Oclgrind exits with the program's status whatever it finds, so its log decides. (-O1: at its default level it meets LLVM
# intrinsics that it does not know.) GEAR_TEST_TINY=1 tells the tests to keep to
# shapes that the simulator does in seconds.
. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || set -- "$BUILD/bin/test_stage" --jobs "$JOBS"
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# Every process truncates the log as it starts, and Criterion starts one a test: a pipe keeps what each of them wrote. The
# descriptor held open here keeps the reader going between two processes.
mkfifo "$temp/log"
cat "$temp/log" > "$temp/findings" &
reader=$!
exec 3> "$temp/log"
export GEAR_TEST_TINY=1 GEAR_TEST_TMP=$temp
env -u OCL_ICD_VENDORS oclgrind --build-options "-O1" --data-races --check-api --max-errors 50 \
    --log "$temp/log" "$@" 3>&- > "$temp/output" 2>&1
status=$?
exec 3>&-
wait "$reader"

name="oclgrind $(basename "$1")"
count_criterion "$name" "$temp/output" $status
if [ -s "$temp/findings" ]; then
    fail "$name: Oclgrind has findings"
    head -n 60 "$temp/findings" | sed 's/^/    /'
else
    pass "$name: no findings"
fi
finish
