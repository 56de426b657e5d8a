# Finds Highway >= 1.2, in this order: an installed CMake package, pkg-config, and last a pinned
# release that is fetched and checked by its hash.
#
# Result: LANEFUSE_HIGHWAY_TARGET    what to link, always hwy::hwy
#         LANEFUSE_HIGHWAY_INCLUDES  its include directories, for checks at configure time (a
#                                    fetched library is not built yet: such checks only compile)
#         LANEFUSE_HIGHWAY_ORIGIN    package, pkg-config or fetched
#
# What an installed lanefuse needs: as a static library it carries $<LINK_ONLY:hwy::hwy>, so
# lanefuse-config.cmake must define that target before it includes lanefuse's targets. It does so
# with this very file, installed next to it, and with fetching off:
#
#     set(LANEFUSE_FETCH_HIGHWAY OFF)
#     include("${CMAKE_CURRENT_LIST_DIR}/highway.cmake")
#
# (find_dependency(hwy 1.2) would do where Highway has its CMake package, and fail where it has only
# a .pc file.) A fetched Highway is installed together with lanefuse, with its own CMake package.
# Set CMAKE_BUILD_TYPE before: where it is empty, Highway takes a build type of its own, and the
# package that it installs then lacks the library.
if(NOT DEFINED LANEFUSE_FETCH_HIGHWAY)
  set(LANEFUSE_FETCH_HIGHWAY AUTO CACHE STRING
      "Fetch the pinned Highway: AUTO where none >= 1.2 is installed, ON always, OFF never")
  set_property(CACHE LANEFUSE_FETCH_HIGHWAY PROPERTY STRINGS AUTO ON OFF)
endif()

# The oldest release with every operation that the kernels use, and the one that is fetched. The
# hash is that of the tag's archive and of Debian's highway_1.2.0.orig.tar.gz, byte for byte.
set(_hwy_oldest 1.2)
set(_hwy_url "https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz")
set(_hwy_sha256 7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343)

set(LANEFUSE_HIGHWAY_TARGET hwy::hwy)
set(LANEFUSE_HIGHWAY_ORIGIN "")
if(NOT LANEFUSE_FETCH_HIGHWAY STREQUAL "ON")
  find_package(hwy ${_hwy_oldest} CONFIG QUIET)
  if(TARGET hwy::hwy)
    set(LANEFUSE_HIGHWAY_ORIGIN package)
    set(_hwy_version "${hwy_VERSION}")
  else()
    find_package(PkgConfig QUIET)
    if(PKG_CONFIG_FOUND)
      pkg_check_modules(LANEFUSE_HWY QUIET IMPORTED_TARGET GLOBAL libhwy>=${_hwy_oldest})
    endif()
    if(LANEFUSE_HWY_FOUND)
      add_library(hwy::hwy INTERFACE IMPORTED GLOBAL)
      target_link_libraries(hwy::hwy INTERFACE PkgConfig::LANEFUSE_HWY)
      set(LANEFUSE_HIGHWAY_ORIGIN pkg-config)
      set(_hwy_version "${LANEFUSE_HWY_VERSION}")
    endif()
  endif()
endif()

if(NOT LANEFUSE_HIGHWAY_ORIGIN)
  if(LANEFUSE_FETCH_HIGHWAY STREQUAL "OFF")
    message(FATAL_ERROR "Lanefuse needs Highway >= ${_hwy_oldest} (Debian: libhwy-dev), and no "
                        "CMake package hwy or pkg-config module libhwy of that version exists")
  endif()
  # Defaults that a cache entry of the user still overrides; the rest of Highway is not needed.
  foreach(_part CONTRIB EXAMPLES TESTS)
    set(HWY_ENABLE_${_part} OFF CACHE BOOL "Highway: not needed by Lanefuse")
  endforeach()
  include(FetchContent)
  FetchContent_Declare(hwy URL "${_hwy_url}" URL_HASH SHA256=${_hwy_sha256}
                       DOWNLOAD_EXTRACT_TIMESTAMP ON)
  FetchContent_MakeAvailable(hwy)
  # Highway builds these even with its tests off.
  foreach(_extra hwy_test hwy_list_targets)
    if(TARGET ${_extra})
      set_target_properties(${_extra} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
  endforeach()
  # Our warnings are not for its headers. With SYSTEM above, CMake 3.25 fails to fetch.
  set_target_properties(hwy PROPERTIES SYSTEM ON)
  if(NOT TARGET hwy::hwy)
    add_library(hwy::hwy ALIAS hwy)
  endif()
  set(LANEFUSE_HIGHWAY_ORIGIN fetched)
  set(_hwy_version "${hwy_VERSION}")
  if(NOT _hwy_version)
    set(_hwy_version 1.2.0)
  endif()
endif()

if(LANEFUSE_HIGHWAY_ORIGIN STREQUAL "fetched")
  set(LANEFUSE_HIGHWAY_INCLUDES "${hwy_SOURCE_DIR}")
elseif(LANEFUSE_HIGHWAY_ORIGIN STREQUAL "pkg-config")
  set(LANEFUSE_HIGHWAY_INCLUDES "${LANEFUSE_HWY_INCLUDE_DIRS}")
else()
  get_target_property(LANEFUSE_HIGHWAY_INCLUDES hwy::hwy INTERFACE_INCLUDE_DIRECTORIES)
endif()
message(STATUS "Lanefuse: Highway ${_hwy_version} (${LANEFUSE_HIGHWAY_ORIGIN})")
