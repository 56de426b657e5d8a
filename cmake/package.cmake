# cpack -G "DEB;TGZ". For a .deb, configure with -DCMAKE_INSTALL_PREFIX=/usr: the folders of the
# libraries are decided there (lib/<architecture> on Debian).
include(arch/debian.cmake)

set(CPACK_PACKAGE_NAME lanefuse)
set(CPACK_PACKAGE_VENDOR "Lanefuse")
set(CPACK_PACKAGE_CONTACT "The Lanefuse project" CACHE STRING "Maintainer of the packages")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION
    "Layers of neural networks as one call each: linear, convolution, softmax and dot\n\
product, with bias, batchnorm, residual and activation behind them in one pass.\n\
The instruction set is chosen at run time, and every one gives the same bits.")
set(CPACK_RESOURCE_FILE_LICENSE "${CMAKE_CURRENT_SOURCE_DIR}/LICENSE")
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR "DEB;TGZ")
set(CPACK_PACKAGE_FILE_NAME
    "lanefuse-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)

# The .deb packages.
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE "${LANEFUSE_DEBIAN_ARCHITECTURE}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENTS_ALL lanefuse_dev)
set(CPACK_DEBIAN_LANEFUSE_DEV_PACKAGE_NAME liblanefuse-dev)
set(CPACK_DEBIAN_LANEFUSE_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_LANEFUSE_DEV_DESCRIPTION
    "${CPACK_PACKAGE_DESCRIPTION}\n.\nHeaders, libraries and the program lanefuse-info.")
set(_dev_depends "")
if("shared" IN_LIST LANEFUSE_KINDS)
  list(APPEND CPACK_COMPONENTS_ALL lanefuse_runtime)
  set(CPACK_DEBIAN_LANEFUSE_RUNTIME_PACKAGE_NAME liblanefuse${_abi})
  set(CPACK_DEBIAN_LANEFUSE_RUNTIME_PACKAGE_SECTION libs)
  set(CPACK_COMPONENT_LANEFUSE_RUNTIME_DESCRIPTION
      "${CPACK_PACKAGE_DESCRIPTION}\n.\nThe shared library.")
  list(APPEND _dev_depends "liblanefuse${_abi} (= ${PROJECT_VERSION})")
endif()
if("static" IN_LIST LANEFUSE_KINDS)
  if(LANEFUSE_HIGHWAY_ORIGIN STREQUAL "fetched")
    # The package has its own.
    set(CPACK_DEBIAN_LANEFUSE_DEV_PACKAGE_CONFLICTS libhwy-dev)
  else()
    list(APPEND _dev_depends "libhwy-dev (>= 1.2)")
  endif()
endif()

# What the binaries need is found by dpkg-shlibdeps; in a cross build it has no packages to look at,
# so the names that the compiler's libraries have in Debian are stated.
find_program(LANEFUSE_SHLIBDEPS dpkg-shlibdeps)
mark_as_advanced(LANEFUSE_SHLIBDEPS)
if(LANEFUSE_SHLIBDEPS AND NOT CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  set(_runtime_depends libc6 libstdc++6 libgcc-s1)
  if(LANEFUSE_OPENMP)
    list(APPEND _runtime_depends libgomp1)
  endif()
  if(NOT LANEFUSE_HIGHWAY_ORIGIN STREQUAL "fetched")
    list(APPEND _runtime_depends "libhwy1t64 (>= 1.2) | libhwy1 (>= 1.2)")
  endif()
  list(APPEND _dev_depends ${_runtime_depends})
  list(JOIN _runtime_depends ", " CPACK_DEBIAN_LANEFUSE_RUNTIME_PACKAGE_DEPENDS)
endif()
list(JOIN _dev_depends ", " CPACK_DEBIAN_LANEFUSE_DEV_PACKAGE_DEPENDS)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
include(CPack)
