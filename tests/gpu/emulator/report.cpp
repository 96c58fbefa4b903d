// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <map>

namespace emulator {
namespace {

std::map<std::string, long> findings;

}  // namespace

void report(const std::string& what, const void* site) {
  char place[32] = "";
  Dl_info library;
  if (site && dladdr(site, &library)) {
    // A return address is that of the next instruction; one less lies in the call.
    const auto offset = reinterpret_cast<uintptr_t>(site) - reinterpret_cast<uintptr_t>(library.dli_fbase) - 1;
    std::snprintf(place, sizeof(place), " at +0x%zx", static_cast<size_t>(offset));
  }
  ++findings[what + place];
}

std::string take_findings() {
  std::string lines;
  for (const auto& [what, count] : findings) lines += std::to_string(count) + " x " + what + "\n";
  findings.clear();
  return lines;
}

}  // namespace emulator
