// A layer of two outputs: packs its weights, runs it, compares with what pencil and paper give.
#include <cstddef>
#include <cstdio>
#include <vector>

#include "lanefuse/lanefuse.h"

int main() {
  using namespace lanefuse;
  const float w[] = {1.0f, 2.0f, 3.0f, -1.0f, -2.0f, -3.0f}, bias[] = {0.5f, 0.5f};
  const float x[] = {1.0f, 1.0f, 2.0f};
  float y[] = {-1.0f, -1.0f};
  std::vector<std::byte> bytes(PackedLinear::Bytes(2, 3));
  PackedLinear packed;
  Status status = PackedLinear::Pack(MatView<const float>(w, 2, 3), bias, nullptr, bytes, packed);
  if (status.ok()) {
    status = Linear(MatView<const float>(x, 1, 3), packed, Epilogue().Act(Relu()),
                    MatView<float>(y, 1, 2));
  }
  std::printf("cmake consumer: %s, y = %g %g, want 9.5 0\n", status.message().c_str(),
              static_cast<double>(y[0]), static_cast<double>(y[1]));
  return status.ok() && y[0] == 9.5f && y[1] == 0.0f ? 0 : 1;
}
