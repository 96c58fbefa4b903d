// SPDX-License-Identifier: Apache-2.0
// Runs of set pixels, joined with those that they touch in the row above.
#include "region.h"

#include <algorithm>
#include <vector>

#include "cpu.h"

namespace dssm {
namespace {

struct Run {
  int64_t row, begin, end;  // pixels [begin, end)
  int64_t parent;           // a run of the same region; a root is its own
  int64_t area;             // of the region, in its root
};

int64_t find_root(std::vector<Run>& runs, int64_t i) {
  while (runs[i].parent != i) i = runs[i].parent = runs[runs[i].parent].parent;  // path halving
  return i;
}

void join(std::vector<Run>& runs, int64_t a, int64_t b) {
  a = find_root(runs, a);
  b = find_root(runs, b);
  if (a == b) return;
  runs[b].parent = a;
  runs[a].area += runs[b].area;
}

void weigh_regions(const Array& mask, const Array& out, int64_t plane) {
  const auto [batch, height, width] = sizes<3>(mask);
  std::vector<Run> runs;
  int64_t above = 0;  // the first run of the row above
  for (int64_t y = 0; y < height; ++y) {
    const bool* pixels = mask.at<bool>(plane, y);
    const int64_t first = static_cast<int64_t>(runs.size()), step = mask.stride[2];
    for (int64_t x = 0; x < width; ++x) {
      if (!pixels[x * step]) continue;
      const int64_t begin = x, own = static_cast<int64_t>(runs.size());
      while (x < width && pixels[x * step]) ++x;
      runs.push_back({y, begin, x, own, x - begin});
      // Runs touch, diagonally at least, if neither ends before the other begins.
      while (above < first && runs[above].end < begin) ++above;
      for (int64_t i = above; i < first && runs[i].begin <= x; ++i) join(runs, i, own);
    }
    above = first;
  }
  double* weights = out.at<double>(plane);
  std::fill_n(weights, height * width, 0.0);
  for (int64_t i = 0; i < static_cast<int64_t>(runs.size()); ++i) {
    const double weight = 1.0 / runs[find_root(runs, i)].area;
    std::fill(weights + runs[i].row * width + runs[i].begin, weights + runs[i].row * width + runs[i].end, weight);
  }
}

}  // namespace

void region_cpu(const Array& mask, const Array& out, int threads) {
  parallel_for(mask.size[0], threads, [&](int64_t plane) { weigh_regions(mask, out, plane); });
}

}  // namespace dssm
