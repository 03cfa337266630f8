#!/bin/bash
# run_ctest.sh [ctest argument...]: ctest in $GEAR_BUILD_DIR, with each Criterion case counted rather than each test program.
. "$(dirname "$0")/common.sh"

logs=$BUILD/ctest-logs
rm -rf "$logs"
mkdir -p "$logs"
ctest --test-dir "$BUILD" --no-tests=error --parallel "$JOBS" --verbose "$@" > "$logs/all" 2>&1
status=$?

# One file a test: with --verbose its lines start with its number, its result is `i/n Test #N: NAME ...   Passed`.
sed -n 's/^\([0-9][0-9]*\): /\1\t/p' "$logs/all" |
    awk -F '\t' -v logs="$logs" '{ print substr($0, length($1) + 2) > (logs "/" $1) }'
while read -r number name result; do
    case $result in
    *Passed*) code=0 ;;
    *Skipped* | *"Not Run"*)
        skip "$name:$result"
        continue
        ;;
    *) code=1 ;;
    esac
    touch "$logs/$number"
    count_criterion "$name" "$logs/$number" $code
done < <(sed -nE 's|^ *[0-9]+/[0-9]+ Test +#([0-9]+): ([^ ]+) [ .]*(.*)$|\1 \2 \3|p' "$logs/all")
if [ $((passed + failed + skipped)) -eq 0 ]; then
    fail "ctest: exit status $status"
    tail -n 20 "$logs/all" | sed 's/^/    /'
fi
finish
