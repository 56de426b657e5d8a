// What the results must be: plain double precision, and how far a float computation may be from it.
#ifndef LANEFUSE_BENCH_SUPPORT_CHECK_H_
#define LANEFUSE_BENCH_SUPPORT_CHECK_H_

#include <cstddef>
#include <span>
#include <string>

#include "lanefuse/epilogue.h"

namespace lanefuse::bench {

constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of 1

// An output in double precision, and the error that a correct float implementation stays below.
struct Estimate {
  double value = 0.0;
  double bound = 0.0;
};

// The bound of a sum of n products whose squares sum to `squares`, with or without fused
// multiply-add (two roundings a term) and in any order. For the data of the benchmarks only: their
// products are independent with mean 0, so a partial sum of k terms is near sqrt(k) of them, and
// rounding errors of either sign cancel as the terms do. 8 standard deviations, twice. The bound
// that holds for all data, n times as large and more, would not see a wrong term; it is what the
// tests check.
double SumBound(size_t n, double squares);

// An element of the output: of image `image`, pixel (y, x) and `channel`; of a matrix (0, 0, row).
struct Place {
  size_t image = 0, y = 0, x = 0, channel = 0;
};

// The steps of an epilogue applied to one element.
Estimate Through(const Epilogue& epilogue, const Place& place, Estimate estimate);

// Empty if the two are the same bits, else where they differ.
std::string CompareBits(std::span<const float> a, std::span<const float> b);
// Empty if they are nowhere further apart than `bound`.
std::string CompareWithin(std::span<const float> a, std::span<const float> b, double bound);

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_CHECK_H_
