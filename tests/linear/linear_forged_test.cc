// Packed bytes with a right checksum and wrong contents: what a program with an error, not a disk,
// would write. View must refuse sizes that do not fit the bytes; what it accepts must be safe to
// use.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "lanefuse/conv.h"
#include "lanefuse/linear.h"
#include "src/common/packed_format.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

constexpr uint32_t kValues[] = {0,        1,          2,          3,          4,         15,
                                16,       17,         18,         31,         32,        33,
                                64,       0x7FFF,     0x10000,    0x7FFFFFF,  1u << 24,  1u << 28,
                                1u << 30, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF};

PackedHeader HeaderOf(std::span<const std::byte> bytes) {
  PackedHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header;
}

// Uses weights that View accepted, on images and rows as large as they need to be: any access
// beyond the bytes meets the guard page.
void Use(const PackedLinear& w) {
  if (w.inputs() > 4096 || w.outputs() > 4096) return;  // Possible only where little is stored.
  const std::vector<float> x(w.inputs(), 1.0f);
  std::vector<float> y(w.outputs());
  EXPECT_TRUE(Linear(std::span<const float>(x), w, Epilogue(), std::span(y)).ok());
}

void Use(const PackedConv2d& w) {
  const Conv2dShape& s = w.shape();
  for (const size_t extent : {s.groups, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w}) {
    ASSERT_NE(extent, 0u);
  }
  ASSERT_EQ(s.channels % s.groups + s.outputs % s.groups, 0u);
  const size_t height = s.dilation_h * (s.kernel_h - 1) + 1;
  const size_t width = s.dilation_w * (s.kernel_w - 1) + 1;
  if (height > 100 || width > 100 || s.channels > 100 || s.outputs > 1000) return;
  if (s.padding.top + s.padding.bottom + s.padding.left + s.padding.right > 100) return;
  const size_t out_height = (s.padding.top + s.padding.bottom) / s.stride_h + 1;
  const size_t out_width = (s.padding.left + s.padding.right) / s.stride_w + 1;
  const std::vector<float> x(height * width * s.channels, 1.0f);
  std::vector<float> y(out_height * out_width * s.outputs);
  const Status status =
      Conv2d(ImageView<const float>(x.data(), height, width, s.channels), w, Epilogue(),
             ImageView<float>(y.data(), out_height, out_width, s.outputs));
  EXPECT_TRUE(status.ok()) << status.message();
}

template <class Packed>
class Forgery {
 public:
  explicit Forgery(const Guarded<std::byte>& original)
      : bytes_(original.size()), header_(HeaderOf(original.cspan())) {
    std::memcpy(bytes_.data(), original.data(), original.size());
  }

  // Writes `header` with the checksum that belongs to it and views the bytes.
  Status Try(const PackedHeader& header) {
    WriteHeader(header, bytes_.span());
    Packed packed;
    const Status status = Packed::View(bytes_.cspan(), packed);
    ++(status.ok() ? accepted_ : refused_);
    if (status.ok()) {
      Use(packed);
    } else {
      EXPECT_EQ(status.code(), StatusCode::kCorrupt) << status.message();
      EXPECT_EQ(packed.panels(), nullptr);
    }
    return status;
  }
  const PackedHeader& header() const { return header_; }
  size_t accepted() const { return accepted_; }
  size_t refused() const { return refused_; }

 private:
  Guarded<std::byte> bytes_;  // The last byte abuts a page that faults.
  PackedHeader header_;
  size_t accepted_ = 0, refused_ = 0;
};

// Every size by itself, then all of them at random.
template <class Packed>
void ForgeSizes(const Guarded<std::byte>& original, size_t sizes) {
  Forgery<Packed> forgery(original);
  ASSERT_TRUE(forgery.Try(forgery.header()).ok()) << "the original itself";
  for (size_t i = 0; i < PackedHeader::kSizes; ++i) {
    for (const uint32_t value : kValues) {
      PackedHeader header = forgery.header();
      header.sizes[i] = value;
      const Status status = forgery.Try(header);
      if (i >= sizes && value != 0) {
        EXPECT_FALSE(status.ok()) << "size " << i << " is reserved";
      }
    }
  }
  Random random(__LINE__);
  for (int repeat = 0; repeat < 20'000; ++repeat) {
    PackedHeader header = forgery.header();
    const size_t changes = random.Between(1, sizes);
    for (size_t c = 0; c < changes; ++c) {
      header.sizes[random.Below(sizes)] = kValues[random.Below(std::size(kValues))];
    }
    (void)forgery.Try(header);
  }
  EXPECT_GT(forgery.refused(), 15'000u);
  EXPECT_GT(forgery.accepted(), 0u);
}

template <class Packed>
void ForgeTheRest(const Guarded<std::byte>& original) {
  Forgery<Packed> forgery(original);
  const auto refuse = [&](const char* what, auto&& change) {
    PackedHeader header = forgery.header();
    change(header);
    EXPECT_FALSE(forgery.Try(header).ok()) << what;
  };
  refuse("magic", [](PackedHeader& h) { h.magic ^= 1; });
  refuse("an older version", [](PackedHeader& h) { h.version = 0; });
  refuse("a newer version", [](PackedHeader& h) { h.version = PackedHeader::kVersion + 1; });
  refuse("the other kind", [](PackedHeader& h) { h.kind = h.kind == 1 ? 2 : 1; });
  refuse("no kind", [](PackedHeader& h) { h.kind = 0; });
  refuse("an unknown kind", [](PackedHeader& h) { h.kind = 77; });
  refuse("an unknown type", [](PackedHeader& h) { h.type = 2; });
  refuse("an unknown flag", [](PackedHeader& h) { h.flags |= 0x8000; });
}

Guarded<std::byte> LinearBytes(size_t outputs, size_t inputs, bool bias) {
  Guarded<std::byte> bytes(PackedLinear::Bytes(outputs, inputs));
  const std::vector<float> w(outputs * inputs, 0.5f), b(bias ? outputs : 0, 1.0f);
  PackedLinear packed;
  EXPECT_TRUE(
      PackedLinear::Pack({w.data(), outputs, inputs}, b, nullptr, bytes.span(), packed).ok());
  return bytes;
}

Guarded<std::byte> ConvBytes(const Conv2dShape& shape) {
  Guarded<std::byte> bytes(PackedConv2d::Bytes(shape));
  const std::vector<float> w(
      shape.outputs * shape.kernel_h * shape.kernel_w * shape.channels / shape.groups, 0.5f);
  PackedConv2d packed;
  EXPECT_TRUE(PackedConv2d::Pack(shape, w, {}, {}, bytes.span(), packed).ok());
  return bytes;
}

TEST(PackedForged, LinearSizes) {
  ForgeSizes<PackedLinear>(LinearBytes(17, 3, true), 2);
  ForgeSizes<PackedLinear>(LinearBytes(33, 64, false), 2);
}

TEST(PackedForged, LinearHeader) { ForgeTheRest<PackedLinear>(LinearBytes(17, 3, true)); }

TEST(PackedForged, Conv2dSizes) {
  ForgeSizes<PackedConv2d>(
      ConvBytes({.outputs = 18, .channels = 4, .kernel_h = 3, .kernel_w = 2, .groups = 2}), 13);
  ForgeSizes<PackedConv2d>(
      ConvBytes({.outputs = 32, .channels = 32, .kernel_h = 3, .kernel_w = 3, .groups = 32}), 13);
}

TEST(PackedForged, Conv2dHeader) {
  ForgeTheRest<PackedConv2d>(ConvBytes({.outputs = 17, .channels = 2, .kernel_h = 2}));
}

}  // namespace
}  // namespace lanefuse::test
