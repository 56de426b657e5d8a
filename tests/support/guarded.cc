#include "tests/support/guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace lanefuse::test {
namespace {

// 0x7FA5C3E1 as a little-endian float: a signalling NaN that no arithmetic produces.
constexpr uint8_t kCanary[4] = {0xE1, 0xC3, 0xA5, 0x7F};

size_t PageSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// A page of the pattern and a little more, so that a piece of a page can start at any of its bytes.
const std::vector<uint8_t>& Pattern() {
  static const std::vector<uint8_t> pattern = [] {
    std::vector<uint8_t> bytes(PageSize() + 4);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = kCanary[i % 4];
    return bytes;
  }();
  return pattern;
}

// A buffer that cannot be had, or not be protected, would make every test that uses it worthless.
void Must(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

// The size of a view's memory from its first element to its last.
size_t Extent(size_t count, size_t stride, size_t inner) {
  return count == 0 || inner == 0 ? 0 : (count - 1) * stride + inner;
}

}  // namespace

GuardedBytes::GuardedBytes(size_t bytes, Guard guard, size_t offset) : size_(bytes) {
  const size_t page = PageSize();
  const size_t inner = (bytes + offset + page) / page * page;  // One byte of canary at least.
  map_size_ = inner + 2 * page;
  void* map = mmap(nullptr, map_size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Must(map != MAP_FAILED, "mmap");
  map_ = static_cast<std::byte*>(map);
  Writable();
  for (size_t i = 0; i < inner; i += page) {
    std::memcpy(map_ + page + i, Pattern().data(), page);
  }
  data_ = guard == Guard::kAtEnd ? map_ + page + inner - offset - bytes : map_ + page + offset;
}

GuardedBytes::GuardedBytes(GuardedBytes&& other) noexcept
    : map_(std::exchange(other.map_, nullptr)),
      map_size_(other.map_size_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

GuardedBytes::~GuardedBytes() {
  if (map_ != nullptr) munmap(map_, map_size_);
}

void GuardedBytes::ReadOnly() {
  Must(mprotect(map_ + PageSize(), map_size_ - 2 * PageSize(), PROT_READ) == 0, "mprotect");
}

void GuardedBytes::Writable() {
  Must(mprotect(map_ + PageSize(), map_size_ - 2 * PageSize(), PROT_READ | PROT_WRITE) == 0,
       "mprotect");
}

testing::AssertionResult GuardedBytes::CheckCanaries(const std::vector<bool>& live,
                                                     size_t unit) const {
  const std::byte* begin = map_ + PageSize();
  const std::byte* end = map_ + map_size_ - PageSize();
  // The first byte of [from, to) that is not as it was, or `to`.
  const auto check = [&](const std::byte* from, const std::byte* to) {
    while (from != to) {
      const uint8_t* expected = Pattern().data() + (from - begin) % 4;
      const size_t piece = std::min(static_cast<size_t>(to - from), PageSize());
      if (std::memcmp(from, expected, piece) != 0) {
        while (*from == static_cast<std::byte>(*expected)) ++from, ++expected;
        return from;
      }
      from += piece;
    }
    return to;
  };
  const auto fail = [&](const std::byte* at) {
    return testing::AssertionFailure()
           << "wrote outside the view: at byte " << at - data_ << " of " << size_;
  };
  if (const std::byte* at = check(begin, data_); at != data_) return fail(at);
  for (size_t i = 0; i < live.size(); ++i) {
    if (live[i]) continue;
    const std::byte* to = data_ + (i + 1) * unit;
    if (const std::byte* at = check(to - unit, to); at != to) return fail(at);
  }
  if (const std::byte* at = check(data_ + size_, end); at != end) return fail(at);
  return testing::AssertionSuccess();
}

GuardedMat::GuardedMat(size_t rows, size_t cols, size_t stride, Guard guard, size_t offset)
    : Guarded(Extent(rows, stride == 0 ? cols : stride, cols), guard, offset),
      rows_(rows),
      cols_(cols),
      stride_(stride == 0 ? cols : stride) {
  MarkAllAsGaps();
  for (size_t r = 0; r < rows_; ++r) MarkAsLive(r * stride_, cols_);
}

std::vector<float> GuardedMat::Dense() const {
  std::vector<float> dense;
  for (size_t r = 0; r < rows_; ++r) dense.insert(dense.end(), row(r).begin(), row(r).end());
  return dense;
}

void GuardedMat::Fill(std::span<const float> dense) const {
  Must(dense.size() == rows_ * cols_, "GuardedMat::Fill");
  for (size_t i = 0; i < dense.size(); ++i) data()[i / cols_ * stride_ + i % cols_] = dense[i];
}

GuardedImage::GuardedImage(size_t images, size_t height, size_t width, size_t channels,
                           size_t pixel_gap, size_t row_gap, size_t image_gap, Guard guard,
                           size_t offset)
    : Guarded(
          [&] {
            const size_t pixel = channels + pixel_gap;
            const size_t row = width * pixel + row_gap;
            const size_t image = height * row + image_gap;
            return Extent(images, image, Extent(height, row, Extent(width, pixel, channels)));
          }(),
          guard, offset),
      view_(nullptr, images, height, width, channels) {
  view_.pixel_stride = channels + pixel_gap;
  view_.row_stride = width * view_.pixel_stride + row_gap;
  view_.image_stride = height * view_.row_stride + image_gap;
  MarkAllAsGaps();
  for (size_t n = 0; n < images; ++n) {
    for (size_t y = 0; y < height; ++y) {
      for (size_t x = 0; x < width && channels != 0; ++x) {
        MarkAsLive(static_cast<size_t>(&at(n, y, x, 0) - data()), channels);
      }
    }
  }
}

std::vector<float> GuardedImage::Dense() const {
  std::vector<float> dense;
  for (size_t n = 0; n < view_.images; ++n) {
    for (size_t y = 0; y < view_.height; ++y) {
      for (size_t x = 0; x < view_.width; ++x) {
        for (size_t c = 0; c < view_.channels; ++c) dense.push_back(at(n, y, x, c));
      }
    }
  }
  return dense;
}

void GuardedImage::Fill(std::span<const float> dense) const {
  Must(dense.size() == view_.images * view_.height * view_.width * view_.channels,
       "GuardedImage::Fill");
  size_t i = 0;
  for (size_t n = 0; n < view_.images; ++n) {
    for (size_t y = 0; y < view_.height; ++y) {
      for (size_t x = 0; x < view_.width; ++x) {
        for (size_t c = 0; c < view_.channels; ++c) at(n, y, x, c) = dense[i++];
      }
    }
  }
}

}  // namespace lanefuse::test
