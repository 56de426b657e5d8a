// The version of these headers; CMakeLists.txt reads it from here. C and C++.
#ifndef LANEFUSE_VERSION_H_
#define LANEFUSE_VERSION_H_

#include "lanefuse/export.h"

#define LANEFUSE_VERSION_MAJOR 0
#define LANEFUSE_VERSION_MINOR 1
#define LANEFUSE_VERSION_PATCH 0

// Headers of one minor version and a library of another do not link: the library defines a symbol
// that carries its version, and each object that includes lanefuse's headers holds the address of
// theirs (a pointer, 8 bytes). `retain` keeps it where the linker drops unused sections.
#define LANEFUSE_ABI_JOINED(major, minor) lanefuse_abi_##major##_##minor
#define LANEFUSE_ABI_OF(major, minor) LANEFUSE_ABI_JOINED(major, minor)
#define LANEFUSE_ABI LANEFUSE_ABI_OF(LANEFUSE_VERSION_MAJOR, LANEFUSE_VERSION_MINOR)

#ifdef __cplusplus
extern "C" {
#endif
LANEFUSE_API extern const char LANEFUSE_ABI;
#ifdef __cplusplus
}
#endif

#if defined(__GNUC__)
#if defined(__has_attribute) && defined(__ELF__)
#if __has_attribute(retain)
#define LANEFUSE_RETAINED __attribute__((used, retain))
#endif
#endif
#ifndef LANEFUSE_RETAINED
#define LANEFUSE_RETAINED __attribute__((used))
#endif
static const char* const lanefuse_abi_of_headers LANEFUSE_RETAINED = &LANEFUSE_ABI;
#undef LANEFUSE_RETAINED
#endif

#endif  // LANEFUSE_VERSION_H_
