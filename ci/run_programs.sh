#!/bin/bash
# run_programs.sh [NAME...]: runs the Criterion programs of $GEAR_BUILD_DIR (stage, e2e ...; all without a name) in the
# environment as it is and without a time limit, where ctest would set its own, and counts their cases.
. "$(dirname "$0")/common.sh"

logs=$BUILD/test-logs
mkdir -p "$logs"
programs=()
if [ $# -gt 0 ]; then
    for name in "$@"; do programs+=("$BUILD/bin/test_$name"); done
else
    mapfile -t programs < <(find "$BUILD/bin" -maxdepth 1 -type f -name 'test_*' -perm -u+x | sort)
fi
[ ${#programs[@]} -gt 0 ] || finish
export GEAR_TEST_TMP=$ROOT/$BUILD/tests
jobs=1 # of a program; one alone has all
[ ${#programs[@]} -gt 1 ] || jobs=$JOBS
printf '%s\0' "${programs[@]}" |
    xargs -0 -n 1 -P "$JOBS" bash -c '"$2" --jobs "$1" --verbose=1 > "$0/${2##*/}.log" 2>&1
        echo $? > "$0/${2##*/}.status"' "$logs" "$jobs"
for program in "${programs[@]}"; do
    count_criterion "$(basename "$program")" "$logs/$(basename "$program").log" \
        "$(cat "$logs/$(basename "$program").status")"
done
finish
