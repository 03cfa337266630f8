#!/bin/bash
# check_docs.sh: the documents keep up with the header, the kernels and the results: C examples compile, links lead somewhere,
# each status is explained, each kernel file has a row, figures are well-formed XML.
. "$(dirname "$0")/common.sh"

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# The C blocks of a document, in order, as one file.
examples()
{
    echo '#include <gear/gear.h>'
    awk '/^```c$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$1"
}

for document in README.md docs/*.md; do
    grep -q '^```c$' "$document" || continue
    examples "$document" > "$temp/example.c"
    check "C examples of $document" gcc -std=c11 -Wall -Wextra -Werror -Wno-unused-function -I include -fsyntax-only \
        "$temp/example.c"
done

link_offences()
{
    local document target
    for document in README.md docs/*.md; do
        grep -oE '\]\([^)#: ]+' "$document" | sed 's/^](//' | sort -u | while IFS= read -r target; do
            [ -e "$(dirname "$document")/$target" ] || echo "$document: $target"
        done
        grep -oE 'src="[^":]+"' "$document" | cut -d '"' -f 2 | while IFS= read -r target; do
            [ -e "$(dirname "$document")/$target" ] || echo "$document: $target"
        done
    done
}
check_empty "links of the documents" link_offences

status_offences()
{
    local name
    grep -oE '^ +X\([A-Z_]+' include/gear/gear.h | sed 's/.*(//' | while IFS= read -r name; do
        grep -qE "GEAR_$name\b" docs/errors.md || echo "docs/errors.md does not explain GEAR_$name"
    done
}
check_empty "docs/errors.md explains each status" status_offences

api_offences()
{
    local name
    grep -oE '\bgear_[a-z0-9_]+\(' include/gear/gear.h | tr -d '(' | sort -u | while IFS= read -r name; do
        grep -qw "$name" docs/api.md || echo "docs/api.md does not name $name"
    done
}
check_empty "docs/api.md names each function" api_offences

kernel_offences()
{
    local file stem
    for file in cl/*.cl; do
        stem=$(basename "$file" .cl)
        grep -qE "^$stem"$'\t' ci/kernel_notes.tsv || echo "ci/kernel_notes.tsv has no kernel of $file"
        grep -q "^| \`$stem\` |" docs/kernels.md || echo "docs/kernels.md has no row of $file"
    done
}
check_empty "docs/kernels.md has each kernel file" kernel_offences
check "docs/kernels.md says what docs/results do" python3 ci/bench_table.py kernels --check
check "docs/benchmarks.md says what docs/results do of a CPU" python3 ci/bench_table.py cpu docs/results/cpu.json --check
check "docs/benchmarks.md says what docs/results do of an H100" \
    python3 ci/bench_table.py h100 docs/results/h100.json docs/results/h100_peers.json --check

for figure in docs/*.svg; do
    check "$figure is well-formed" python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$figure"
done
finish
