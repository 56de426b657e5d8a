// Checks the elementary functions of src/common/*math-inl.h on many floats, on every target: error
// against double precision, and bits of the targets against each other. The exhaustive program and
// the unit test share it; they differ in how many inputs they pass.
#ifndef LANEFUSE_TESTS_COMMON_MATH_CHECK_H_
#define LANEFUSE_TESTS_COMMON_MATH_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lanefuse::test {

struct MathBound {
  double ulp = 0.0;       // In ULPs of the exact result, for inputs >= MathFunction::ulp_from.
  double per_x = 0.0;     // Error / |x|, for the inputs below.
  double absolute = 0.0;  // For every input; 0: the ULP bound says enough.
};

struct MathFunction {
  const char* name;
  double (*reference)(double);
  double ulp_from;        // ULPs are counted for inputs >= this.
  uint32_t first_bits;    // The inputs are the floats whose bits are >= this.
  MathBound bound;        // Targets that round as DESIGN.md section 4 says.
  MathBound loose_bound;  // Targets whose Fma rounds twice.
  bool divides = false;   // Targets that are not IEEE have the errors of one division more.
};

// In the order of the ids that MathKernel::run takes.
std::span<const MathFunction> MathFunctions();

// A target that was built and that this CPU has.
struct MathKernel {
  int64_t target;
  const char* target_name;
  bool same_bits;  // kSameBits
  bool emulated;   // kEmulateFma: slow
  bool ieee;       // kIeee: else subnormal numbers count as zero, and divisions err
  // y[i] = function(x[i]); returns the target that did it.
  int64_t (*run)(size_t function, const float* x, float* y, size_t count);
};

// Fastest first. A target whose kernel turns out to be another's is left out, so compare the list
// with what should be there.
std::vector<MathKernel> MathKernels();

// What was seen on one target. Merging is commutative: threads may take blocks in any order.
struct MathErrors {
  uint64_t count = 0;
  double max_ulp = 0.0;  // Infinite where one of result and reference is NaN and the other is not.
  float max_ulp_at = 0.0f;
  double max_absolute = 0.0;
  float max_absolute_at = 0.0f;
  double max_per_x = 0.0;  // Largest error / |x| among inputs < ulp_from.
  float max_per_x_at = 0.0f;
  uint64_t hash = 0;       // Of all result bits and their position; NaN counts as one value.
  uint64_t differing = 0;  // Results whose bits are not those of the first target with same_bits.
  float differing_at = 0.0f;

  void Merge(const MathErrors& other);
};

// Error of `got` in units in the last place of the float nearest to `exact`: 2^-149 at least. An
// overflow to infinity is right if `exact` rounds to 2^128 or more.
double UlpError(float got, double exact);

// Whether the errors, and the bits where the target promises them, are within bounds.
bool WithinBounds(const MathFunction& function, const MathKernel& kernel, const MathErrors& errors);

// Computes function(x) on each kernel and adds what it sees to errors[kernel]. Emulated kernels
// look at every baseline_stride-th input only. The reference is computed once per input.
void CheckMathBlock(size_t function, std::span<const float> x, std::span<const MathKernel> kernels,
                    size_t baseline_stride, uint64_t block, std::span<MathErrors> errors);

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_COMMON_MATH_CHECK_H_
