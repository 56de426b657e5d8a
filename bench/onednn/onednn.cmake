# What compares with oneDNN: lanefuse_use_onednn(TARGET) gives TARGET the adapter in this folder
# and, where oneDNN is, the library. Not by find_package(dnnl): the file that Debian 12 has for it
# asks for OpenCL's development files, which its package neither brings nor needs on a CPU.
find_path(LANEFUSE_ONEDNN_INCLUDE dnnl.hpp)
find_library(LANEFUSE_ONEDNN_LIBRARY dnnl)
mark_as_advanced(LANEFUSE_ONEDNN_INCLUDE LANEFUSE_ONEDNN_LIBRARY)
find_package(OpenMP QUIET COMPONENTS CXX)

function(lanefuse_use_onednn target)
  get_filename_component(root ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../.. ABSOLUTE)
  file(GLOB adapter CONFIGURE_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/*.cc)
  target_sources(${target} PRIVATE ${adapter})
  target_include_directories(${target} PRIVATE ${root})
  if(TARGET OpenMP::OpenMP_CXX)  # to set the number of its threads
    target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
  endif()
  if(LANEFUSE_ONEDNN_INCLUDE AND LANEFUSE_ONEDNN_LIBRARY)
    target_include_directories(${target} SYSTEM PRIVATE ${LANEFUSE_ONEDNN_INCLUDE})
    target_link_libraries(${target} PRIVATE ${LANEFUSE_ONEDNN_LIBRARY})
    target_compile_definitions(${target} PRIVATE LANEFUSE_HAVE_ONEDNN=1)
  else()
    message(STATUS "${target}: without oneDNN (Debian: libdnnl-dev)")
  endif()
endfunction()
