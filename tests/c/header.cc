// The C header is C++ as well, needs no other header before it, and draws no warning.
#include "lanefuse/c.h"

static_assert(LANEFUSE_OK == 0 && sizeof(lanefuse_status) == 32);
