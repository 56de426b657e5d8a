#include "arch/tiles.h"

#include <algorithm>
#include <iterator>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "arch/tiles.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "arch/tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

constexpr arch::TargetTiles TilesFor(size_t lanes) {
  arch::TargetTiles result;
  result.bits = HWY_TARGET;
  result.lanes = lanes;
  result.registers = kVectorRegisters;
  if (lanes == 0) return result;
  const size_t sums = 64 / lanes;  // the virtual lanes of src/common/lanes64-inl.h
  const size_t strips = kDepthwiseStrips && !kStripsByRows ? 3 * StripPixels(1) : kRowTile;
  const size_t depthwise = kDepthwiseStrips ? 1 : kDepthwiseVectors;
  const size_t pairs = kPairsOfRows ? 2 * PairWidth(kRowTile) : kRowTile;
  const size_t signals = kSignalTaps != 0 ? kSignalPixels : kRowTile;
  const size_t two_rows = kVectorTile > kVectorTileTwoRows ? kVectorTile : kVectorTileTwoRows;
  result.tiles = {{
      {"dot", "a row", 1, sums, 1},
      {"linear", "Gemv", GemvRows(lanes), sums, 1},
      {"linear", "one row", 1, kVectorTileOneRow, 1},
      {"linear", "two rows", 2, two_rows, 1},
      {"linear", "more rows", kRowTile, kVectorTile, 1},
      {"linear", "few outputs", kRowTileFourChains, kVectorTileFourChains, 4},
      {"conv", "dense", kRowTile, kVectorTile, 1},
      {"conv", "depthwise", kRowTile, kVectorTile, 1},
      {"conv", "depthwise, 3x3", strips, depthwise, 1},
      {"conv", "depthwise, 5x5 and 7x7", pairs, kPairsOfRows ? 1 : kDepthwiseVectors, 1},
      {"conv", "depthwise, one row of taps", signals, kSignalTaps != 0 ? 1 : kDepthwiseVectors, 1},
      {"softmax", "sum of a row", 1, sums, 1},
      {"elementwise", "a step", 1, 1, 1},
  }};
  return result;
}

constexpr hwy::HWY_NAMESPACE::CappedTag<float, 16> kTag;  // as in src/common/ops-inl.h
HWY_MAYBE_UNUSED arch::TargetTiles TilesHere() { return TilesFor(hwy::HWY_NAMESPACE::Lanes(kTag)); }

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// Not compiled for the target, as this CPU may lack it: the table is a constant. The number of
// lanes of a scalable target is none, so the target's own code is asked, where the CPU can run it.
namespace lanefuse::HWY_NAMESPACE {
arch::TargetTiles Tiles(int64_t supported) {
  static constexpr arch::TargetTiles kTiles =
      TilesFor(kConstexprLanes ? hwy::HWY_NAMESPACE::MaxLanes(kTag) : 0);
  return kConstexprLanes || (supported & HWY_TARGET) == 0 ? kTiles : TilesHere();
}
}  // namespace lanefuse::HWY_NAMESPACE

#if HWY_ONCE
namespace lanefuse::arch {

HWY_EXPORT(Tiles);

std::vector<TargetTiles> AllTiles() {
  std::vector<TargetTiles> all;
  // The first entry of a table with several targets chooses one of them.
  const size_t first = (HWY_TARGETS & (HWY_TARGETS - 1)) != 0 ? 1 : 0;
  for (size_t i = first; i < std::size(HWY_DISPATCH_TABLE(Tiles)); ++i) {
    const auto tiles = HWY_DISPATCH_TABLE(Tiles)[i];
    if (tiles != nullptr) all.push_back(tiles(hwy::SupportedTargets()));
  }
  // The last one is the lowest target once more.
  std::sort(all.begin(), all.end(),
            [](const TargetTiles& a, const TargetTiles& b) { return a.bits < b.bits; });
  const auto end =
      std::unique(all.begin(), all.end(),
                  [](const TargetTiles& a, const TargetTiles& b) { return a.bits == b.bits; });
  all.erase(end, all.end());
  return all;
}

}  // namespace lanefuse::arch
#endif  // HWY_ONCE
