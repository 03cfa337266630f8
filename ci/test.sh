#!/bin/bash
# test.sh: installs what is needed on Debian 12, builds, and runs every test and check; some 17 minutes on 2 cores from
# nothing. The last line counts them: `N passed, N failed` (and skips). Exit status 0 only when nothing failed. Logs are in
# build/logs.
. "$(dirname "$0")/common.sh"

build()
{
    check "build without a warning" build_tree "$BUILD" -DGEAR_WERROR=ON
    finish
}

start=$SECONDS
if ! install_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}"; then
    fail "the packages could not be installed"
    finish
fi
tally build build
tally tests ci/run_ctest.sh -E '^consumer$'
tally house-rules ci/check_layers.sh
tally format ci/check_format.sh
tally documents ci/check_docs.sh
tally model-files ci/check_model_files.sh
tally kernel-lint ci/check_lint.sh
# Waits for downloads and uses one core most of its time.
beside logits ci/check_llm.sh
# The chips that are the first to spill, of NVIDIA one for each form of a kernel; nightly.sh takes them all.
tally gates env GATE_AMD="gfx906" GATE_INTEL="skl" GATE_NVIDIA="sm_75 sm_90" GATE_FIRST=1 ci/check_gates.sh
tally_beside logits
tally quality ci/check_quality.sh
tally consumer ci/check_consumer.sh
tally oclgrind ci/check_oclgrind.sh
# The kernels of gear-llm, all but what runs in CLBlast's own.
tally oclgrind-llm ci/check_oclgrind.sh "$BUILD/bin/test_host" --filter 'llm_kernels/[!c]*' --jobs "$JOBS"
tally sanitizers ci/check_sanitize.sh
echo "everything in $((SECONDS - start)) s"
finish
