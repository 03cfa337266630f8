#!/bin/bash
# quickstart.sh [gear-pack options]: installs what is needed on Debian 12, builds the release, and runs gear-pack on real
# keys, values and queries of six layers of a language model on PoCL (the CPU). It prints bits per value and errors of each
# codec. Without options a model then solves 20 problems, and another (98 MB, by pip) answers a prompt of 700 tokens, from a
# 16-bit and from compressed caches.
. "$(dirname "$0")/common.sh"

install_packages "${PACKAGES_BUILD[@]}" python3-pip || exit 1
build_tree build/release -DGEAR_BUILD_TESTS=OFF > build/quickstart.log 2>&1 || {
    tail -n 40 build/quickstart.log
    exit 1
}
program()
{
    find build/release -type f -name "$1" -perm -u+x -print -quit
}

files=()
for key in tests/data/smollm2-kv/L*_k_post.npy; do
    layer=${key%_k_post.npy}
    files+=(--k "$key" --v "${layer}_v.npy" --q "${layer}_q_last64.npy")
done
device=(--device "Portable Computing Language")
"$(program gear-pack)" "${device[@]}" "${files[@]}" "$@" || exit
[ $# -eq 0 ] || exit 0

echo
llm=$(program gear-llm)
"$llm" solve "${device[@]}" --model tests/data/cot/final.gguf --problems tests/data/cot/eval_public.txt --limit 20 \
    --kv 16,kivi2,paper_2bit,gear_2_6 || exit
model=$(ci/get_model.sh) || { echo "the model is not there; its three answers are left out"; exit 0; }
text=$(head -c 3000 tests/data/text/jargon_folklore.txt)
for kv in 16 gear_2_6 kivi2; do
    printf '\n%s: ' "$kv"
    "$llm" generate "${device[@]}" --model "$model" --chat --prompt "Summarize this text in two sentences."$'\n\n'"$text" \
        --tokens 60 --kv "$kv" || exit
done
