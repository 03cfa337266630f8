# Writes OUT, a C source with the commit that SOURCE is at: git describe --always --dirty, or VERSION where there is no git, or
# SOURCE is not the root of a repository. Run at every build; the file changes only when the commit does.
set(commit "")
find_program(GIT git)
if(GIT)
    execute_process(COMMAND "${GIT}" -C "${SOURCE}" rev-parse --show-prefix OUTPUT_VARIABLE prefix RESULT_VARIABLE failed
        OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT failed AND prefix STREQUAL "")
        execute_process(COMMAND "${GIT}" -C "${SOURCE}" describe --always --dirty OUTPUT_VARIABLE commit
            OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
endif()
if(NOT commit MATCHES "^[-+./A-Za-z0-9_]+$")
    set(commit "${VERSION}")
endif()
file(CONFIGURE OUTPUT "${OUT}" @ONLY CONTENT "#include \"report.h\"

const char *report_commit(void)
{
    return \"@commit@\";
}
")
