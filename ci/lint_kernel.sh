#!/bin/bash
# lint_kernel.sh FILE OPTIONS: clang's warnings, as errors, for one kernel file as plain OpenCL C 1.2. Clang by itself leaves
# __OPENCL_VERSION__, which every OpenCL runtime defines, undefined.
set -u
file=$1
read -ra options <<< "$2"
exec "${CLANG:-clang-15}" -target spir64 -x cl -cl-std=CL1.2 -D __OPENCL_VERSION__=120 -Xclang -finclude-default-header \
    -I "$(dirname "$file")/common" "${options[@]}" -Wall -Wextra -Wshadow -Wconversion -Werror -fsyntax-only "$file"
