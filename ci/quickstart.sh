#!/bin/bash
# quickstart.sh [gear-pack options]: installs what is needed on Debian 12, builds the release, and runs gear-pack on real
# keys, values and queries of six layers of a language model on PoCL (the CPU). It prints bits per value and errors of each
# codec.
. "$(dirname "$0")/common.sh"

install_packages "${PACKAGES_BUILD[@]}" || exit 1
build_tree build/release -DGEAR_BUILD_TESTS=OFF > build/quickstart.log 2>&1 || {
    tail -n 40 build/quickstart.log
    exit 1
}
pack=$(find build/release -type f -name gear-pack -perm -u+x -print -quit)
files=()
for key in tests/data/smollm2-kv/L*_k_post.npy; do
    layer=${key%_k_post.npy}
    files+=(--k "$key" --v "${layer}_v.npy" --q "${layer}_q_last64.npy")
done
exec "$pack" --device "Portable Computing Language" "${files[@]}" "$@"
