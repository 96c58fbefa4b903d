// SPDX-License-Identifier: Apache-2.0
#include "shadow.h"

#include <link.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "report.h"
#include "vectors.h"

// Kernels declare it: extern __shared__ uint4 dynamic_shared[].
thread_local uint4 dynamic_shared[emulator::kMostShared / sizeof(uint4)];

namespace emulator {
namespace {

// The accesses to an element that later ones may conflict with. Of readers two are kept, by different threads: whoever
// writes next is not both of them.
struct Cell {
  Moment write, atomic_write;
  Moment reads[2], atomic_reads[2];
};

struct Range {
  uintptr_t begin = 0, end = 0;

  bool contains(uintptr_t address, size_t bytes) const { return begin <= address && address + bytes <= end; }
};

struct Region {
  std::string name;
  Range range;
  size_t element;
  std::unique_ptr<Cell[]> cells;

  size_t count() const { return (range.end - range.begin + element - 1) / element; }
};

std::vector<Region> regions;
Region shared;              // all of the shared memory: variables of this library's thread-local storage
Range beyond;               // dynamic shared memory that the launch did not ask for
std::vector<Range> images;  // this library's constants
constexpr size_t kSharedElement = 2;

bool ordered(const Moment& earlier, const Moment& now) {
  if (earlier.block != now.block) return false;
  // Shuffles and ballots order nothing.
  return earlier.thread == now.thread || earlier.barriers < now.barriers;
}

// Blocks have shared memory of their own, so what an earlier one did to it counts as nothing.
bool conflicts(const Moment& earlier, const Moment& now, bool is_shared) {
  if (earlier.block < 0 || (is_shared && earlier.block != now.block)) return false;
  return !ordered(earlier, now);
}

void remember(Moment (&reads)[2], const Moment& now) {
  if (reads[0].block != now.block || reads[0].thread != now.thread) reads[1] = reads[0];
  reads[0] = now;
}

void check_cell(Cell& cell, Access access, bool atomic, const Moment& now, const Region& region, const void* site) {
  const bool is_shared = &region == &shared;
  const auto race = [&](const char* earlier, const Moment& moment) {
    if (!conflicts(moment, now, is_shared)) return;
    const char* verb = access == Access::read ? "read" : "write";
    const char* where = moment.block == now.block ? "" : " of another block";
    report("race: " + std::string(verb) + " of " + region.name + " beside a " + earlier + where, site);
  };
  const bool written = cell.write.block == now.block || cell.atomic_write.block == now.block;
  if (is_shared && !written && access != Access::write) report("uninitialised: read of shared memory", site);
  race("write", cell.write);
  if (!atomic) race("atomic write", cell.atomic_write);
  if (access != Access::read) {
    for (const Moment& read : cell.reads) race("read", read);
    if (!atomic) {
      for (const Moment& read : cell.atomic_reads) race("atomic read", read);
    }
    (atomic ? cell.atomic_write : cell.write) = now;
  } else {
    remember(atomic ? cell.atomic_reads : cell.reads, now);
  }
}

void find_this_library() {
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void*) {
        const auto here = reinterpret_cast<uintptr_t>(&find_this_library);
        std::vector<Range> found;
        Range storage;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
          if (header.p_type == PT_LOAD) found.push_back({begin, begin + header.p_memsz});
          if (header.p_type == PT_TLS) {
            storage.begin = reinterpret_cast<uintptr_t>(info->dlpi_tls_data);
            storage.end = storage.begin + header.p_memsz;
          }
        }
        const bool mine = std::any_of(found.begin(), found.end(), [&](auto& range) { return range.contains(here, 1); });
        if (!mine) return 0;
        images = found;
        shared.range = storage;
        return 1;
      },
      nullptr);
}

Region* find_region(uintptr_t address, size_t bytes) {
  if (shared.range.contains(address, bytes)) return &shared;
  for (Region& region : regions) {
    if (region.range.contains(address, bytes)) return &region;
  }
  return nullptr;
}

void report_stray(uintptr_t address, size_t bytes, Access access, const void* site) {
  std::string near = "no tensor";
  uintptr_t least = UINTPTR_MAX;
  for (const Region& region : regions) {
    const bool before = address < region.range.begin;
    const uintptr_t distance = before ? region.range.begin - address : address + bytes - region.range.end;
    if (distance >= least) continue;
    least = distance;
    near = std::to_string(distance) + " bytes " + (before ? "before " : "behind ") + region.name;
  }
  report(std::string("out of bounds: ") + (access == Access::read ? "read" : "write") + ", " + near, site);
}

}  // namespace

void add_region(const std::string& name, const void* data, size_t bytes, size_t element) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  regions.push_back({name, {begin, begin + bytes}, element, nullptr});
}

void forget_regions() { regions.clear(); }

void start_checking(size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(dynamic_shared);  // whose use makes it exist, too
  beyond = {begin + bytes, begin + sizeof(dynamic_shared)};
  find_this_library();
  shared.name = "shared memory";
  shared.element = kSharedElement;
  shared.cells.reset(new Cell[shared.count()]);
  for (Region& region : regions) region.cells.reset(new Cell[region.count()]);
}

bool check_access(const void* pointer, size_t bytes, Access access, bool atomic, const Moment& now, const void* site) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  Region* region = find_region(address, bytes);
  if (!region) {
    const bool constant = std::any_of(images.begin(), images.end(), [&](auto& image) {
      return image.contains(address, bytes) && access == Access::read;
    });
    if (!constant) report_stray(address, bytes, access, site);
    return constant;
  }
  if (address < beyond.end && beyond.begin < address + bytes) {
    report("out of bounds: dynamic shared memory that the launch did not ask for", site);
    return false;
  }
  const size_t first = (address - region->range.begin) / region->element;
  const size_t last = (address + bytes - 1 - region->range.begin) / region->element;
  for (size_t i = first; i <= last; ++i) check_cell(region->cells[i], access, atomic, now, *region, site);
  return true;
}

}  // namespace emulator
