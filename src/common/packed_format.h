// The bytes of packed weights: header and checksum (lanefuse/packed.h draws the layout).
#ifndef LANEFUSE_SRC_COMMON_PACKED_FORMAT_H_
#define LANEFUSE_SRC_COMMON_PACKED_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "lanefuse/packed.h"
#include "lanefuse/status.h"

namespace lanefuse {

constexpr size_t kPanelOutputs = 16;

enum class PackedKind : uint16_t { kLinear = 1, kConv2d = 2 };

// 128 bytes, little-endian, in front of the panels. Two lines, so that the panels stay aligned.
struct PackedHeader {
  static constexpr uint32_t kMagic = 0x3157464C;  // "LFW1"
  static constexpr uint16_t kVersion = 1;
  static constexpr uint16_t kF32 = 1;
  static constexpr size_t kSizes = 14;

  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t kind = 0;  // PackedKind
  uint16_t type = kF32;
  uint16_t flags = 0;  // bit 0: a bias follows the panels
  uint32_t reserved = 0;
  uint64_t payload_bytes = 0;  // behind the header
  uint64_t checksum = 0;       // of the header with this field 0, then of the payload
  // Linear: outputs, inputs. Conv2d: outputs, channels, kernel h w, stride h w, dilation h w,
  // groups, padding top bottom left right. The rest is 0.
  uint32_t sizes[kSizes] = {};
  uint32_t unused[10] = {};
};
static_assert(sizeof(PackedHeader) == 128);

constexpr uint16_t kHasBias = 1;

// Outputs rounded up to whole panels.
constexpr size_t PaddedOutputs(size_t outputs) {
  return (outputs + kPanelOutputs - 1) / kPanelOutputs * kPanelOutputs;
}

// Header, `panel_floats` floats and, always reserved, a bias of `outputs`; 0 where it overflows.
size_t PackedBytes(size_t panel_floats, size_t outputs);

// Writes the header in front of a finished payload, checksum included.
void WriteHeader(PackedHeader header, std::span<std::byte> bytes);

// Reads and checks the header and the checksum; the sizes are the caller's to check.
Status ReadHeader(std::span<const std::byte> bytes, PackedKind kind, PackedHeader& header);

// Null or not aligned to 4 bytes, fewer bytes than needed, or needed == 0 (a size overflowed).
Status CheckPackBuffer(std::span<const std::byte> bytes, size_t needed);

// A batchnorm as scale and shift of channel c: y = x * scale + shift, in double.
class FoldedNorm {
 public:
  explicit FoldedNorm(const BatchNorm* norm) : norm_(norm) {}
  bool present() const { return norm_ != nullptr; }
  Status Check(size_t channels) const;
  double Scale(size_t c) const;
  double Shift(size_t c) const;

 private:
  const BatchNorm* norm_;
};

// `value` rounded to float; false where it is not finite although it should be.
bool RoundFinite(double value, float& out);

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_PACKED_FORMAT_H_
