#!/bin/bash
# check_consumer.sh: installs the build tree into a prefix of its own and builds tests/consumer against it, through
# find_package(gear) and through pkg-config, as a user of the library would (tests/consumer/consumer.cmake); what was
# installed must not need the tree.
. "$(dirname "$0")/common.sh"

check "consumer through find_package and pkg-config" \
    ctest --test-dir "$BUILD" --no-tests=error --output-on-failure -R '^consumer$'
prefix=$BUILD/consumer-prefix
check "gear.h and a shared library are installed" \
    test -e "$prefix/include/gear/gear.h" -a -n "$(find "$prefix" -name 'libgear.so' -print -quit)"
check_empty "installed files name no source path" grep -rnE "$ROOT/(src|include|cl|cmake)" "$prefix" \
    --include='*.cmake' --include='*.pc'
finish
