#!/bin/bash
# check_layers.sh: the house rules that grep can check: who includes whom, what the library never calls, exported symbols,
# stems, file banners, sizes, machine paths, and that the public header stands alone in C and C++.
. "$(dirname "$0")/common.sh"

sources()
{
    find "$@" -type f \( -name '*.c' -o -name '*.h' \) 2>/dev/null | sort
}

# quoted_includes FILE...: FILE:LINE:INCLUDED for each #include "...".
quoted_includes()
{
    [ $# -gt 0 ] && grep -HnoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]+"' "$@" | sed -E 's/:[^:"]*"([^"]+)"$/:\1/'
}

# layer NAME ALLOWED...: files of src/NAME include their own folder, the named layers, the public headers and the kernels'
# layout.h.
layer_offences()
{
    local name=$1 line file included folder
    local allowed=" $* gear "
    local files
    mapfile -t files < <(sources "src/$name")
    quoted_includes "${files[@]}" | while IFS= read -r line; do
        file=${line%%:*} included=${line##*:} folder=${line##*:}
        case $included in
        */*) folder=${included%%/*} ;;
        *)
            [ -e "$(dirname "$file")/$included" ] || [ -e "cl/common/$included" ] || echo "$line: not found beside the file"
            continue
            ;;
        esac
        [[ $allowed == *" $folder "* ]] || echo "$line: src/$name may include only:$allowed"
    done
}

layers=(
    "base"
    "model base"
    "device base"
    "stage device model base"
    "ref model base"
    "api stage device model base"
)
for layer in "${layers[@]}"; do
    # shellcheck disable=SC2086
    set -- $layer
    [ -d "src/$1" ] && check_empty "includes of src/$1" layer_offences "$@"
done

host_offences()
{
    local files line file included
    mapfile -t files < <(sources host)
    quoted_includes "${files[@]}" | while IFS= read -r line; do
        file=${line%%:*} included=${line##*:}
        case $included in
        gear/gear.h | gear/version.h) ;;
        *) [ -e "$(dirname "$file")/$included" ] || [ -e "host/common/$included" ] || [ -e "host/$included" ] || echo "$line" ;;
        esac
    done
    [ ${#files[@]} -gt 0 ] && grep -nE '\bgear__' "${files[@]}"
}
check_empty "programs use the public header only" host_offences

opencl_offences()
{
    local files
    mapfile -t files < <(sources src/base src/model src/ref)
    [ ${#files[@]} -gt 0 ] && grep -nE '#[[:space:]]*include[[:space:]]*<CL/|\bcl[A-Z][A-Za-z]+\(' "${files[@]}"
}
check_empty "base, model and ref call no OpenCL" opencl_offences

# Drops FILE:LINE:TEXT lines whose text is all comment.
without_comments()
{
    grep -vE '^[^:]+:[0-9]+:[[:space:]]*(/\*|\*)'
}

prints='printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror'
ends='exit|_Exit|abort|assert'
reads='getenv|secure_getenv'
call_offences()
{
    local files
    mapfile -t files < <(sources src)
    [ ${#files[@]} -gt 0 ] && grep -HnE "\\b($prints|$ends|$reads)\\(|\\b(stdout|stderr)\\b" "${files[@]}" | without_comments
}
check_empty "the library never prints, exits or reads the environment" call_offences

options_offences()
{
    local files
    mapfile -t files < <(sources src host)
    [ ${#files[@]} -gt 0 ] && grep -HnE '"([^"]* )?-D ?[A-Za-z%"]' "${files[@]}" |
        grep -vE '^(src/device/options|host/gear-llm/kernels)\.c:' | without_comments
}
check_empty "build options come from one file of the library and one of gear-llm" options_offences

stem_offences()
{
    local file stem
    for file in cl/*.cl; do
        [ -e "$file" ] || continue
        stem=$(basename "$file" .cl)
        # A form for one kind of device shares all three with the portable kernel.
        stem=${stem%_cpu}
        stem=${stem%_nvidia}
        # Kernels that only long segments take are another part of their stage.
        stem=${stem%_gram}
        stem=${stem/%_lowrank_fit/_lowrank}
        stem=${stem%_long}
        [ -e "src/stage/$stem.c" ] || echo "src/stage/$stem.c is missing"
        # upload moves work lists and computes nothing.
        [ "$stem" = upload ] && continue
        [ -e "src/ref/$stem.c" ] || echo "src/ref/$stem.c is missing"
        [ -e "tests/stage/test_$stem.c" ] || echo "tests/stage/test_$stem.c is missing"
    done
}
check_empty "a kernel, its launcher, its reference and its test share a stem" stem_offences

tracked()
{
    git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
        [ -f "$file" ] && echo "$file"
    done
}
code=('*.c' '*.h' '*.cl' '*.clh')

banner_offences()
{
    local file
    tracked "${code[@]}" | while IFS= read -r file; do
        head -c 2 "$file" | grep -qE '^(/\*|//)' || echo "$file: no banner comment"
    done
    tracked '*.sh' | while IFS= read -r file; do
        head -n 2 "$file" | grep -qE '^# ' || echo "$file: no banner comment"
    done
}
check_empty "each file says what it is" banner_offences

size_offences()
{
    local file lines limit
    tracked "${code[@]}" | while IFS= read -r file; do
        lines=$(wc -l < "$file") limit=500
        case $file in *.cl | *.clh) limit=400 ;; esac
        [ "$lines" -le "$limit" ] || echo "$file has $lines lines; $limit is the limit"
    done
    # In a UTF-8 locale a dot is a character, not a byte.
    tracked "${code[@]}" '*.sh' '*.py' '*.cmake' CMakeLists.txt |
        LC_ALL=C.UTF-8 xargs -r -d '\n' grep -nE '^.{129,}' /dev/null | cut -c 1-120
}
check_empty "files are small and lines at most 128 columns" size_offences

# What a formatter leaves where a line was too long: a field without its name, a chapter rule in two pieces, a comment behind
# code that goes on in the next line or closes there alone.
page_offences()
{
    local file
    for file in include/gear/*.h cl/common/layout.h; do
        awk -v file="$file" '
            function offence(what) { print file ":" FNR ": " what }
            /^ +(const )?[a-z][a-z0-9_ ]*$/ { offence("a field broken over two lines") }
            /^#define [A-Za-z0-9_]+ +\\$/ { offence("a constant broken over two lines") }
            /====/ && !/^\/\* =+ [0-9]\. .* =+ \*\/$/ { offence("a chapter rule that is not one line") }
            /[;,0-9a-z] +\/\*/ && !/\*\// && !/^ *(\/\*|\*)/ { offence("a comment behind code that goes on in the next line") }
            opened && /^ *\*\/$/ { offence("a comment that closes on a line of its own") }
            { opened = /^ *\/\*/ && !/\*\// }' "$file"
    done
}
check_empty "the headers that people read have whole lines" page_offences

path_offences()
{
    tracked . | xargs -r -d '\n' grep -InE '(^|[^[:alnum:]_.>}])/(wor[k]|roo[t]|hom[e])/' /dev/null | cut -c 1-160
}
check_empty "no machine paths" path_offences

unfinished_offences()
{
    tracked src cl include host tests | grep -E '\.(c|h|cl|clh)$' |
        xargs -r -d '\n' grep -nE '\b(TODO|FIXME|XXX)\b|not implemented' /dev/null
}
check_empty "nothing is left unfinished" unfinished_offences

check_empty "kernels find the files that they include" python3 ci/check_includes.py

header=$(mktemp)
trap 'rm -f "$header"' EXIT
echo '#include "gear/gear.h"' > "$header"
check "gear.h alone in C11" gcc -std=c11 -pedantic -Wall -Wextra -Werror -I include -fsyntax-only -x c "$header"
check "gear.h alone in C++11" g++ -std=c++11 -Wall -Wextra -Werror -I include -fsyntax-only -x c++ "$header"
check "layout.h alone in C11" gcc -std=c11 -pedantic -Wall -Wextra -Wconversion -Werror -fsyntax-only -x c cl/common/layout.h \
    -Wno-unused-function

symbol_offences()
{
    nm -D --defined-only "$1" | awk '{ print $NF }' | sed 's/@.*//' | grep -vE '^gear_[a-z]' | sort -u
    # What the header declares is what the library exports.
    diff <(grep -oE '\bgear_[a-z0-9_]+\(' include/gear/gear.h | tr -d '(' | sort -u) \
        <(nm -D --defined-only "$1" | awk '{ print $NF }' | sed 's/@.*//' | grep '^gear_' | sort -u)
}
library=$(find "$BUILD" -name 'libgear.so' -print -quit 2>/dev/null)
if [ -n "$library" ]; then
    check_empty "exported symbols are the header's" symbol_offences "$library"
else
    skip "exported symbols: no libgear.so under $BUILD"
fi
finish
