// Memory of a benchmark: floats on a boundary of 64 bytes (a cache line, an AVX-512 register), as
// oneDNN allocates its own.
#ifndef LANEFUSE_BENCH_SUPPORT_BUFFER_H_
#define LANEFUSE_BENCH_SUPPORT_BUFFER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace lanefuse::bench {

class FloatBuffer {
 public:
  FloatBuffer() = default;
  explicit FloatBuffer(size_t size, float value = 0.0f) : size_(size) {
    constexpr size_t kAlign = 64;
    const size_t bytes = (std::max<size_t>(size, 1) * sizeof(float) + kAlign - 1) / kAlign * kAlign;
    data_.reset(static_cast<float*>(std::aligned_alloc(kAlign, bytes)));
    if (data_ == nullptr) std::abort();  // a benchmark without memory has nothing to measure
    std::fill_n(data_.get(), size, value);
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::span<float> span() { return {data(), size_}; }
  std::span<const float> span() const { return {data(), size_}; }
  std::span<std::byte> bytes() { return std::as_writable_bytes(span()); }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> data_;
  size_t size_ = 0;
};

// Uniform in [-1, 1), the same on every machine (xorshift of Marsaglia, 2003).
inline FloatBuffer Random(size_t size, uint32_t seed) {
  FloatBuffer buffer(size);
  uint32_t state = seed * 2654435761u | 1u;
  for (float& value : buffer.span()) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return buffer;
}

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_BUFFER_H_
