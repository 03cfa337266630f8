#!/bin/bash
# check_sanitize.sh [NAME...]: the tests (all, or those named: stage, e2e ...) under AddressSanitizer and
# UndefinedBehaviorSanitizer, in a build of their own. A leak in one of Criterion's worker processes does not fail its test,
# so every report goes to a file, and a file is a failure.
. "$(dirname "$0")/common.sh"

dir=build/ci-sanitize
reports=$ROOT/$dir/reports
check "sanitizer build" build_tree $dir -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS_DEBUG=-O1 -g" \
    "-DGEAR_SANITIZE=address,undefined" -DGEAR_WERROR=ON
[ "$failed" -eq 0 ] || finish
rm -rf "$reports"
mkdir -p "$reports"
export ASAN_OPTIONS="log_path=$reports/asan:detect_stack_use_after_return=1"
export UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1:halt_on_error=1"
export LSAN_OPTIONS="suppressions=$ROOT/ci/lsan.supp:print_suppressions=0"
tally tests-under-sanitizers env GEAR_BUILD_DIR=$dir ci/run_programs.sh "$@"
check_empty "no sanitizer report" find "$reports" -type f -exec head -n 40 {} +
finish
