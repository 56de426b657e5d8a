// A layer with random data between guard pages, and what Linear must make of it.
#ifndef LANEFUSE_TESTS_LINEAR_LINEAR_CASE_H_
#define LANEFUSE_TESTS_LINEAR_LINEAR_CASE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lanefuse/linear.h"
#include "tests/reference/linear_ref.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"

namespace lanefuse::test {

struct LinearShape {
  size_t rows = 1, outputs = 1, inputs = 1;
  size_t x_gap = 0, y_gap = 0;  // floats between the rows
  Guard guard = Guard::kAtEnd;
  size_t offset = 0;  // floats between y and its guard page
};

class LinearCase {
 public:
  LinearCase(const LinearShape& shape, Data data, Random& random)
      : x(shape.rows, shape.inputs, shape.inputs + shape.x_gap, shape.guard),
        y(shape.rows, shape.outputs, shape.outputs + shape.y_gap, shape.guard, shape.offset),
        shape_(shape),
        bytes_(PackedLinear::Bytes(shape.outputs, shape.inputs), shape.guard,
               // Packed bytes need an alignment of 4: some have no more, and some lie at the guard.
               random.Below(4) * 4) {
    // All rows of x are paired where the weights cancel, so that each sum of the batch cancels.
    std::vector<float> dense(shape.rows * shape.inputs);
    w.resize(shape.outputs * shape.inputs);
    for (size_t m = 0; m < shape.rows; ++m) {
      const auto row = std::span(dense).subspan(m * shape.inputs, shape.inputs);
      data == Data::kCancelling ? random.FillPaired(row)
      : data == Data::kWide     ? random.FillWide(row)
                                : random.FillUniform(row);
    }
    for (size_t n = 0; n < shape.outputs; ++n) {
      const auto row = std::span(w).subspan(n * shape.inputs, shape.inputs);
      data == Data::kCancelling ? random.FillCancelling(row)
      : data == Data::kWide     ? random.FillWide(row)
                                : random.FillUniform(row);
    }
    Set(dense, w);
  }

  // Other data of the same shape (dense): packs, computes the references, protects the inputs.
  void Set(const std::vector<float>& dense_x, const std::vector<float>& weights) {
    x.Writable();
    bytes_.Writable();
    w = weights;
    x.Fill(dense_x);
    const Status status = PackedLinear::Pack({w.data(), shape_.outputs, shape_.inputs}, {}, nullptr,
                                             bytes_.span(), packed_);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(bytes_.CheckCanaries());
    x.ReadOnly();
    bytes_.ReadOnly();
    model.clear();
    expected.clear();
    for (size_t m = 0; m < shape_.rows; ++m) {
      for (size_t n = 0; n < shape_.outputs; ++n) {
        const auto row = std::span(w).subspan(n * shape_.inputs, shape_.inputs);
        model.push_back(LinearModel(x.row(m), row, shape_.outputs));
        expected.push_back(LinearExpected(x.row(m), row, shape_.outputs));
      }
    }
  }

  // So that what an earlier call left cannot pass for this call's result.
  void ClearOutput() const {
    for (size_t m = 0; m < shape_.rows; ++m) {
      for (float& f : y.row(m)) f = -7.0f;
    }
  }

  const PackedLinear& weights() const { return packed_; }
  std::string name() const {
    return "M = " + std::to_string(shape_.rows) + ", N = " + std::to_string(shape_.outputs) +
           ", K = " + std::to_string(shape_.inputs);
  }

  GuardedMat x, y;
  std::vector<float> w;            // dense, outputs x inputs
  std::vector<float> model;        // the sums in the stated order
  std::vector<Expected> expected;  // the sums in double

 private:
  LinearShape shape_;
  Guarded<std::byte> bytes_;
  PackedLinear packed_;
};

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_LINEAR_LINEAR_CASE_H_
