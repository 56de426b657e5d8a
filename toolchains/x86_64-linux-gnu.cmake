# 64-bit x86 machines with Linux: the reference that boards are compared with.
set(LANEFUSE_TRIPLE x86_64-linux-gnu)
set(LANEFUSE_PROCESSOR x86_64)
set(LANEFUSE_QEMU x86_64)
include("${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake")
