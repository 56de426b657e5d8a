#include "src/common/taps.h"

namespace lanefuse {

alignas(64) const float kZeros[kZeroRun] = {};

}  // namespace lanefuse
