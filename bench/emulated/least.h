// The least number of instructions of a call: multiply-adds, and loads of what does not stay in
// registers. Stores, counters, branches, checks and the start of a call come on top.
#ifndef LANEFUSE_BENCH_EMULATED_LEAST_H_
#define LANEFUSE_BENCH_EMULATED_LEAST_H_

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "arch/target.h"
#include "arch/tiles.h"
#include "hwy/targets.h"
#include "lanefuse/target.h"

namespace lanefuse::bench {

inline constexpr size_t Parts(size_t whole, size_t part) { return (whole + part - 1) / part; }

// The register tiles of the active target; no lanes where they are not known.
inline const arch::TargetTiles& ActiveTiles() {
  static const arch::TargetTiles tiles = [] {
    for (const arch::TargetTiles& each : arch::AllTiles()) {
      const std::string_view name = arch::NameOf(each.bits);
      // A target that differs in an instruction that no kernel of float asks for has no tiles of
      // its own: its name is that of the other one with something behind an underscore.
      if ((each.bits & hwy::SupportedTargets()) != 0 && !name.empty() &&
          ActiveTarget().starts_with(name) &&
          (ActiveTarget() == name || ActiveTarget()[name.size()] == '_')) {
        return each;
      }
    }
    return arch::TargetTiles();
  }();
  return tiles;
}

inline arch::Tile TileFor(std::string_view family, std::string_view use) {
  for (const arch::Tile& tile : ActiveTiles().tiles) {
    if (tile.family != nullptr && tile.family == family && tile.use == use) return tile;
  }
  return {};
}

// m rows of sums over k against n outputs, in tiles of R rows and V vectors of L lanes. With
// N = n / L vectors of outputs:
//
//   m N k           multiply-adds
//   m / R  N k      loads of weights, one vector each
//   m N / V  k / 4  loads of inputs: four at once, if a multiply-add can use each of them for all
//                   lanes of another vector; such instructions see 128 bits
inline size_t LeastDense(size_t m, size_t k, size_t n, const arch::Tile& tile) {
  const size_t lanes = ActiveTiles().lanes;
  if (lanes == 0 || tile.rows == 0) return 0;
  const size_t vectors = Parts(n, lanes);
  return m * vectors * k + Parts(m, tile.rows) * vectors * k +
         m * Parts(vectors, tile.vectors) * Parts(k, std::min<size_t>(lanes, 4));
}

// `rows` sums over n products of two vectors; a tile's rows share the loads of the second.
inline size_t LeastDot(size_t rows, size_t n, const arch::Tile& tile) {
  const size_t lanes = ActiveTiles().lanes;
  if (lanes == 0 || tile.rows == 0) return 0;
  return (2 * rows + Parts(rows, tile.rows)) * Parts(n, lanes);
}

// Depthwise: in each row of `width` pixels, tiles of R pixels, which share the loads of weights and
// of those inputs that several of them read.
inline size_t LeastDepthwise(size_t height, size_t width, size_t channels, size_t kernel,
                             size_t stride, const arch::Tile& tile) {
  const size_t lanes = ActiveTiles().lanes;
  if (lanes == 0 || tile.rows == 0) return 0;
  const size_t tiles = Parts(width, tile.rows);
  const size_t inputs = (width - tiles) * std::min(stride, kernel) + tiles * kernel;
  return height * kernel * Parts(channels, lanes) * (width * kernel + tiles * kernel + inputs);
}

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_EMULATED_LEAST_H_
