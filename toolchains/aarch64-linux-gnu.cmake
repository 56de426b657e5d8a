# 64-bit Arm boards with Linux: Raspberry Pi 3 to 5, RK3588, Jetson, Graviton.
set(LANEFUSE_TRIPLE aarch64-linux-gnu)
set(LANEFUSE_PROCESSOR aarch64)
set(LANEFUSE_QEMU aarch64)
include("${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake")
