# 64-bit RISC-V boards with Linux, the base set RV64GC: Highway's RVV cannot be chosen at run time
# with this compiler, so there are no vectors. See riscv64-linux-gnu-rvv.cmake.
set(LANEFUSE_TRIPLE riscv64-linux-gnu)
set(LANEFUSE_PROCESSOR riscv64)
set(LANEFUSE_QEMU riscv64)
include("${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake")
