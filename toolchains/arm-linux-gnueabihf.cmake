# 32-bit Arm boards with Linux, Armv7-A with NEON and fused multiply-add (VFPv4): Cortex-A7, A15,
# A17 and later. Debian's floor (VFPv3, no NEON) has no vectors, and Highway wants VFPv4 with NEON.
set(LANEFUSE_TRIPLE arm-linux-gnueabihf)
set(LANEFUSE_PROCESSOR armv7l)
set(LANEFUSE_QEMU arm)
include("${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake")
set(CMAKE_CXX_FLAGS_INIT "-mfpu=neon-vfpv4")
