// Random numbers that are the same on every machine, and the data that kernels find hardest.
//
//   Random random(__LINE__);                    // the run's seed, mixed with this test's own
//   number random.FillUniform(x); random.FillWide(x); random.FillOperands(Data::kCancelling, x, w);
//   random.PlantSpecials(x, 5);
//
// main.cc prints the run's seed; the environment variable LANEFUSE_TEST_SEED sets it.
#ifndef LANEFUSE_TESTS_SUPPORT_RANDOM_H_
#define LANEFUSE_TESTS_SUPPORT_RANDOM_H_

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>

namespace lanefuse::test {

inline uint64_t TestSeed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("LANEFUSE_TEST_SEED");
    return text == nullptr ? uint64_t{20261120} : std::strtoull(text, nullptr, 0);
  }();
  return seed;
}

enum class Data {
  kUniform,     // uniform in (-1, 1)
  kWide,        // exponents spread over 2^-20 .. 2^20, both signs
  kCancelling,  // the products of neighbours cancel but for their last bits
};
inline constexpr Data kAllData[] = {Data::kUniform, Data::kWide, Data::kCancelling};

// One of each class of floats that arithmetic treats in its own way.
inline constexpr float kSpecials[] = {
    std::numeric_limits<float>::quiet_NaN(),
    -std::numeric_limits<float>::quiet_NaN(),
    std::numeric_limits<float>::infinity(),
    -std::numeric_limits<float>::infinity(),
    0.0f,
    -0.0f,
    std::numeric_limits<float>::denorm_min(),
    -std::numeric_limits<float>::denorm_min(),
    0x1.fffffcp-127f,  // the largest subnormal
    -0x1.8p-130f,
    FLT_MIN,
    FLT_MAX,
    -FLT_MAX,
};

class Random {
 public:
  explicit Random(uint64_t salt) : state_(TestSeed() * 0x9E3779B97F4A7C15u + salt) {}

  // SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers from every compiler.
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // In [0, n).
  size_t Below(size_t n) { return static_cast<size_t>(Next() % n); }
  // In [lo, hi].
  size_t Between(size_t lo, size_t hi) { return lo + Below(hi - lo + 1); }
  // In (-1, 1), never 0.
  float Uniform() {
    const auto odd = static_cast<float>((Next() >> 41) * 2 + 1);  // 24 bits, odd
    return odd * 0x1p-23f - 1.0f;
  }
  float Uniform(float lo, float hi) { return lo + (hi - lo) * (Uniform() * 0.5f + 0.5f); }
  float Wide() {
    const int exponent = static_cast<int>(Below(41)) - 20;
    const float magnitude = std::ldexp(std::fabs(Uniform()) * 0.5f + 0.5f, exponent);
    return Next() & 1 ? magnitude : -magnitude;
  }
  float Special() { return kSpecials[Below(std::size(kSpecials))]; }

  void FillUniform(std::span<float> v) {
    for (float& f : v) f = Uniform();
  }
  void FillUniform(std::span<float> v, float lo, float hi) {
    for (float& f : v) f = Uniform(lo, hi);
  }
  void FillWide(std::span<float> v) {
    for (float& f : v) f = Wide();
  }
  // v[2i + 1] = -v[2i] but for one step in the last bit now and then.
  void FillCancelling(std::span<float> v) {
    for (size_t i = 0; i < v.size(); ++i) {
      if (i % 2 == 0) {
        v[i] = Wide();
      } else {
        v[i] = -v[i - 1];
        if (Next() % 4 == 0) v[i] = std::nextafter(v[i], 0.0f);
      }
    }
  }
  // v[2i + 1] = v[2i]: what meets FillCancelling() in a dot product.
  void FillPaired(std::span<float> v) {
    for (size_t i = 0; i < v.size(); ++i) v[i] = i % 2 == 0 ? Uniform() : v[i - 1];
  }
  // The two sides of a dot product, or of many: `w` may hold several rows of x.size() values.
  void FillOperands(Data data, std::span<float> x, std::span<float> w) {
    switch (data) {
      case Data::kUniform:
        FillUniform(x);
        FillUniform(w);
        break;
      case Data::kWide:
        FillWide(x);
        FillWide(w);
        break;
      case Data::kCancelling:
        FillPaired(x);
        FillCancelling(w);
        break;
    }
  }
  // Overwrites `count` random places by special values.
  void PlantSpecials(std::span<float> v, size_t count) {
    for (size_t i = 0; i < count && !v.empty(); ++i) v[Below(v.size())] = Special();
  }

 private:
  uint64_t state_;
};

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_RANDOM_H_
