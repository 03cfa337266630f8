# common.sh: what the scripts of ci/ share: the tree's root, package lists, counted checks. Sourced, never run. A check script
# prints one line per check (PASS, FAIL or SKIP) and closes with the line `N passed, N failed`, so that it can be run alone
# and so that test.sh can add the counts up. A skip is never a pass.
# shellcheck shell=bash

set -uo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1

JOBS=${GEAR_JOBS:-2}
BUILD=${GEAR_BUILD_DIR:-build/ci}
TOOLS=build/tools

PACKAGES_BUILD=(gcc g++ libc6-dev cmake ninja-build pkg-config opencl-headers ocl-icd-opencl-dev pocl-opencl-icd
    libjansson-dev libpcre2-dev libclblast-dev libxxhash-dev)
PACKAGES_TEST=(libcriterion-dev clang-15 clang-format-14 rocm-device-libs libclc-15 intel-opencl-icd oclgrind
    binutils git python3 python3-pip)

# PoCL alone, whatever else the machine has, and its compiled kernels kept in the tree. The caller's own settings win.
export OCL_ICD_VENDORS=${OCL_ICD_VENDORS:-/etc/OpenCL/vendors/pocl.icd}
export POCL_CACHE_DIR=${POCL_CACHE_DIR:-$ROOT/$BUILD/pocl-cache}
mkdir -p build "$POCL_CACHE_DIR"

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs those of the named Debian packages that are missing; touches no network when none is.
install_packages()
{
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "installing ${missing[*]}"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build_tree DIR [CMake options]: configures and builds with Ninja.
build_tree()
{
    local dir=$1
    shift
    cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" && cmake --build "$dir" --parallel "$JOBS"
}

passed=0 failed=0 skipped=0

pass()
{
    passed=$((passed + 1))
    echo "PASS $*"
}

fail()
{
    failed=$((failed + 1))
    echo "FAIL $*"
}

skip()
{
    skipped=$((skipped + 1))
    echo "SKIP $*"
}

# check NAME COMMAND...: one counted check; what the command printed is shown when it fails.
check()
{
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        pass "$name"
    else
        fail "$name"
        printf '%s\n' "$output" | tail -n 60 | sed 's/^/    /'
    fi
}

# check_empty NAME COMMAND...: passes when the command prints nothing: a list of offences.
check_empty()
{
    local name=$1 output
    shift
    output=$("$@" 2>&1)
    if [ -z "$output" ]; then
        pass "$name"
    else
        fail "$name"
        printf '%s\n' "$output" | head -n 40 | sed 's/^/    /'
    fi
}

# Closes a check script: the count line, and the exit status. A script that checked nothing has failed.
finish()
{
    if [ $((passed + failed + skipped)) -eq 0 ]; then fail "nothing was checked"; fi
    if [ "$skipped" -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ]
    exit
}

# count_criterion NAME LOG STATUS: counts the cases of one test program from what it printed. Criterion closes with the line
# `Synthesis: Tested: N | Passing: N | Failing: N | Crashing: N`; a program without it, or one that died first, counts as one.
# Cases that skip themselves are not in that line: with --verbose=1 it prints `[SKIP] SUITE::CASE: WHY` for each, as it does
# for those that --filter leaves out, which are disabled.
count_criterion()
{
    local name=$1 log=$2 status=$3 tested good line before=$skipped
    read -r tested good < <(sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '/Synthesis: Tested:/ {
            for (i = 1; i < NF; i++) { if ($i == "Tested:") t += $(i + 1); if ($i == "Passing:") p += $(i + 1) }
        } END { print t + 0, p + 0 }')
    passed=$((passed + good)) failed=$((failed + tested - good))
    # Tests that run tables of cases print how many, as `NAME: N cases`.
    grep -aoE '[[:alnum:]_ -]+: [0-9]+ cases.*' "$log" | sed "s/^/NOTE /" | head -n 8
    while read -r line; do
        skip "$name: $line"
    done < <(sed 's/\x1b\[[0-9;]*m//g' "$log" | sed -n '/: Test is disabled$/d; s/^\[SKIP\] //p')
    if [ "$tested" -gt "$good" ]; then
        echo "FAIL $name: $((tested - good)) of $tested cases"
    elif [ "$status" -ne 0 ]; then
        fail "$name: exit status $status"
    else
        if [ "$tested" -gt 0 ]; then
            echo "PASS $name ($tested cases)"
        elif [ "$skipped" -eq "$before" ]; then
            pass "$name"
        fi
        return
    fi
    grep -avE '\[(RUN |PASS|SKIP)\]|^$' "$log" | tail -n 40 | sed 's/^/    /'
}

# tally NAME COMMAND...: runs a check script (or a function that ends with finish), shows what it did not pass, and adds its
# closing count to this script's. One that dies without a closing count is a failure. The whole output stays in
# $LOGS/NAME.log. took: seconds that it ran before, where COMMAND only shows what it said.
LOGS=build/logs
tally()
{
    local name=$1 log=$LOGS/${1// /-}.log start=$((SECONDS - ${took:-0})) status last p=0 f=1 s=0
    shift
    mkdir -p "$LOGS"
    (passed=0 failed=0 skipped=0 && "$@") > "$log" 2>&1
    status=$?
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
    else
        tail -n 40 "$log" | sed 's/^/    /'
    fi
    if [ $status -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    grep -aE '^(FAIL|SKIP|NOTE|    )' "$log" | head -n 200
    echo "$name: $p passed, $f failed, $s skipped in $((SECONDS - start)) s"
}

# beside NAME COMMAND...: starts a check script in the background, for tally_beside to wait for. It has a process group of its
# own, which ends with this script: at its end and at a signal that it can see (its EXIT trap is taken).
declare -A besides=()
beside()
{
    mkdir -p "$LOGS"
    trap end_besides EXIT
    set -m
    run_beside "$@" &
    besides[$1]=$!
    set +m
}

# run_beside NAME COMMAND...: leaves what it said in $LOGS/NAME.beside and its seconds in $LOGS/NAME.took.
run_beside()
{
    local start=$SECONDS status
    rm -f "$LOGS/$1.beside" "$LOGS/$1.took"
    ("${@:2}") > "$LOGS/$1.beside" 2>&1 < /dev/null # which may end with finish
    status=$?
    echo $((SECONDS - start)) > "$LOGS/$1.took"
    return $status
}

end_besides()
{
    local group
    for group in "${besides[@]}"; do kill -- "-$group" 2>/dev/null; done
}

replay()
{
    cat "$1"
    return "$2"
}

# tally_beside NAME: tally of what beside has started, once it has ended.
tally_beside()
{
    local status
    wait "${besides[$1]}"
    status=$?
    unset "besides[$1]"
    took=$(< "$LOGS/$1.took") tally "$1" replay "$LOGS/$1.beside" $status
}

# The tool list_options of the build tree; nothing without a build.
options_tool()
{
    find "$BUILD" -type f -name list_options -perm -u+x -print -quit 2>/dev/null
}

# The kernels to look at, one a line: STEM<TAB>OPTIONS[<TAB>GATES]. The library itself says which option strings it uses,
# through list_options; without a build what it once printed serves, kernel_options.txt. Those of gear-llm stand in
# llm_kernel_options.txt. A STEM is a file of cl/, or a path. GATES is a comma list out of lint, amd, intel, nvidia; absent:
# all.
kernel_list()
{
    local tool
    tool=$(options_tool)
    {
        if [ -n "$tool" ]; then "$tool"; else cat ci/kernel_options.txt; fi
        cat ci/llm_kernel_options.txt
    } | grep -v -e '^[[:space:]]*$' -e '^#' | sort -u
}

# kernels_for GATE: the lines of kernel_list for one gate, without the third column.
kernels_for()
{
    kernel_list | awk -F '\t' -v gate="$1" '$3 == "" || index("," $3 ",", "," gate ",") { print $1 "\t" $2 }'
}

# for_each_kernel GATE SCRIPT LOGDIR: runs SCRIPT FILE OPTIONS for each line, $JOBS at once, and counts each.
for_each_kernel()
{
    local gate=$1 script=$2 logs=$3 number=0 stem options label
    rm -rf "$logs"
    mkdir -p "$logs"
    kernels_for "$gate" > "$logs/list"
    while IFS=$'\t' read -r stem options; do
        number=$((number + 1))
        [[ $stem == */* ]] || stem=cl/$stem
        printf '%s\0%s\0%s\0' "$logs/$number" "$stem.cl" "$options"
    done < "$logs/list" |
        xargs -0 -r -n 3 -P "$JOBS" bash -c 'if "$0" "$2" "$3" > "$1.log" 2>&1; then : > "$1.ok"; fi' "$script"
    number=0
    while IFS=$'\t' read -r stem options; do
        number=$((number + 1))
        label="$gate $stem $options"
        if [ -e "$logs/$number.ok" ]; then
            passed=$((passed + 1))
        else
            fail "$label"
            tail -n 30 "$logs/$number.log" | sed 's/^/    /'
        fi
    done < "$logs/list"
    echo "$gate: $number kernels with their options, logs in $logs"
}
