# 64-bit RISC-V boards whose CPU has the vector extension 1.0 (RVA22 + V and RVA23: SpacemiT K1 and
# later), by clang 19 with the C and C++ libraries of Debian's gcc cross compiler. What it builds
# needs the extension: Highway's RVV is not chosen at run time.
set(LANEFUSE_TRIPLE riscv64-linux-gnu)
set(LANEFUSE_PROCESSOR riscv64)
set(LANEFUSE_QEMU riscv64)
set(LANEFUSE_CROSS_CLANG 1)
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_C_COMPILER_TARGET riscv64-linux-gnu)
set(CMAKE_CXX_COMPILER_TARGET riscv64-linux-gnu)
set(CMAKE_C_FLAGS_INIT "-march=rv64gcv")
set(CMAKE_CXX_FLAGS_INIT "-march=rv64gcv")
set(LANEFUSE_OPENMP OFF CACHE BOOL "Debian has no OpenMP library of clang for this platform")
include("${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake")
if("$ENV{QEMU_CPU}" STREQUAL "")
  list(APPEND CMAKE_CROSSCOMPILING_EMULATOR -cpu rv64,v=true,vlen=128,vext_spec=v1.0)
endif()
