# What ctest runs, beside the sources that CMakeLists.txt collects.
if(LANEFUSE_OPENMP)
  gtest_discover_tests(lanefuse_tests DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT 900)
else()
  # The build without OpenMP differs in who runs the parts of a call, and in nothing else.
  gtest_discover_tests(lanefuse_tests DISCOVERY_TIMEOUT 120
                       TEST_FILTER "*Thread*:*Pool*:*Split*:Dot.*:*AllocatesNothing*"
                       PROPERTIES TIMEOUT 900 LABELS serial)
endif()

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  set(_layout Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/tests/check_layout.py")
  add_test(NAME layout COMMAND ${_layout} "${CMAKE_CURRENT_SOURCE_DIR}")
  add_test(NAME layout_self_test COMMAND ${_layout} --self-test)
endif()

# Every float through every elementary function: minutes to an hour, so it is run by hand.
add_executable(lanefuse_exhaustive EXCLUDE_FROM_ALL tests/exhaustive.cc tests/common/math_check.cc)
target_link_libraries(lanefuse_exhaustive PRIVATE
  lanefuse_static lanefuse_flags ${LANEFUSE_HIGHWAY_TARGET} Threads::Threads)
