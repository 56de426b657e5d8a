// Calls Dot and nothing else, so that a static link has no reason to take other kernels.
#include <cstdio>

#include "lanefuse/dot.h"

int main() {
  const float a[] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f}, b[] = {5.0f, 4.0f, 3.0f, 2.0f, 1.0f};
  float out = -1.0f;
  const lanefuse::Status status = lanefuse::Dot(a, b, lanefuse::Identity(), out);
  std::printf("make consumer: %s, out = %g, want 35\n", status.message().c_str(),
              static_cast<double>(out));
  return status.ok() && out == 35.0f ? 0 : 1;
}
