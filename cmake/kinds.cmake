# Which families and which kinds of library are built, and the targets for the latter:
#
#   lanefuse::static    liblanefuse.a
#   lanefuse::shared    liblanefuse.so
#   lanefuse::lanefuse  the shared one if only that was asked for or BUILD_SHARED_LIBS is on
#
# The tests, the benchmarks and lanefuse-info call functions that the shared library hides, so the
# static one is always there for them, and is installed only where it was asked for.
set(LANEFUSE_KNOWN_FAMILIES dot linear conv softmax elementwise)
if(LANEFUSE_FAMILIES STREQUAL "all")
  set(LANEFUSE_FAMILY_LIST ${LANEFUSE_KNOWN_FAMILIES})
else()
  set(LANEFUSE_FAMILY_LIST ${LANEFUSE_FAMILIES})
endif()
set(LANEFUSE_HAS_ALL_FAMILIES ON)
foreach(_family IN LISTS LANEFUSE_KNOWN_FAMILIES)
  if(NOT _family IN_LIST LANEFUSE_FAMILY_LIST)
    set(LANEFUSE_HAS_ALL_FAMILIES OFF)
  endif()
endforeach()
foreach(_family IN LISTS LANEFUSE_FAMILY_LIST)
  if(NOT _family IN_LIST LANEFUSE_KNOWN_FAMILIES)
    list(JOIN LANEFUSE_KNOWN_FAMILIES ", " _valid)
    message(FATAL_ERROR "LANEFUSE_FAMILIES: '${_family}' is not one of ${_valid}")
  endif()
endforeach()
if(LANEFUSE_TESTS OR LANEFUSE_BENCHMARKS)
  foreach(_family dot elementwise)
    if(NOT _family IN_LIST LANEFUSE_FAMILY_LIST)
      message(FATAL_ERROR "LANEFUSE_FAMILIES: the tests and benchmarks of every family compare "
                          "with '${_family}'; add it, or turn them off with LANEFUSE_TESTS=OFF")
    endif()
  endforeach()
endif()

if(LANEFUSE_LIBRARIES STREQUAL "auto")
  if(BUILD_SHARED_LIBS)
    set(LANEFUSE_KINDS shared)
  else()
    set(LANEFUSE_KINDS static)
  endif()
elseif(LANEFUSE_LIBRARIES STREQUAL "both")
  set(LANEFUSE_KINDS static shared)
elseif(LANEFUSE_LIBRARIES MATCHES "^(static|shared)$")
  set(LANEFUSE_KINDS ${LANEFUSE_LIBRARIES})
else()
  message(FATAL_ERROR "LANEFUSE_LIBRARIES is '${LANEFUSE_LIBRARIES}', "
                      "not one of auto, static, shared, both")
endif()

# A fetched Highway goes into the shared library, or beside the static one, as an archive: nobody
# should have to find its shared library again.
set(HWY_FORCE_STATIC_LIBS ON CACHE BOOL "Highway: fetched as a static library")

include(GNUInstallDirs)
# No path of this machine in the assertions and the debug information of what is installed.
set(LANEFUSE_PREFIX_MAP "-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}=lanefuse"
                        "-ffile-prefix-map=${CMAKE_CURRENT_BINARY_DIR}=build")
set(LANEFUSE_EXPORTS "${CMAKE_CURRENT_LIST_DIR}/exports.map")

function(lanefuse_add_kind kind type)
  set(_target lanefuse_${kind})
  add_library(${_target} ${type} $<TARGET_OBJECTS:lanefuse_objects>)
  add_library(lanefuse::${kind} ALIAS ${_target})
  target_link_libraries(${_target} PRIVATE ${LANEFUSE_HIGHWAY_TARGET})
  if(LANEFUSE_OPENMP)
    target_link_libraries(${_target} PRIVATE OpenMP::OpenMP_CXX)
  endif()
  if(LANEFUSE_SANITIZE)
    target_link_options(${_target} PRIVATE -fsanitize=${LANEFUSE_SANITIZE})
  endif()
  target_compile_features(${_target} PUBLIC cxx_std_20)
  target_include_directories(${_target} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${_target} PROPERTIES OUTPUT_NAME lanefuse EXPORT_NAME ${kind})
endfunction()

function(lanefuse_add_kinds)
  if(LANEFUSE_HIGHWAY_ORIGIN STREQUAL "fetched")
    list(APPEND LANEFUSE_PREFIX_MAP "-ffile-prefix-map=${hwy_SOURCE_DIR}=highway")
    set(LANEFUSE_PREFIX_MAP ${LANEFUSE_PREFIX_MAP} PARENT_SCOPE)
    target_compile_options(hwy PRIVATE ${LANEFUSE_PREFIX_MAP})
    target_compile_options(lanefuse_objects PRIVATE ${LANEFUSE_PREFIX_MAP})
  endif()
  lanefuse_add_kind(static STATIC)
  if(NOT "static" IN_LIST LANEFUSE_KINDS)
    set_target_properties(lanefuse_static PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  if("shared" IN_LIST LANEFUSE_KINDS)
    lanefuse_add_kind(shared SHARED)
    set_target_properties(lanefuse_shared PROPERTIES VERSION ${PROJECT_VERSION}
                          SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    # Hidden visibility does not reach templates of std:: and what a static Highway brings along.
    include(CheckLinkerFlag)
    check_linker_flag(CXX "-Wl,--version-script=${LANEFUSE_EXPORTS}" LANEFUSE_HAS_VERSION_SCRIPT)
    if(LANEFUSE_HAS_VERSION_SCRIPT)
      target_link_options(lanefuse_shared PRIVATE "-Wl,--version-script=${LANEFUSE_EXPORTS}")
      set_target_properties(lanefuse_shared PROPERTIES LINK_DEPENDS "${LANEFUSE_EXPORTS}")
    endif()
    # The names of what is not exported are 110 KB. A profiler finds them in RelWithDebInfo, and in
    # the static library.
    check_linker_flag(CXX "-Wl,--strip-all" LANEFUSE_HAS_STRIP_ALL)
    if(LANEFUSE_HAS_STRIP_ALL)
      target_link_options(lanefuse_shared PRIVATE $<$<CONFIG:Release>:-Wl,--strip-all>)
    endif()
  endif()
  if("shared" IN_LIST LANEFUSE_KINDS AND
     (BUILD_SHARED_LIBS OR NOT "static" IN_LIST LANEFUSE_KINDS))
    set(_default lanefuse_shared)
  else()
    set(_default lanefuse_static)
  endif()
  add_library(lanefuse::lanefuse ALIAS ${_default})
  add_library(lanefuse ALIAS ${_default})
endfunction()
