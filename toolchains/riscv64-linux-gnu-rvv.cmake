# 64-bit RISC-V boards whose CPU has the vector extension 1.0 (RVA22 + V and RVA23: SpacemiT K1 and
# later). What it builds needs the extension.
set(LANEFUSE_RISCV_MARCH rv64gcv)
include("${CMAKE_CURRENT_LIST_DIR}/riscv64-linux-gnu.cmake")
if("$ENV{QEMU_CPU}" STREQUAL "")
  list(APPEND CMAKE_CROSSCOMPILING_EMULATOR -cpu rv64,v=true,vlen=128,vext_spec=v1.0)
endif()
