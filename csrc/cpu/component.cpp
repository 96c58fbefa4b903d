// SPDX-License-Identifier: Apache-2.0
// Connected components over runs: a row's runs of set pixels are joined with the touching runs of the row above.
#include "component.h"

#include <cstring>
#include <vector>

#include "cpu.h"

namespace dssm {
namespace {

struct Run {
  int64_t row, begin, end;  // pixels [begin, end) of a row
  int64_t parent;           // index of a run of the same component; a root is its own parent
};

int64_t find_root(std::vector<Run>& runs, int64_t i) {
  while (runs[i].parent != i) {
    runs[i].parent = runs[runs[i].parent].parent;  // path halving
    i = runs[i].parent;
  }
  return i;
}

// The smaller index becomes the root, so a root is the run that comes first in raster order.
void join(std::vector<Run>& runs, int64_t a, int64_t b) {
  a = find_root(runs, a);
  b = find_root(runs, b);
  if (a < b) {
    runs[b].parent = a;
  } else {
    runs[a].parent = b;
  }
}

void append_runs(std::vector<Run>& runs, const uint8_t* row, int64_t y, int64_t width, int64_t stride) {
  for (int64_t x = 0; x < width;) {
    while (x < width && !row[x * stride]) ++x;
    const int64_t begin = x;
    while (x < width && row[x * stride]) ++x;
    if (begin < x) {
      const int64_t own = static_cast<int64_t>(runs.size());
      runs.push_back({y, begin, x, own});
    }
  }
}

// Joins the runs [above, current) of one row with the runs [current, runs.size()) of the next.
void join_rows(std::vector<Run>& runs, int64_t above, int64_t current, int64_t reach) {
  const int64_t last_above = current, last = static_cast<int64_t>(runs.size());
  for (int64_t i = above, j = current; i < last_above && j < last;) {
    if (runs[i].end + reach <= runs[j].begin) {
      ++i;
    } else if (runs[j].end + reach <= runs[i].begin) {
      ++j;
    } else {
      join(runs, i, j);
      if (runs[i].end < runs[j].end) {
        ++i;
      } else {
        ++j;
      }
    }
  }
}

void largest(const uint8_t* mask, uint8_t* out, int64_t height, int64_t width, const int64_t stride[2],
             int connectivity) {
  std::memset(out, 0, height * width);
  const int64_t reach = connectivity == 8 ? 1 : 0;  // diagonal neighbours touch across a gap of zero columns
  std::vector<Run> runs;
  int64_t above = 0;
  for (int64_t y = 0; y < height; ++y) {
    const int64_t current = static_cast<int64_t>(runs.size());
    append_runs(runs, mask + y * stride[0], y, width, stride[1]);
    join_rows(runs, above, current, reach);
    above = current;
  }

  std::vector<int64_t> area(runs.size(), 0);
  int64_t best = -1;
  for (size_t i = 0; i < runs.size(); ++i) {
    runs[i].parent = find_root(runs, i);
    area[runs[i].parent] += runs[i].end - runs[i].begin;
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    if (area[i] > 0 && (best < 0 || area[i] > area[best])) best = i;
  }
  for (const Run& run : runs) {
    if (run.parent == best) std::memset(out + run.row * width + run.begin, 1, run.end - run.begin);
  }
}

}  // namespace

void component_plane(const uint8_t* mask, uint8_t* out, int64_t height, int64_t width, int connectivity) {
  const int64_t stride[2] = {width, 1};
  largest(mask, out, height, width, stride, connectivity);
}

void component_cpu(const Array& mask, const Array& out, int connectivity, int threads) {
  parallel_for(mask.size[0], threads, [&](int64_t i) {
    largest(mask.at<uint8_t>(i), out.at<uint8_t>(i), mask.size[1], mask.size[2], &mask.stride[1], connectivity);
  });
}

}  // namespace dssm
