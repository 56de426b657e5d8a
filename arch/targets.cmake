# The one list of instruction sets per platform, with the reason for each. Names are the field's;
# arch/target.cc maps them to Highway's bits. Every translation unit of the library is compiled
# with the same list (a difference would make dispatch fall back silently).
#
#   x86-64   BASELINE      no FMA: the same bits through std::fma, slowly. Keeps old machines safe.
#                          It is SSE2, not Highway's EMU128, which gcc before 14 miscompiles.
#            SSE4          Atom-class machines: full speed, multiply and add rounded separately.
#            AVX2          with FMA: every laptop since 2013.
#            AVX512        Skylake-X and later: F, BW, CD, DQ, VL.
#            AVX512_VNNI   the same code on Ice Lake and later (VNNI, VBMI2, VAES, BITALG: Highway's
#                          AVX3_DL), for kernels of bytes: part of AVX512, see arch/target.cc.
#   aarch64  NEON          every 64-bit Arm (no kernel has a use for the AES instructions).
#            NEON_DOTPROD  the same code on CPUs with the dot product (A55, A76 and later), for
#                          kernels of bytes: part of NEON, see arch/target.cc.
#            SVE           any vector length, up to 512 bits of it used. SVE2 is part of it in the
#                          same way. Highway's variants for exactly 128 and 256 bits are left out:
#                          three more copies of every kernel.
set(LANEFUSE_TARGETS "all" CACHE STRING
    "Instruction sets to build, names as above, separated by ';', or 'all'")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(_known BASELINE SSE4 AVX2 AVX512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(_known NEON SVE)
else()
  set(_known "")  # One target, chosen by Highway from the compiler's flags.
endif()

set(_bits_BASELINE "HWY_SSE2")
set(_bits_SSE4 "HWY_SSE4")
set(_bits_AVX2 "HWY_AVX2")
set(_bits_AVX512 "HWY_AVX3")
set(_bits_NEON "HWY_NEON_WITHOUT_AES")
set(_bits_SVE "HWY_SVE")

# How the library's code is compiled for a platform. On aarch64 GCC orders instructions before it
# hands out registers, and by default so that sums of a full tile end up in memory: the plainer of
# its two measures of pressure keeps them where they belong.
set(LANEFUSE_TARGET_OPTIONS "")
if(_known MATCHES NEON)
  set(LANEFUSE_TARGET_OPTIONS
    "$<$<CXX_COMPILER_ID:GNU>:-fsched-pressure;--param=sched-pressure-algorithm=1>")
endif()

set(LANEFUSE_TARGET_DEFINITIONS "")
set(LANEFUSE_TARGET_LIST "")
if(_known)
  if(LANEFUSE_TARGETS STREQUAL "all")
    set(LANEFUSE_TARGET_LIST ${_known})
  else()
    foreach(_name IN LISTS LANEFUSE_TARGETS)
      if(NOT _name IN_LIST _known)
        list(JOIN _known ", " _valid)
        message(FATAL_ERROR "LANEFUSE_TARGETS: '${_name}' is not one of ${_valid}")
      endif()
      list(APPEND LANEFUSE_TARGET_LIST ${_name})
    endforeach()
    # The lowest target of a platform is what an unknown CPU runs, so it is never left out.
    list(GET _known 0 _lowest)
    if(NOT _lowest IN_LIST LANEFUSE_TARGET_LIST)
      list(PREPEND LANEFUSE_TARGET_LIST ${_lowest})
    endif()
  endif()
  set(_mask "")
  foreach(_name IN LISTS LANEFUSE_TARGET_LIST)
    list(APPEND _mask "${_bits_${_name}}")
  endforeach()
  list(JOIN _mask "|" _mask)
  # Disabling all but the wanted bits survives a Highway that knows more targets than we do.
  list(APPEND LANEFUSE_TARGET_DEFINITIONS "HWY_DISABLED_TARGETS=(~(${_mask}))"
       HWY_COMPILE_ALL_ATTAINABLE "LANEFUSE_EXPECTED_TARGETS=(${_mask})")
endif()

# Fails the configure step when the compiler or Highway dropped a target that was asked for. It
# compiles only: a fetched Highway is not built yet.
function(lanefuse_check_targets)
  if(NOT LANEFUSE_TARGET_LIST)
    return()
  endif()
  set(_source "${CMAKE_CURRENT_BINARY_DIR}/lanefuse_check_targets.cc")
  file(WRITE "${_source}" "#include <hwy/highway.h>
#if (HWY_TARGETS & LANEFUSE_EXPECTED_TARGETS) != LANEFUSE_EXPECTED_TARGETS
#error a target that was asked for is not built
#endif
")
  list(TRANSFORM LANEFUSE_TARGET_DEFINITIONS PREPEND "-D" OUTPUT_VARIABLE _flags)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  try_compile(_built "${CMAKE_CURRENT_BINARY_DIR}/lanefuse_check_targets" "${_source}"
              CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${LANEFUSE_HIGHWAY_INCLUDES}"
              COMPILE_DEFINITIONS ${_flags}
              CXX_STANDARD 20 OUTPUT_VARIABLE _output)
  list(JOIN LANEFUSE_TARGET_LIST ", " _names)
  if(NOT _built)
    message(FATAL_ERROR "The compiler or Highway drops one of the targets ${_names}:\n${_output}\n"
                        "Choose fewer with -DLANEFUSE_TARGETS=..., or use a newer compiler.")
  endif()
  message(STATUS "Lanefuse targets: ${_names}")
endfunction()
