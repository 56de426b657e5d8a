# Debian's name of the architecture that is built for: the table that Debian's own tools have for
# the machine they run on, here for cross builds too.
set(LANEFUSE_DEBIAN_ARCHITECTURE "")
foreach(_row "amd64=x86_64|AMD64|amd64" "arm64=aarch64|arm64|ARM64" "armhf=armv[78].*|arm"
        "i386=i[3-6]86|x86" "riscv64=riscv64" "ppc64el=ppc64le" "s390x=s390x"
        "loong64=loongarch64")
  string(REGEX MATCH "^([^=]+)=(.*)$" _match "${_row}")
  set(_name "${CMAKE_MATCH_1}")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(${CMAKE_MATCH_2})$")
    set(LANEFUSE_DEBIAN_ARCHITECTURE "${_name}")
  endif()
endforeach()
# A 32-bit build on a 64-bit kernel.
if(LANEFUSE_DEBIAN_ARCHITECTURE STREQUAL "amd64" AND CMAKE_SIZEOF_VOID_P EQUAL 4)
  set(LANEFUSE_DEBIAN_ARCHITECTURE i386)
elseif(LANEFUSE_DEBIAN_ARCHITECTURE STREQUAL "arm64" AND CMAKE_SIZEOF_VOID_P EQUAL 4)
  set(LANEFUSE_DEBIAN_ARCHITECTURE armhf)
endif()
