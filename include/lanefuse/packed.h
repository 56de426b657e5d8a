// What all packed weights share. The bytes are the same for every instruction set:
//
//   128 bytes   header: magic, version, kind, type, sizes, payload length, checksum
//   panels      of 16 outputs: one line of 64 bytes (16 floats) for each k, zero-padded to 16
//
//               output   0    1    2  ...  15
//       k = 0         [ w00  w10  w20 ... wF0 ]  64 bytes: one AVX-512 register, two of AVX2,
//       k = 1         [ w01  w11  w21 ... wF1 ]  four of NEON
//       ...
//   bias        (if any) one float for each output, zero-padded to 16
//
// All numbers are little-endian. Store the bytes in a file as they are and map it; an address that
// is a multiple of 64 is fastest.
#ifndef LANEFUSE_PACKED_H_
#define LANEFUSE_PACKED_H_

#include <span>

namespace lanefuse {

// Inference-mode batch normalisation of channel c:
//   y = (x - mean[c]) * scale[c] + beta[c],  scale[c] = gamma[c] / sqrt(variance[c] + epsilon)
// Packing folds it: w' = w * scale, bias' = (bias - mean) * scale + beta, computed in double and
// rounded once. gamma and beta may be empty (1 and 0).
struct BatchNorm {
  std::span<const float> gamma{};
  std::span<const float> beta{};
  std::span<const float> mean{};
  std::span<const float> variance{};
  float epsilon = 1e-5f;
};

}  // namespace lanefuse

#endif  // LANEFUSE_PACKED_H_
