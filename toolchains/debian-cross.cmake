# What the toolchain files of Debian's cross compilers share. The floor of the ABI only: which
# instructions a CPU has beyond it is found out at run time, so there is no -mcpu here.
#
#   LANEFUSE_TRIPLE      GNU's name of the platform, such as aarch64-linux-gnu
#   LANEFUSE_PROCESSOR   CMake's name of the processor
#   LANEFUSE_QEMU        the emulator's suffix: qemu-<suffix>-static
#
# LANEFUSE_CROSS_PREFIX, a variable of CMake or of the environment, is a list of folders with
# libraries for the platform beside those of the compiler (toolchains/build makes them).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${LANEFUSE_PROCESSOR})
set(CMAKE_LIBRARY_ARCHITECTURE ${LANEFUSE_TRIPLE})
if(NOT LANEFUSE_CROSS_CLANG)
  set(CMAKE_C_COMPILER ${LANEFUSE_TRIPLE}-gcc)
  set(CMAKE_CXX_COMPILER ${LANEFUSE_TRIPLE}-g++)
endif()

if(NOT LANEFUSE_CROSS_PREFIX)
  set(LANEFUSE_CROSS_PREFIX "$ENV{LANEFUSE_CROSS_PREFIX}")
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LANEFUSE_CROSS_PREFIX)
set(CMAKE_FIND_ROOT_PATH ${LANEFUSE_CROSS_PREFIX} /usr/${LANEFUSE_TRIPLE})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# pkg-config must not answer for this machine.
list(TRANSFORM LANEFUSE_CROSS_PREFIX APPEND /lib/pkgconfig OUTPUT_VARIABLE _folders)
list(JOIN _folders ":" _folders)
set(ENV{PKG_CONFIG_LIBDIR} "${_folders}")

# Where the programs of the platform do not run by themselves, CMake and ctest start them with it.
if(NOT CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL LANEFUSE_PROCESSOR)
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-${LANEFUSE_QEMU}-static;-L;/usr/${LANEFUSE_TRIPLE})
endif()
