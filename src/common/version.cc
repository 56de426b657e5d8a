#include "lanefuse/version.h"

const char LANEFUSE_ABI = LANEFUSE_VERSION_PATCH;
