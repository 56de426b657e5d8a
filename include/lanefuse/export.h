// LANEFUSE_API marks what the shared library exports; everything else in it is hidden. C and C++.
#ifndef LANEFUSE_EXPORT_H_
#define LANEFUSE_EXPORT_H_

#if defined(__GNUC__)
#define LANEFUSE_API __attribute__((visibility("default")))
#else
#define LANEFUSE_API
#endif

#endif  // LANEFUSE_EXPORT_H_
