#!/bin/bash
# check_sanitize.sh [NAME...]: the tests (all, or those named: stage, e2e ...) under AddressSanitizer and
# UndefinedBehaviorSanitizer, in a build of their own. A leak in one of Criterion's worker processes does not fail its test,
# so every report goes to a file, and a file is a failure. The stage tests spend their time in the scalar reference and
# would take 14 x 50 s here: they run their small cases, which still take every launcher and every kernel; nightly.sh sets
# GEAR_TEST_TINY=0 for all cases.
. "$(dirname "$0")/common.sh"

dir=build/ci-sanitize
reports=$ROOT/$dir/reports
check "sanitizer build" build_tree $dir -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS_DEBUG=-O1 -g" \
    "-DGEAR_SANITIZE=address,undefined" -DGEAR_WERROR=ON
[ "$failed" -eq 0 ] || finish
export ASAN_OPTIONS="log_path=$reports/asan:detect_stack_use_after_return=1"
export UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1:halt_on_error=1"
export LSAN_OPTIONS="suppressions=$ROOT/ci/lsan.supp:print_suppressions=0"
if [ $# -eq 0 ]; then
    mapfile -t names < <(cd $dir/bin && find . -type f -name 'test_*' -perm -u+x | sed 's|^\./test_||' | sort)
    set -- "${names[@]}"
fi

run_tests()
{
    local others=() name
    rm -rf "$reports"
    mkdir -p "$reports"
    for name in "$@"; do
        if [ "$name" = stage ]; then
            tally stage-under-sanitizers env GEAR_BUILD_DIR=$dir "GEAR_TEST_TINY=${GEAR_TEST_TINY:-1}" ci/run_programs.sh stage
        else
            others+=("$name")
        fi
    done
    [ ${#others[@]} -eq 0 ] || tally others-under-sanitizers env GEAR_BUILD_DIR=$dir ci/run_programs.sh "${others[@]}"
}

# LeakSanitizer's tracer itself can fault while a process of many threads ends ("Tracer caught signal 11"; seen in the stage
# tests when PoCL compiled their kernels, never with these kept): then no leak was looked for. Where that is all there is to
# report, the tests run again, twice at most, and only what they say then counts; the reports before stay in reports.before.
only_tracer_faults()
{
    [ -n "$(find "$reports" -type f -print -quit)" ] && [ -z "$(grep -rL 'Tracer caught signal' "$reports")" ] &&
        ! grep -rqE 'ERROR: |runtime error' "$reports"
}

before=("$passed" "$failed" "$skipped")
run_tests "$@"
for again in 1 2; do
    only_tracer_faults || break
    echo "NOTE LeakSanitizer's tracer faulted; the tests run once more ($again)"
    rm -rf "$reports.before"
    mv "$reports" "$reports.before"
    passed=${before[0]} failed=${before[1]} skipped=${before[2]}
    run_tests "$@"
done
check_empty "no sanitizer report" find "$reports" -type f -exec head -n 40 {} +
finish
