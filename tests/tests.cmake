# What ctest runs beside the sources that CMakeLists.txt collects.
gtest_discover_tests(lanefuse_tests DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME layout COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/tests/check_layout.py"
           "${CMAKE_CURRENT_SOURCE_DIR}")
endif()

add_executable(lanefuse_exhaustive EXCLUDE_FROM_ALL tests/exhaustive.cc)
