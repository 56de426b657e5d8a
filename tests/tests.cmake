# What ctest runs, beside the sources that CMakeLists.txt collects.
# The C interface is called from C99, and its header alone is C++ too; neither may draw a warning.
if(LANEFUSE_HAS_ALL_FAMILIES)
  enable_language(C)
  file(GLOB _c_sources CONFIGURE_DEPENDS tests/c/*.c tests/c/*.cc)
  target_sources(lanefuse_tests PRIVATE ${_c_sources})
  set_source_files_properties(tests/c/calls.c tests/c/header.cc PROPERTIES
                              COMPILE_OPTIONS "-Wconversion;-Wshadow")
  add_executable(lanefuse_c_example examples/c/linear.c)
  target_link_libraries(lanefuse_c_example PRIVATE lanefuse_static lanefuse_flags)
  set_target_properties(lanefuse_tests lanefuse_c_example PROPERTIES
                        C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  add_test(NAME c_example COMMAND lanefuse_c_example)
  target_compile_definitions(lanefuse_tests PRIVATE LANEFUSE_TEST_C_INTERFACE=1)
endif()

set(LANEFUSE_TEST_FILTER "" CACHE STRING "GoogleTest filter of the tests that ctest runs")
gtest_discover_tests(lanefuse_tests DISCOVERY_TIMEOUT 120 TEST_FILTER "${LANEFUSE_TEST_FILTER}"
                     PROPERTIES TIMEOUT 900)

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  # Not as a target: an emulator would be put in front of it.
  set(_layout "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/tests/check_layout.py")
  add_test(NAME layout COMMAND ${_layout} "${CMAKE_CURRENT_SOURCE_DIR}")
  add_test(NAME layout_self_test COMMAND ${_layout} --self-test)
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
endif()
