#!/bin/bash
# nightly.sh [--valgrind]: what takes too long for every change: the night's slice of the full product of end-to-end cases on
# PoCL (SLICES nights give every member of codecs x head_dim one row of the other columns), the figures of whole models, the
# thread sanitizer, the tests on Intel's CPU runtime (which has 16-bit floats and subgroups) and on devices made small, and the
# goldens under valgrind.
. "$(dirname "$0")/common.sh"

build()
{
    check "build without a warning" build_tree "$BUILD" -DGEAR_WERROR=ON
    finish
}

# Proprietary: installed for the test, never part of the project. intel-cmplr-lib-rt is missing from the package's own
# dependencies.
runtime=$ROOT/$TOOLS/intel/lib/libintelocl.so
install_intel_runtime()
{
    [ -e "$runtime" ] && return
    /usr/bin/python3 -m pip install --quiet --no-deps --prefix "$ROOT/$TOOLS/intel" \
        intel-opencl-rt==2026.2.0 intel-cmplr-lib-rt==2026.2.0 tbb
    [ -e "$runtime" ]
}

# tests/threads alone: plain programs, since Criterion does not start under this sanitizer.
thread_sanitizer()
{
    check "thread sanitizer: configure" cmake --preset tsan -DGEAR_WERROR=ON
    check "thread sanitizer: build" cmake --build --preset tsan --parallel "$JOBS"
    check "thread sanitizer: tests" ctest --preset tsan
    finish
}

goldens_under_valgrind()
{
    check "goldens" valgrind --quiet --leak-check=full --error-exitcode=9 --trace-children=yes \
        "$BUILD/bin/test_golden" --jobs 1
    finish
}

# A slice of docs/testing.md's product: another one each day. What PoCL compiles for it is needed once and takes 2 GB.
SLICES=100
product_slice()
{
    POCL_CACHE_DIR=$(mktemp -d "$ROOT/$BUILD/product-XXXXXX")
    export POCL_CACHE_DIR GEAR_TEST_FULL=$(($(date +%s) / 86400))/$SLICES
    trap 'rm -rf "$POCL_CACHE_DIR"' EXIT
    ci/run_programs.sh e2e
}

if ! install_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}"; then
    fail "the packages could not be installed"
    finish
fi
tally build build
tally gates ci/check_gates.sh
tally sanitizers env GEAR_TEST_TINY=0 ci/check_sanitize.sh
tally thread-sanitizer thread_sanitizer
tally product-slice product_slice
tally quality ci/check_quality.sh --run
tally work-groups-of-256 env POCL_MAX_WORK_GROUP_SIZE=256 ci/run_programs.sh
tally work-groups-of-64 env POCL_MAX_WORK_GROUP_SIZE=64 ci/run_programs.sh
if install_intel_runtime; then
    tally intel-cpu env OCL_ICD_VENDORS="$runtime" ci/run_programs.sh
    # As little local memory as small GPUs have.
    tally intel-cpu-32k env OCL_ICD_VENDORS="$runtime" CL_CONFIG_CPU_FORCE_LOCAL_MEM_SIZE=32KB ci/run_programs.sh
else
    skip "Intel's CPU runtime could not be installed"
fi
if [ "${1:-}" = --valgrind ] && install_packages valgrind; then tally valgrind goldens_under_valgrind; fi
finish
