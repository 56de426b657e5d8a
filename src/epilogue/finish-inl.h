// The end of a register tile: the frequent chains on the accumulators themselves; of others what
// SplitChain leaves here, or, where an operand is the output, all by Chain::run on a copy of the
// tile in L1.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
#undef LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
#else
#define LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
#endif

#include <algorithm>

#include "src/common/ops-inl.h"
#include "src/epilogue/chain.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Where a tile goes: `cols` outputs of each of its rows, and what happens on the way.
struct TileOut {
  const Chain* chain;
  TilePos pos;
  float* y;  // the tile's first output
  size_t y_stride;
  size_t cols;
  bool far = false;  // what a tile writes, and the operand that it adds, may be beyond L2
  size_t skip = 0;   // of a tall tile: lanes before the first output
};

// The parts of a frequent chain at one tile. Where there is no bias, `bias` points at -0: x + -0 is
// x for every x, so no branch is needed.
struct Finish {
  // Not in the order of TileOut: two of its words at once would wait until both are stored.
  size_t y_stride;
  const float* bias;
  float* y;
  const float* add;
  size_t cols;
  size_t add_stride;
  float lo, hi;

  explicit Finish(const TileOut& out)
      : y_stride(out.y_stride),
        bias(out.chain->bias == nullptr ? kNoBias : out.chain->bias + out.pos.channel),
        y(out.y),
        add(out.chain->add == nullptr ? nullptr : OperandAt(*out.chain->add, out.pos)),
        cols(out.cols),
        add_stride(out.chain->add == nullptr ? 0 : out.chain->add->pixel_stride),
        lo(out.chain->lo),
        hi(out.chain->hi) {}

  // On to the tile `rows` rows below.
  HWY_INLINE void Advance(size_t rows) {
    y += rows * y_stride;
    if (add != nullptr) add += rows * add_stride;
  }
};

// One vector of a row, at `add` and y: kFull when all of its lanes are outputs, otherwise `rest` of
// them; kAdd where the chain adds a tensor. Not from a Finish: after each store to y the compiler
// would look up again what it holds (depthwise convolutions: 1.03 of the time).
template <bool kFull, bool kAdd>
HWY_INLINE void FinishVector(float* y, const float* add, size_t rest, VF bias, VF lo, VF hi, VF v) {
  const DF d;
  v = hn::Add(v, bias);
  if constexpr (kAdd) v = hn::Add(v, kFull ? hn::LoadU(d, add) : hn::LoadN(d, add, rest));
  v = MinKeepNaN(MaxKeepNaN(v, lo), hi);
  if constexpr (kFull) {
    hn::StoreU(v, d, y);
  } else {
    hn::StoreN(v, d, y, rest);
  }
}

// What a chain adds `by` floats further on, if it adds a tensor.
template <bool kAdd>
HWY_INLINE const float* Further(const float* add, size_t by) {
  return kAdd ? add + by : nullptr;
}

// One column of kRows <= 6 vectors, from c on; all or, if !kFull, the first of its lanes are
// outputs.
template <size_t kRows, bool kFull, bool kAdd>
HWY_INLINE void FinishVectors(const Finish& f, size_t c, VF v0, VF v1, VF v2, VF v3, VF v4, VF v5) {
  const DF d;
  const size_t rest = f.cols - c;
  const VF bias = kFull ? hn::LoadU(d, f.bias + c) : hn::LoadN(d, f.bias + c, rest);
  const VF lo = hn::Set(d, f.lo);
  const VF hi = hn::Set(d, f.hi);
  float* y = f.y + c;
  const float* add = kAdd ? f.add + c : nullptr;
  const size_t down = f.y_stride;
  const size_t below = kAdd ? f.add_stride : 0;
  FinishVector<kFull, kAdd>(y, add, rest, bias, lo, hi, v0);
  if constexpr (kRows > 1) {
    FinishVector<kFull, kAdd>(y += down, add += below, rest, bias, lo, hi, v1);
  }
  if constexpr (kRows > 2) {
    FinishVector<kFull, kAdd>(y += down, add += below, rest, bias, lo, hi, v2);
  }
  if constexpr (kRows > 3) {
    FinishVector<kFull, kAdd>(y += down, add += below, rest, bias, lo, hi, v3);
  }
  if constexpr (kRows > 4) {
    FinishVector<kFull, kAdd>(y += down, add += below, rest, bias, lo, hi, v4);
  }
  if constexpr (kRows > 5) {
    FinishVector<kFull, kAdd>(y += down, add += below, rest, bias, lo, hi, v5);
  }
}

// Copies a row of sums to a tile in L1 whose rows have kVectors vectors.
template <size_t kVectors>
HWY_INLINE void StoreRow(float* tile, size_t row, VF v0, VF v1, VF v2, VF v3) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  float* to = tile + row * kVectors * lanes;
  hn::StoreU(v0, d, to);
  if constexpr (kVectors > 1) hn::StoreU(v1, d, to + lanes);
  if constexpr (kVectors > 2) hn::StoreU(v2, d, to + 2 * lanes);
  if constexpr (kVectors > 3) hn::StoreU(v3, d, to + 3 * lanes);
}

// The same for kRows <= 6 rows.
template <size_t kRows, size_t kVectors>
HWY_INLINE void StoreRows(float* tile, VF c00, VF c01, VF c02, VF c03, VF c10, VF c11, VF c12,
                          VF c13, VF c20, VF c21, VF c22, VF c23, VF c30, VF c31, VF c32, VF c33,
                          VF c40, VF c41, VF c42, VF c43, VF c50, VF c51, VF c52, VF c53) {
  StoreRow<kVectors>(tile, 0, c00, c01, c02, c03);
  if constexpr (kRows > 1) StoreRow<kVectors>(tile, 1, c10, c11, c12, c13);
  if constexpr (kRows > 2) StoreRow<kVectors>(tile, 2, c20, c21, c22, c23);
  if constexpr (kRows > 3) StoreRow<kVectors>(tile, 3, c30, c31, c32, c33);
  if constexpr (kRows > 4) StoreRow<kVectors>(tile, 4, c40, c41, c42, c43);
  if constexpr (kRows > 5) StoreRow<kVectors>(tile, 5, c50, c51, c52, c53);
}

// Finishes `cols` outputs of one row that lie in L1, from column c on: the row at y, to which the
// chain adds that at `add`.
template <bool kAdd>
HWY_INLINE void FinishStoredRow(const Finish& f, size_t c, size_t cols, float* y, const float* add,
                                const float* from) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF lo = hn::Set(d, f.lo);
  const VF hi = hn::Set(d, f.hi);
  const float* bias = f.bias + c;
  y += c;
  if constexpr (kAdd) add += c;
  size_t i = 0;
  for (; i + lanes <= cols; i += lanes) {
    FinishVector<true, kAdd>(y + i, Further<kAdd>(add, i), lanes, hn::LoadU(d, bias + i), lo, hi,
                             hn::LoadU(d, from + i));
  }
  if (i < cols) {
    const size_t rest = cols - i;
    FinishVector<false, kAdd>(y + i, Further<kAdd>(add, i), rest, hn::LoadN(d, bias + i, rest), lo,
                              hi, hn::LoadN(d, from + i, rest));
  }
}

// The same for rows `stride` floats apart; the outputs may end within them. Not with a Finish of
// its own: copied in large words, it would wait for the small ones that have just been stored.
HWY_NOINLINE inline void FinishStored(const Finish& f, size_t c, size_t rows, const float* tile,
                                      size_t stride) {
  const size_t cols = std::min(stride, f.cols - c);
  float* y = f.y;
  const float* add = f.add;
  for (size_t r = 0; r < rows; ++r, tile += stride, y += f.y_stride) {
    if (add == nullptr) {
      FinishStoredRow<false>(f, c, cols, y, add, tile);
    } else {
      FinishStoredRow<true>(f, c, cols, y, add, tile);
      add += f.add_stride;
    }
  }
}

// Whether rows may end within their last vector without a way of their own: where stores of a few
// lanes are as fast as others. 1x1 with 24 outputs takes 0.87 to 0.95 of the time.
template <size_t kVectors>
constexpr bool kPartsInRows = kMaskedLoads && !kSmallCode && kVectors > 1;

// Whether vector kVector of such a row is whole.
template <size_t kVectors, size_t kVector>
constexpr bool kWhole = !kPartsInRows<kVectors> || kVector + 1 < kVectors;

// One row of kVectors <= 4 vectors; of the last, `rest` lanes if kPartsInRows.
template <size_t kVectors, bool kAdd>
HWY_INLINE void FinishFullRow(float* y, const float* add, size_t rest, VF bias0, VF bias1, VF bias2,
                              VF bias3, VF lo, VF hi, VF v0, VF v1, VF v2, VF v3) {
  const size_t lanes = hn::Lanes(DF());
  FinishVector<kWhole<kVectors, 0>, kAdd>(y, add, rest, bias0, lo, hi, v0);
  if constexpr (kVectors > 1) {
    FinishVector<kWhole<kVectors, 1>, kAdd>(y + lanes, Further<kAdd>(add, lanes), rest, bias1, lo,
                                            hi, v1);
  }
  if constexpr (kVectors > 2) {
    FinishVector<kWhole<kVectors, 2>, kAdd>(y + 2 * lanes, Further<kAdd>(add, 2 * lanes), rest,
                                            bias2, lo, hi, v2);
  }
  if constexpr (kVectors > 3) {
    FinishVector<kWhole<kVectors, 3>, kAdd>(y + 3 * lanes, Further<kAdd>(add, 3 * lanes), rest,
                                            bias3, lo, hi, v3);
  }
}

// Vector kVector of the bias of such a row, or anything where there is none.
template <size_t kVectors, size_t kVector>
HWY_INLINE VF FinishBias(const float* bias, size_t rest) {
  const DF d;
  bias += kVector * hn::Lanes(d);
  if constexpr (kVector >= kVectors) return hn::Zero(d);
  return kWhole<kVectors, kVector> ? hn::LoadU(d, bias) : hn::LoadN(d, bias, rest);
}

// kRows <= 6 such rows, from c on. Row after row, so that a cache line is written at once.
template <size_t kRows, size_t kVectors, bool kAdd>
HWY_INLINE void FinishFullRows(const Finish& f, size_t c, VF c00, VF c01, VF c02, VF c03, VF c10,
                               VF c11, VF c12, VF c13, VF c20, VF c21, VF c22, VF c23, VF c30,
                               VF c31, VF c32, VF c33, VF c40, VF c41, VF c42, VF c43, VF c50,
                               VF c51, VF c52, VF c53) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t rest = std::min(lanes, f.cols - c - (kVectors - 1) * lanes);
  const float* bias = f.bias + c;
  const VF b0 = FinishBias<kVectors, 0>(bias, rest);
  const VF b1 = FinishBias<kVectors, 1>(bias, rest);
  const VF b2 = FinishBias<kVectors, 2>(bias, rest);
  const VF b3 = FinishBias<kVectors, 3>(bias, rest);
  const VF lo = hn::Set(d, f.lo);
  const VF hi = hn::Set(d, f.hi);
  float* y = f.y + c;
  const float* add = kAdd ? f.add + c : nullptr;
  const size_t down = f.y_stride;
  const size_t below = kAdd ? f.add_stride : 0;
  FinishFullRow<kVectors, kAdd>(y, add, rest, b0, b1, b2, b3, lo, hi, c00, c01, c02, c03);
  if constexpr (kRows > 1) {
    FinishFullRow<kVectors, kAdd>(y += down, add += below, rest, b0, b1, b2, b3, lo, hi, c10, c11,
                                  c12, c13);
  }
  if constexpr (kRows > 2) {
    FinishFullRow<kVectors, kAdd>(y += down, add += below, rest, b0, b1, b2, b3, lo, hi, c20, c21,
                                  c22, c23);
  }
  if constexpr (kRows > 3) {
    FinishFullRow<kVectors, kAdd>(y += down, add += below, rest, b0, b1, b2, b3, lo, hi, c30, c31,
                                  c32, c33);
  }
  if constexpr (kRows > 4) {
    FinishFullRow<kVectors, kAdd>(y += down, add += below, rest, b0, b1, b2, b3, lo, hi, c40, c41,
                                  c42, c43);
  }
  if constexpr (kRows > 5) {
    FinishFullRow<kVectors, kAdd>(y += down, add += below, rest, b0, b1, b2, b3, lo, hi, c50, c51,
                                  c52, c53);
  }
}

// Finishes a tile that lies in L1, whatever the chain. `tile` is overwritten.
HWY_NOINLINE inline void FinishTile(const TileOut& out, size_t rows, float* tile, size_t stride) {
  if (out.chain->in_registers) return FinishStored(Finish(out), 0, rows, tile, stride);
  out.chain->run(*out.chain, out.pos, rows, out.cols, tile, stride, tile, out.y, out.y_stride);
}

// The same for one row, without a call where the chain is a frequent one: a short GEMV has little
// else.
HWY_INLINE void FinishOneRow(const TileOut& out, float* row) {
  if (!out.chain->in_registers) return FinishTile(out, 1, row, out.cols);
  const Finish finish(out);
  if (finish.add == nullptr) {
    return FinishStoredRow<false>(finish, 0, out.cols, finish.y, nullptr, row);
  }
  return FinishStoredRow<true>(finish, 0, out.cols, finish.y, finish.add, row);
}

// A tile in L1 that belongs `row` rows below and c columns right of `out`; `f` is already there.
HWY_NOINLINE inline void FinishCopied(const TileOut& out, const Finish& f, size_t row, size_t c,
                                      size_t rows, float* tile, size_t stride) {
  if (out.chain->in_registers) return FinishStored(f, c, rows, tile, stride);
  TilePos pos = out.pos;
  pos.pixel += row;
  pos.channel += c;
  FinishTile({out.chain, pos, out.y + row * out.y_stride + c, out.y_stride,
              std::min(out.cols - c, stride)},
             rows, tile, stride);
}

// Finishes kRows <= 6 rows of kVectors <= 4 vectors, from column c < f.cols on as far as it goes:
// whole tiles of frequent chains in registers, all else by way of L1. `row`: how far below `out`
// the tile is; `f` is that of `out` there, made once and not for each tile. kSmall: chains that add
// a tensor have no code of their own either.
template <size_t kRows, size_t kVectors, bool kSmall = kSmallCode>
HWY_INLINE void FinishRows(const TileOut& out, const Finish& f, size_t row, size_t c, VF c00,
                           VF c01, VF c02, VF c03, VF c10, VF c11, VF c12, VF c13, VF c20, VF c21,
                           VF c22, VF c23, VF c30, VF c31, VF c32, VF c33, VF c40, VF c41, VF c42,
                           VF c43, VF c50, VF c51, VF c52, VF c53) {
  const size_t cols = kVectors * hn::Lanes(DF());
  if (HWY_LIKELY(out.chain->in_registers)) {
    const size_t short_by = kPartsInRows<kVectors> ? hn::Lanes(DF()) - 1 : 0;  // at most
    if (HWY_LIKELY(c + cols <= f.cols + short_by)) {
      if (f.add == nullptr) {
        return FinishFullRows<kRows, kVectors, false>(f, c, c00, c01, c02, c03, c10, c11, c12, c13,
                                                      c20, c21, c22, c23, c30, c31, c32, c33, c40,
                                                      c41, c42, c43, c50, c51, c52, c53);
      }
      if constexpr (!kSmall) {
        return FinishFullRows<kRows, kVectors, true>(f, c, c00, c01, c02, c03, c10, c11, c12, c13,
                                                     c20, c21, c22, c23, c30, c31, c32, c33, c40,
                                                     c41, c42, c43, c50, c51, c52, c53);
      }
    }
    if constexpr (kVectors == 1 && !kSmallCode) {
      if (f.add == nullptr) {
        return FinishVectors<kRows, false, false>(f, c, c00, c10, c20, c30, c40, c50);
      }
      return FinishVectors<kRows, false, true>(f, c, c00, c10, c20, c30, c40, c50);
    }
  }
  HWY_ALIGN float tile[kRows * kVectors * kPanel];
  StoreRows<kRows, kVectors>(tile, c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23, c30,
                             c31, c32, c33, c40, c41, c42, c43, c50, c51, c52, c53);
  FinishCopied(out, f, row, c, kRows, tile, cols);
}

// The same for one vector a row, whose code many tiles share.
template <size_t kRows>
HWY_NOINLINE void FinishOneVector(const TileOut& out, const Finish& f, size_t row, VF v0, VF v1,
                                  VF v2, VF v3, VF v4, VF v5) {
  FinishRows<kRows, 1>(out, f, row, 0, v0, v0, v0, v0, v1, v1, v1, v1, v2, v2, v2, v2, v3, v3, v3,
                       v3, v4, v4, v4, v4, v5, v5, v5, v5);
}

// A tile of kRows <= 12 full rows of one vector, and on to the tile below.
template <size_t kRows, bool kAdd>
HWY_INLINE void FinishFullColumn(Finish& f, VF v0, VF v1, VF v2, VF v3, VF v4, VF v5, VF v6, VF v7,
                                 VF v8, VF v9, VF v10, VF v11) {
  constexpr size_t kFirst = std::min<size_t>(kRows, 6);
  FinishVectors<kFirst, true, kAdd>(f, 0, v0, v1, v2, v3, v4, v5);
  f.Advance(kFirst);
  if constexpr (kRows > kFirst) {
    FinishVectors<kRows - kFirst, true, kAdd>(f, 0, v6, v7, v8, v9, v10, v11);
    f.Advance(kRows - kFirst);
  }
}

// The same with a call where rows end within the vector, or the chain is not a frequent one; and,
// if kCall, for all. The call must look improbable: with HWY_LIKELY alone, GCC 12 moves the sums of
// a tile to the registers of its arguments in each turn of the loop (1.02 of the time).
template <size_t kRows, bool kCall>
HWY_INLINE void FinishColumn(const TileOut& out, Finish& f, size_t row, VF v0, VF v1, VF v2, VF v3,
                             VF v4, VF v5, VF v6, VF v7, VF v8, VF v9, VF v10, VF v11) {
  const bool inside = out.chain->in_registers && hn::Lanes(DF()) <= f.cols;
  if (!kCall && __builtin_expect_with_probability(inside, 1, 0.9999)) {
    if (f.add == nullptr) {
      return FinishFullColumn<kRows, false>(f, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11);
    }
    return FinishFullColumn<kRows, true>(f, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11);
  }
  constexpr size_t kFirst = std::min<size_t>(kRows, 6);
  FinishOneVector<kFirst>(out, f, row, v0, v1, v2, v3, v4, v5);
  f.Advance(kFirst);
  if constexpr (kRows > kFirst) {
    FinishOneVector<kRows - kFirst>(out, f, row + kFirst, v6, v7, v8, v9, v10, v11);
    f.Advance(kRows - kFirst);
  }
}

// One row, `row` below `out`, of kVectors <= 4 vectors, from c on.
template <size_t kVectors>
HWY_INLINE void FinishRow(const TileOut& out, const Finish& f, size_t row, size_t c, VF v0, VF v1,
                          VF v2, VF v3) {
  FinishRows<1, kVectors>(out, f, row, c, v0, v1, v2, v3, v0, v1, v2, v3, v0, v1, v2, v3, v0, v1,
                          v2, v3, v0, v1, v2, v3, v0, v1, v2, v3);
}

// kRows <= 6 rows of kVectors <= 2 vectors, given row by row.
template <size_t kRows, size_t kVectors>
HWY_INLINE void FinishColumns(const TileOut& out, const Finish& f, size_t row, size_t c, VF s0,
                              VF t0, VF s1, VF t1, VF s2, VF t2, VF s3, VF t3, VF s4, VF t4, VF s5,
                              VF t5) {
  FinishRows<kRows, kVectors>(out, f, row, c, s0, t0, s0, s0, s1, t1, s1, s1, s2, t2, s2, s2, s3,
                              t3, s3, s3, s4, t4, s4, s4, s5, t5, s5, s5);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
