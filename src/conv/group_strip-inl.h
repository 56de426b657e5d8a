// Groups of four or eight inputs and outputs: three by three taps, stride 1 or 2, in strips of
// outputs from the top down, as those of depthwise convolutions
// (src/conv/depthwise_strip-inl.h). A vector of the image holds the inputs of two groups or four.
// Each input is brought to the lanes that it meets once, for all outputs of the strip that read it;
// weights are the operands in memory of multiply-adds. Per-target header: include it after
// hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_GROUP_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_GROUP_STRIP_INL_H_
#undef LANEFUSE_SRC_CONV_GROUP_STRIP_INL_H_
#else
#define LANEFUSE_SRC_CONV_GROUP_STRIP_INL_H_
#endif

#include <algorithm>

#include "src/conv/depthwise_strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Inputs of the lanes of a column of the image: four are neighbours of the lanes that they meet.
template <size_t kInputs, class D>
struct GroupInputs {
  static_assert(kInputs == 4);
  template <size_t kInput>
  HWY_INLINE hn::Vec<D> Of(const float* column) const {
    const auto x = hn::LoadU(D(), column);
    return hn::Per4LaneBlockShuffle<kInput, kInput, kInput, kInput>(x);
  }
};

// Eight are those of one half of sixteen lanes. Which lanes these are is a table in memory:
// computed, the compiler would keep it on the stack.
template <size_t kInput>
struct EighthInput {
  HWY_ALIGN static constexpr int32_t kLanes[16] = {kInput,     kInput,     kInput,     kInput,
                                                   kInput,     kInput,     kInput,     kInput,
                                                   kInput + 8, kInput + 8, kInput + 8, kInput + 8,
                                                   kInput + 8, kInput + 8, kInput + 8, kInput + 8};
};
template <class D>
struct GroupInputs<8, D> {
  template <size_t kInput>
  HWY_INLINE hn::Vec<D> Of(const float* column) const {
    const auto from = hn::SetTableIndices(D(), EighthInput<kInput>::kLanes);
    return hn::TableLookupLanes(hn::LoadU(D(), column), from);
  }
};

// The weights of the rows of taps that a row of the image is: for the outputs that it is the last
// to meet (`oldest`), those that it is the first to meet (`newest`) and, one row behind these in
// memory, those between (`middle`).
struct GroupWeights {
  const float* oldest;
  const float* newest;
};
template <bool kOldestTaps, bool kMiddleTaps, bool kNewestTaps>
struct GroupTaps {
  static constexpr bool kOldest = kOldestTaps, kMiddle = kMiddleTaps, kNewest = kNewestTaps;
};

// A vector of outputs of a strip.
template <size_t kInputs, class V>
struct GroupVector {
  using D = hn::DFromV<V>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kRow = 3 * kInputs * kPanel;  // floats of the weights of a row of taps
  // Groups of eight are packed one by one: two that share a vector must be joined.
  static constexpr bool kJoined = kInputs == 8;

  Strip strip;  // its first row begins with the inputs of these groups
  float* y;
  size_t across, down;  // to the next pixel, and to the row below
  const float* bias;
  const float* add;  // what the chain adds to the first of the pixels that are wanted
  size_t add_across, add_down;
  float lo, hi;
  hn::Mask<D> live;      // the lanes that are outputs
  size_t front, wanted;  // the first pixel that is stored, and how many are
};

// How it runs.
template <size_t kInputs, size_t kStride, class V>
struct GroupStrip {
  using Vector = GroupVector<kInputs, V>;
  using D = hn::DFromV<V>;
  static constexpr size_t kRow = Vector::kRow;
  static constexpr size_t kPixels = StripPixels(kStride);
  static constexpr size_t kColumns = kStride * (kPixels - 1) + 3;
  // Pixels of which few meet a column at a time run in two parts beside each other.
  static constexpr size_t kPart = kVectorRegisters == 32 && kStride == 2 ? 4 : kPixels;
  // Whether the compiler would keep so much for later that it takes 8 to 14 KiB of stack: clang
  // with stride 2, GCC 16 with stride 1.
  static constexpr bool kInOrder = HWY_COMPILER_CLANG != 0 || HWY_COMPILER_GCC_ACTUAL >= 1300;
  using Sums = StripSums<kPixels, V>;

  Vector v;
  StripRow row;  // of the image
  GroupInputs<kInputs, D> inputs;

  static HWY_INLINE void Clear(Sums& s) {
    for (auto& sum : s.row) sum[0] = hn::Zero(D());
  }

  template <size_t kTap, size_t kInput>
  static HWY_INLINE void AddTap(V x, const float* w, V& s) {
    if constexpr (kTap < 3) s = Fma(x, hn::LoadU(D(), w + (kTap * kInputs + kInput) * kPanel), s);
  }
  // Input kInput of column kColumn, to the pixels from kFrom on, which are kStride columns apart.
  template <size_t kColumn, size_t kInput, size_t kFrom, size_t... kPixel>
  static HWY_INLINE void AddPixels(V x, const float* w, Sums& s, std::index_sequence<kPixel...>) {
    (AddTap<kColumn - kStride*(kFrom + kPixel), kInput>(x, w, s.row[kFrom + kPixel][0]), ...);
  }

  template <class Taps, size_t kColumn, size_t kInput, size_t kFrom, size_t kCount>
  HWY_INLINE void AddInput(const float* column, const GroupWeights& w, Sums& oldest, Sums& middle,
                           Sums& newest) const {
    // Those of the next vector but one: no hardware follows columns of large images so far. Groups
    // of four, with half as much to do, lose more by it (1.12).
    if constexpr (kInput == 0 && kStride == 2 && kInputs == 8) {
      hwy::Prefetch(column + 2 * Vector::kLanes);
    }
    const V x = inputs.template Of<kInput>(column);
    constexpr auto kEach = Indices<kCount>();
    if constexpr (Taps::kOldest) AddPixels<kColumn, kInput, kFrom>(x, w.oldest, oldest, kEach);
    if constexpr (Taps::kMiddle) {
      AddPixels<kColumn, kInput, kFrom>(x, w.newest + kRow, middle, kEach);
    }
    if constexpr (Taps::kNewest) AddPixels<kColumn, kInput, kFrom>(x, w.newest, newest, kEach);
  }
  template <class Taps, size_t kColumn, size_t kRight, size_t... kInput>
  HWY_INLINE void AddColumn(const float* left, const float* right, const GroupWeights& w,
                            Sums& oldest, Sums& middle, Sums& newest,
                            std::index_sequence<kInput...>) const {
    const auto each = [&]<size_t kC>(std::index_sequence<kC>) HWY_ATTR
        __attribute__((always_inline)) {
      AddInput<Taps, kColumn, kC, 0, kPart>(left, w, oldest, middle, newest);
      if constexpr (kPart < kPixels && kRight < kColumns) {
        AddInput<Taps, kRight, kC, kPart, kPixels - kPart>(right, w, oldest, middle, newest);
      }
    };
    (each(std::index_sequence<kInput>()), ...);
  }

  // Column kColumn of `row`: at `at`, or at an end.
  template <size_t kColumn>
  HWY_INLINE const float* Column(const float* at) const {
    return kColumn == 0 ? row.first : kColumn + 1 == kColumns ? row.last : at;
  }

  // Columns kColumn and up of `row`, the next of which is at `left`, for the first kPart pixels;
  // beside them, so that sums wait for themselves less, those at `right` for the other pixels.
  template <class Taps, size_t kColumn = 0>
  HWY_INLINE void AddColumns(const float* left, const float* right, GroupWeights w, Sums& oldest,
                             Sums& middle, Sums& newest) const {
    constexpr size_t kRight = kColumn + kPart * kStride;
    // As if they were others: GCC would keep weights in registers, and sums in memory.
    asm volatile("" : "+r"(w.oldest), "+r"(w.newest));
    AddColumn<Taps, kColumn, kRight>(Column<kColumn>(left), Column<kRight>(right), w, oldest,
                                     middle, newest, Indices<kInputs>());
    // Nothing is put off until a later column, or inputs and weights would wait for it in memory
    // (AVX2: 0.96 of the time; with 32 registers, where there is more to choose from, 1.05).
    if constexpr (kInOrder || (kVectorRegisters == 16 && kStride == 1)) {
      for (size_t p = 0; p < kPixels; ++p) {
        if constexpr (Taps::kOldest) asm volatile("" : "+v"(oldest.row[p][0].raw));
        if constexpr (Taps::kMiddle) asm volatile("" : "+v"(middle.row[p][0].raw));
        if constexpr (Taps::kNewest) asm volatile("" : "+v"(newest.row[p][0].raw));
      }
    }
    if constexpr (kColumn + 1 < kStride * (kPart - 1) + 3) {
      if constexpr (kColumn != 0) left = Below(left, row.step);
      if constexpr (kRight < kColumns) right = Below(right, row.step);
      AddColumns<Taps, kColumn + 1>(left, right, w, oldest, middle, newest);
    }
  }

  template <class Taps>
  HWY_INLINE void AddRow(const GroupWeights& w, Sums& oldest, Sums& middle, Sums& newest) const {
    const float* right = At(row.second, (kPart * kStride - 1) * row.step);
    AddColumns<Taps>(row.second, right, w, oldest, middle, newest);
  }

  HWY_INLINE void Finished(const Sums& s) {
    const D d;
    const V bias = hn::LoadU(d, v.bias);
    const V lo = hn::Set(d, v.lo);
    const V hi = hn::Set(d, v.hi);
    float* y = v.y;
    const float* add = v.add;
    for (size_t p = 0; p < kPixels; ++p, y += v.across) {
      if (p - v.front >= v.wanted) continue;
      V end = hn::Add(s.row[p][0], bias);
      if (v.add != nullptr) {
        end = hn::Add(end, hn::LoadU(d, add));
        add += v.add_across;
      }
      end = MinKeepNaN(MaxKeepNaN(end, lo), hi);
      if constexpr (Vector::kJoined) {
        hn::BlendedStore(end, v.live, d, y);
      } else {
        hn::StoreU(end, d, y);
      }
    }
    if (v.add != nullptr) v.add += v.add_down;
    v.y += v.down;
  }

  // Row r of the image, counted from the strip's first.
  HWY_INLINE void Seek(size_t r) {
    const StripRow& top = v.strip.top;
    row = {top.first + r * v.strip.first_down, At(top.second, r * v.strip.down),
           top.last + r * v.strip.last_down, top.step};
  }

  // Rows of taps [k, end) of row r of the outputs. Above and below the image they add nothing,
  // unless a sum is -0.
  HWY_INLINE void AddAlone(size_t r, size_t k, size_t end, const float* two_rows,
                           const float* third, Sums& s) {
    for (; k < end; ++k) {
      Seek(r * kStride + k);
      if (k == 0 && r == 0 && v.strip.above) continue;
      if (k == 2 && r + 1 == v.strip.rows && v.strip.below) {
        if (HWY_LIKELY(!NegativeZero(s))) continue;
        row = {kZeros, kZeros, kZeros, 0};
      }
      const float* w = k == 2 ? third : two_rows + k * kRow;
      AddRow<GroupTaps<true, false, false>>({w, w}, s, s, s);
    }
  }

  // The weights are those of the first two rows of taps, and those of the third.
  HWY_INLINE void Run(const float* two_rows, const float* third) {
    const GroupWeights w{third, two_rows};
    const size_t rows = v.strip.rows;
    Sums oldest, middle, newest;
    Clear(oldest);
    if constexpr (kStride == 2) {
      for (size_t r = 0;; ++r) {
        const bool last = r + 1 == rows;
        AddAlone(r, r == 0 ? 0 : 1, last ? 3 : 2, two_rows, third, oldest);
        if (!last) {
          Seek(2 * r + 2);
          Clear(newest);
          AddRow<GroupTaps<true, false, true>>(w, oldest, middle, newest);
        }
        Finished(oldest);
        if (last) return;
        oldest = newest;
      }
    } else {
      // Rows of the image that few rows of outputs meet share the code for one of them: the first
      // row of taps of the second row of outputs and two of the first, before all that meet three;
      // the last one of the last but one and two of the last, behind them. As a loop over four
      // steps AVX2 would take 1.3 of the time, in groups of four.
      size_t r = rows > 1 ? 1 : 0, k = 0, end = rows > 1 ? 1 : 3;
      for (;;) {
        AddAlone(r, k, end, two_rows, third, oldest);
        if (end == 1) {  // the second row of outputs has begun
          middle = oldest;
          Clear(oldest);
          r = 0;
          end = 2;
          continue;
        }
        if (end == 2) {  // so has the first
          for (r = 2; r < rows; ++r) {
            Seek(r);
            Clear(newest);
            AddRow<GroupTaps<true, true, true>>(w, oldest, middle, newest);
            Finished(oldest);
            oldest = middle;
            middle = newest;
          }
          r = rows - 2;
          k = 2;
          end = 3;
          continue;
        }
        Finished(oldest);
        if (r + 1 == rows) return;
        oldest = middle;
        r = rows - 1;
        k = 1;
      }
    }
  }
};

// Packed weights of two groups of eight, which lie `panel` apart, side by side: `count` vectors.
HWY_INLINE void JoinGroups(const float* from, size_t panel, size_t count, float* to) {
  for (; count != 0; --count, from += kPanel, to += kPanel) {
    std::copy_n(from, 8, to);
    std::copy_n(from + panel, 8, to + 8);
  }
}

// Runs a vector of outputs with the weights of the first two rows of taps, and those of the third.
template <size_t kInputs, size_t kStride, class V>
HWY_NOINLINE void RunGroupVector(const GroupVector<kInputs, V>& vector, const float* two_rows,
                                 const float* third) {
  GroupStrip<kInputs, kStride, V> strip;
  strip.v = vector;
  strip.Run(two_rows, third);
}
template <size_t kInputs, class V>
HWY_INLINE void RunGroupVector(const ConvArgs& args, const GroupVector<kInputs, V>& vector,
                               const float* two_rows, const float* third) {
  if (args.shape->stride_w == 1) return RunGroupVector<kInputs, 1, V>(vector, two_rows, third);
  RunGroupVector<kInputs, 2, V>(vector, two_rows, third);
}

// The same with joined weights. Those of the third row are here, because a stack frame has less
// than 4 KiB.
template <size_t kInputs, class V>
HWY_NOINLINE void RunJoinedVector(const ConvArgs& args, const GroupVector<kInputs, V>& vector,
                                  const float* two_rows, const float* third, size_t panel) {
  constexpr size_t kRow = GroupVector<kInputs, V>::kRow;
  HWY_ALIGN float joined[kRow];
  JoinGroups(third, panel, kRow / kPanel, joined);
  RunGroupVector(args, vector, two_rows, joined);
}

// All groups of `rows` rows of tile t. Where it has too few pixels its strip begins further left,
// and some are not stored. The lanes of the last vector end with the last channel.
template <size_t kInputs, class V>
HWY_NOINLINE void RunGroupStrip(const ConvArgs& args, const ConvTile& t, size_t rows,
                                bool /*alone*/) {
  using Vector = GroupVector<kInputs, V>;
  constexpr size_t kPanelStride = 3 * Vector::kRow;  // of a panel
  HWY_ALIGN float two_rows[Vector::kJoined ? 2 * Vector::kRow : 1];
  const Chain& chain = *args.chain;
  const size_t channels = args.shape->channels;
  const size_t pixels = StripPixels(args.shape->stride_w);
  ConvTile whole = t;
  whole.pixel = std::max(t.pixel + t.pixels, pixels) - pixels;
  whole.pixels = pixels;
  const TileOut to = ConvOut(args, t, 0, channels);
  Vector v;
  v.strip = StripAt(args, whole, rows);
  StripRow& top = v.strip.top;
  v.across = to.y_stride;
  v.down = args.y.row_stride;
  v.lo = chain.lo;
  v.hi = chain.hi;
  const bool adds = chain.add != nullptr;
  v.add_across = adds ? chain.add->pixel_stride : 0;
  v.add_down = adds ? chain.add->row_stride : 0;
  v.front = t.pixel - whole.pixel;
  v.wanted = t.pixels;
  for (size_t c = 0, before = 0; c < channels; c += Vector::kLanes) {
    const size_t skip = Vector::kLanes - std::min(channels - c, Vector::kLanes);
    const size_t channel = c - skip, step = channel - before;
    before = channel;
    const size_t panel = channel / (kInputs == 8 ? 8 : kPanel);
    const float* w = args.panels + panel * kPanelStride + (kInputs == 8 ? 0 : channel % kPanel);
    top.first += v.strip.first_down == 0 ? 0 : step;
    top.second = At(top.second, step);
    top.last += v.strip.last_down == 0 ? 0 : step;
    v.y = to.y - v.front * to.y_stride + channel;
    v.bias = chain.bias == nullptr ? kNoBias : chain.bias + channel;
    v.add = adds ? OperandAt(*chain.add, to.pos) + channel : nullptr;
    v.live = hn::Not(hn::FirstN(hn::DFromV<V>(), skip));
    const float* third = w + 2 * Vector::kRow;
    if constexpr (Vector::kJoined) {
      JoinGroups(w, kPanelStride, 2 * Vector::kRow / kPanel, two_rows);
      RunJoinedVector(args, v, two_rows, third, kPanelStride);
    } else {
      RunGroupVector(args, v, w, third);
    }
  }
}

// Units (tiles) [begin, end), in long strips, whose weights are joined seldom: 28x28x256 in groups
// of eight takes 0.89 of the time of strips of seven rows, 56x56x256 with stride 2 0.93 of four; in
// groups of four 56x56x128 takes 0.85, but with stride 2 beyond L2 1.18.
template <size_t kInputs, class V>
HWY_INLINE void ConvGroupStrips(const ConvArgs& args, size_t begin, size_t end) {
  const bool far = kInputs == 4 && args.shape->stride_w == 2 && ImageBytes(args.x) > args.l2;
  ForStrips(args, far ? 4 : 14, begin, end, RunGroupStrip<kInputs, V>);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_GROUP_STRIP_INL_H_
