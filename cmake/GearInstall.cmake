# Install, export and pkg-config: find_package(gear) gives gear::gear (shared) and gear::gear_static.
include(CMakePackageConfigHelpers)

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/gear")
install(TARGETS gear_shared gear_static EXPORT gear-targets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY include/gear DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(EXPORT gear-targets NAMESPACE gear:: DESTINATION "${config_dir}")

configure_package_config_file(cmake/gear-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/gear-config.cmake"
    INSTALL_DESTINATION "${config_dir}")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/gear-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gear-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/gear-config-version.cmake"
    DESTINATION "${config_dir}")

# The file finds its prefix from its own place, so that a tree can be moved.
file(RELATIVE_PATH GEAR_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/gear.pc.in gear.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gear.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
