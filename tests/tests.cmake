# What ctest runs, beside the sources that CMakeLists.txt collects.
# The C interface is called from C99, and its header alone is C++ too; neither may draw a warning.
if(LANEFUSE_HAS_ALL_FAMILIES)
  enable_language(C)
  file(GLOB _c_sources CONFIGURE_DEPENDS tests/c/*.c tests/c/*.cc)
  target_sources(lanefuse_tests PRIVATE ${_c_sources})
  add_executable(lanefuse_c_example examples/c/linear.c)
  target_link_libraries(lanefuse_c_example PRIVATE lanefuse_static lanefuse_flags)
  set_target_properties(lanefuse_tests lanefuse_c_example PROPERTIES
                        C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  add_test(NAME c_example COMMAND lanefuse_c_example)
  target_compile_definitions(lanefuse_tests PRIVATE LANEFUSE_TEST_C_INTERFACE=1)
endif()

# Reading what GoogleTest includes is a quarter of the time to compile a test. Off by default: a
# test that forgets an include must not pass everywhere, and compiler caches do not like it.
option(LANEFUSE_TEST_PCH "Compile the headers of GoogleTest once for all tests" OFF)
if(LANEFUSE_TEST_PCH)
  set(_common gtest/gtest.h algorithm array bit cmath functional limits random span string thread
              vector)
  list(TRANSFORM _common REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>")
  target_precompile_headers(lanefuse_tests PRIVATE ${_common})
endif()

set(LANEFUSE_TEST_FILTER "" CACHE STRING "GoogleTest filter of the tests that ctest runs")
gtest_discover_tests(lanefuse_tests DISCOVERY_TIMEOUT 120 TEST_FILTER "${LANEFUSE_TEST_FILTER}"
                     PROPERTIES TIMEOUT 900)

# Each public header compiles alone, and twice, without a warning.
# lanefuse_test_headers(LANGUAGE EXTENSION STANDARD HEADER...)
function(lanefuse_test_headers language extension standard)
  set(_option ${CMAKE_${language}${standard}_STANDARD_COMPILE_OPTION})
  if(NOT _option)
    message(STATUS "Lanefuse: no ${language}${standard} here, its test of the headers is left out")
    return()
  endif()
  set(_folder "${CMAKE_CURRENT_BINARY_DIR}/headers_${language}${standard}")
  set(_sources "")
  foreach(_header IN LISTS ARGN)
    list(APPEND _sources "${_folder}/${_header}.${extension}")
    file(CONFIGURE OUTPUT "${_folder}/${_header}.${extension}"
         CONTENT "#include <lanefuse/${_header}>\n#include <lanefuse/${_header}>
extern int not_empty;  // as C wants it; some headers are macros alone\n")
  endforeach()
  # What CMake itself would add for a target.
  separate_arguments(_flags UNIX_COMMAND "${CMAKE_${language}_FLAGS}")
  if(CMAKE_${language}_COMPILER_TARGET AND CMAKE_${language}_COMPILE_OPTIONS_TARGET)
    list(APPEND _flags
         ${CMAKE_${language}_COMPILE_OPTIONS_TARGET}${CMAKE_${language}_COMPILER_TARGET})
  endif()
  add_test(NAME headers_${language}${standard}
           COMMAND "${CMAKE_${language}_COMPILER}" ${_flags} ${_option} ${LANEFUSE_WARNINGS}
                   -Wsign-conversion -Werror -fsyntax-only
                   "-I${CMAKE_CURRENT_SOURCE_DIR}/include" ${_sources})
endfunction()
file(GLOB _headers CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/include/lanefuse"
     include/lanefuse/*.h)
lanefuse_test_headers(CXX cc 20 ${_headers})
lanefuse_test_headers(CXX cc 23 ${_headers})
if(CMAKE_C_COMPILER)
  lanefuse_test_headers(C c 99 c.h c_types.h export.h version.h activation_list.h)
endif()

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  # Not as a target: an emulator would be put in front of it.
  set(_layout "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/tests/check_layout.py")
  add_test(NAME layout COMMAND ${_layout} "${CMAKE_CURRENT_SOURCE_DIR}")
  add_test(NAME layout_self_test COMMAND ${_layout} --self-test)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT LANEFUSE_SANITIZE)
    # The budget of the whole library, with all kernels on all instruction sets of a platform.
    add_test(NAME sizes COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/tests/sizes.py"
             --nm "${CMAKE_NM}" --limit 2000000 $<TARGET_FILE:lanefuse_static>)
  endif()
endif()

# Every float through every elementary function: minutes to an hour, so it is run by hand.
add_executable(lanefuse_exhaustive EXCLUDE_FROM_ALL tests/exhaustive.cc tests/common/math_check.cc)
target_link_libraries(lanefuse_exhaustive PRIVATE
  lanefuse_static lanefuse_flags ${LANEFUSE_HIGHWAY_TARGET} Threads::Threads)

# One digest for each kernel, for machines that are compared with each other (tests/same_bits).
if(LANEFUSE_HAS_ALL_FAMILIES)
  file(GLOB _support CONFIGURE_DEPENDS tests/support/*.cc)
  list(FILTER _support EXCLUDE REGEX "(main|_test)\\.cc$")
  add_executable(lanefuse_same_bits tests/same_bits.cc ${_support})
  target_link_libraries(lanefuse_same_bits PRIVATE
    lanefuse_static lanefuse_flags ${LANEFUSE_HIGHWAY_TARGET} GTest::gtest Threads::Threads
    ${CMAKE_DL_LIBS})
  add_test(NAME same_bits COMMAND lanefuse_same_bits
           --golden "${CMAKE_CURRENT_SOURCE_DIR}/tests/golden/digests.txt")
  # Its calls are those of the tests of fuzz_shapes_test.cc, which look for errors of memory.
  set_tests_properties(same_bits PROPERTIES LABELS no_sanitizer)
endif()
