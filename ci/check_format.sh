#!/bin/bash
# check_format.sh: every C file, header and kernel is as clang-format 14 writes it with the tree's .clang-format; other versions
# break lines elsewhere. Anew: clang-format-14 -i FILE.
. "$(dirname "$0")/common.sh"

# A test's input, whose odd spacing is the point.
EXEMPT=('tests/unit/kernels/step.cl')

unformatted()
{
    local file
    git ls-files --cached --others --exclude-standard -- '*.c' '*.h' '*.cl' '*.clh' "${EXEMPT[@]/#/:!}" |
        while IFS= read -r file; do
            [ ! -f "$file" ] || clang-format-14 --style=file "$file" | cmp -s - "$file" || echo "$file"
        done
}

if command -v clang-format-14 >/dev/null; then
    check_empty "files are as clang-format-14 writes them" unformatted
else
    skip "clang-format-14 is not installed"
fi
finish
