# What is installed, and the packages that cpack makes of it:
#
#   liblanefuse0.1   (lanefuse_runtime)  the shared library
#   liblanefuse-dev  (lanefuse_dev)      headers, archive, CMake package, pkg-config module,
#                                        lanefuse-info
#
# The .tar.gz has both. A fetched Highway is installed with lanefuse, as part of the latter.
include(CMakePackageConfigHelpers)
set(_abi ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lanefuse)

foreach(_kind IN LISTS LANEFUSE_KINDS)
  install(TARGETS lanefuse_${_kind} EXPORT lanefuse-${_kind}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lanefuse_dev
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lanefuse_runtime
          NAMELINK_COMPONENT lanefuse_dev)
  install(EXPORT lanefuse-${_kind} FILE lanefuse-${_kind}-targets.cmake NAMESPACE lanefuse::
          DESTINATION ${_package_dir} COMPONENT lanefuse_dev)
endforeach()
install(DIRECTORY include/lanefuse DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT lanefuse_dev FILES_MATCHING PATTERN "*.h")
if(LANEFUSE_INFO)
  install(TARGETS lanefuse_info DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT lanefuse_dev)
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/liblanefuse-dev RENAME copyright
        COMPONENT lanefuse_dev)
if("shared" IN_LIST LANEFUSE_KINDS)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/liblanefuse${_abi}
          RENAME copyright COMPONENT lanefuse_runtime)
endif()

# find_package(lanefuse [COMPONENTS static|shared]).
configure_package_config_file(cmake/lanefuse-config.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/lanefuse-config.cmake" INSTALL_DESTINATION ${_package_dir})
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/lanefuse-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/lanefuse-config.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/lanefuse-config-version.cmake" arch/highway.cmake
        DESTINATION ${_package_dir} COMPONENT lanefuse_dev)

# pkg-config. The shared library brings what it needs; a static link takes --static, and a C program
# then needs the C++ library that this compiler links, too.
set(_pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH LANEFUSE_PC_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
     "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" LANEFUSE_PC_PREFIX "${LANEFUSE_PC_PREFIX}")
if(LANEFUSE_HIGHWAY_ORIGIN STREQUAL "fetched")
  # As a part of another project, Highway's module states that project's version, and the prefix of
  # this configuration for ever.
  file(READ "${hwy_BINARY_DIR}/libhwy.pc" _module)
  string(REGEX REPLACE "prefix=[^\n]*" "prefix=\${pcfiledir}/${LANEFUSE_PC_PREFIX}"
         _module "${_module}")
  string(REGEX REPLACE "exec_prefix=[^\n]*" "exec_prefix=\${prefix}" _module "${_module}")
  string(REGEX REPLACE "Version: [^\n]*" "Version: ${_hwy_version}" _module "${_module}")
  file(WRITE "${hwy_BINARY_DIR}/libhwy.pc" "${_module}")
endif()
foreach(_dir LIB INCLUDE)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${_dir}DIR}")
    set(LANEFUSE_PC_${_dir}DIR "${CMAKE_INSTALL_${_dir}DIR}")
  else()
    set(LANEFUSE_PC_${_dir}DIR "\${prefix}/${CMAKE_INSTALL_${_dir}DIR}")
  endif()
endforeach()
set(LANEFUSE_PC_REQUIRES "")
set(LANEFUSE_PC_LIBS "")
if("static" IN_LIST LANEFUSE_KINDS)
  set(LANEFUSE_PC_REQUIRES "libhwy >= 1.2")
  if(LANEFUSE_OPENMP)
    list(APPEND LANEFUSE_PC_LIBS ${OpenMP_CXX_LIB_NAMES})
  endif()
  foreach(_library stdc++ c++ m)
    if(_library IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
      list(APPEND LANEFUSE_PC_LIBS ${_library})
    endif()
  endforeach()
  list(TRANSFORM LANEFUSE_PC_LIBS PREPEND "-l")
  list(JOIN LANEFUSE_PC_LIBS " " LANEFUSE_PC_LIBS)
endif()
configure_file(cmake/lanefuse.pc.in "${CMAKE_CURRENT_BINARY_DIR}/lanefuse.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/lanefuse.pc" DESTINATION ${_pkgconfig_dir}
        COMPONENT lanefuse_dev)

if(PROJECT_IS_TOP_LEVEL)
  include(cmake/package.cmake)
endif()
