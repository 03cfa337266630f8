# Programs and examples: they see the public header and host/common, nothing of src/. A program is host/gear-x.c or the folder
# host/gear-x/; an example is one file of host/examples.
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)

file(GLOB host_common CONFIGURE_DEPENDS host/common/*.c)
if(host_common)
    # The commit that reports name, looked up at each build.
    set(commit_source "${PROJECT_BINARY_DIR}/host/commit.c")
    set(commit_arguments -D "SOURCE=${PROJECT_SOURCE_DIR}" -D "VERSION=${PROJECT_VERSION}" -D "OUT=${commit_source}"
        -P "${PROJECT_SOURCE_DIR}/cmake/write_commit.cmake")
    add_custom_target(gear_commit COMMAND "${CMAKE_COMMAND}" ${commit_arguments} BYPRODUCTS "${commit_source}"
        COMMENT "Looking up the commit" VERBATIM)
    add_library(gear_host STATIC ${host_common} "${commit_source}")
    add_dependencies(gear_host gear_commit)
    gear_settings(gear_host)
    # No link to the library here: programs add the shared one, tests the static one.
    target_include_directories(gear_host PUBLIC include host/common)
    target_link_libraries(gear_host PUBLIC OpenCL::OpenCL PkgConfig::JANSSON m)
endif()

# What gear-bench and gear-tune measure with.
add_library(gear_measure STATIC)
file(GLOB host_measure CONFIGURE_DEPENDS host/measure/*.c)
target_sources(gear_measure PRIVATE ${host_measure})
gear_settings(gear_measure)
target_include_directories(gear_measure PUBLIC include)
target_link_libraries(gear_measure PUBLIC gear_host)

# gear-llm without its main(), for the program and its tests.
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(CLBLAST REQUIRED IMPORTED_TARGET clblast)
gear_embed_kernels(llm_kernels DIRECTORY host/gear-llm/cl PREFIX llm_ HEADER embedded.h)
file(GLOB llm_sources CONFIGURE_DEPENDS host/gear-llm/*.c)
list(FILTER llm_sources EXCLUDE REGEX "/main\\.c$")
add_library(gear_llm STATIC ${llm_sources} ${llm_kernels})
gear_settings(gear_llm)
target_include_directories(gear_llm PUBLIC host/gear-llm)
target_link_libraries(gear_llm PUBLIC gear_host PRIVATE PkgConfig::PCRE2 PkgConfig::CLBLAST)

# gear_add_program(name sources...)
function(gear_add_program name)
    add_executable(${name} ${ARGN})
    gear_settings(${name})
    target_link_libraries(${name} PRIVATE $<TARGET_NAME_IF_EXISTS:gear_host> gear_shared m)
endfunction()

file(GLOB programs CONFIGURE_DEPENDS LIST_DIRECTORIES true host/gear-*)
foreach(program IN LISTS programs)
    get_filename_component(name "${program}" NAME_WE)
    set(sources "${program}")
    if(IS_DIRECTORY "${program}")
        file(GLOB sources CONFIGURE_DEPENDS "${program}/*.c")
    endif()
    if(name STREQUAL "gear-llm")
        list(REMOVE_ITEM sources ${llm_sources})
    endif()
    if(sources MATCHES "\\.c(;|$)")
        gear_add_program(${name} ${sources})
        list(APPEND gear_programs ${name})
        file(RELATIVE_PATH to_lib "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
        set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/${to_lib}")
        install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    endif()
endforeach()
target_link_libraries(gear-llm PRIVATE gear_llm)

# gear-plan runs models as gear-llm does, and measures as gear-pack does.
target_sources(gear-plan PRIVATE host/gear-pack/exact.c host/gear-pack/input.c host/gear-pack/measure.c)
target_link_libraries(gear-plan PRIVATE gear_llm)
target_include_directories(gear-plan SYSTEM PRIVATE ${GEAR_XXHASH_INCLUDE})

file(GLOB examples CONFIGURE_DEPENDS host/examples/*.c)
foreach(example IN LISTS examples)
    get_filename_component(name "${example}" NAME_WE)
    gear_add_program(example_${name} "${example}")
    list(APPEND gear_examples example_${name})
endforeach()

# Programs that measure time each launch of the library: enqueue calls pass through host/measure/launches.c, hence the
# static library.
foreach(name IN ITEMS gear-bench gear-tune)
    set_target_properties(${name} PROPERTIES LINK_LIBRARIES "")
    target_link_libraries(${name} PRIVATE gear_measure gear_host gear_static Threads::Threads m)
    target_link_options(${name} PRIVATE LINKER:--wrap=clEnqueueNDRangeKernel LINKER:--wrap=clEnqueueFillBuffer
        LINKER:--wrap=clEnqueueCopyBuffer)
endforeach()

# The peer of gear-bench is what one would write for this very machine.
find_package(OpenMP COMPONENTS C)
if(OpenMP_C_FOUND AND NOT GEAR_SANITIZE AND NOT GEAR_COVERAGE)
    target_link_libraries(gear-bench PRIVATE OpenMP::OpenMP_C)
    set_source_files_properties(host/gear-bench/openmp_attend.c PROPERTIES COMPILE_OPTIONS
        "-O3;-march=native;-ffast-math;-ffp-contract=fast")
endif()
