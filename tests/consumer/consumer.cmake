# Installs the build tree BUILD to a prefix of its own and builds this folder's program against it: by CMake, shared and
# static, and by
# pkg-config. Then each program must run.
cmake_minimum_required(VERSION 3.25)
set(prefix "${BUILD}/consumer-prefix")
set(work "${BUILD}/consumer-work")
file(REMOVE_RECURSE "${prefix}" "${work}")
file(MAKE_DIRECTORY "${work}")

macro(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endmacro()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${work}/cmake" -G "${GENERATOR}" "-DCMAKE_PREFIX_PATH=${prefix}"
    "-DCMAKE_C_COMPILER=${CC}")
run("${CMAKE_COMMAND}" --build "${work}/cmake")
run("${work}/cmake/consumer")
run("${work}/cmake/consumer_static")

set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
execute_process(COMMAND pkg-config --cflags --libs gear OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY
    OUTPUT_STRIP_TRAILING_WHITESPACE)
separate_arguments(flags UNIX_COMMAND "${flags}")
run("${CC}" -std=c11 "${CMAKE_CURRENT_LIST_DIR}/main.c" -o "${work}/by_pkg_config" ${flags} "-Wl,-rpath,${prefix}/${LIBDIR}")
run("${work}/by_pkg_config")
