// SPDX-License-Identifier: Apache-2.0
// What Python calls through ctypes.
#include <string>

#include "block.h"
#include "report.h"
#include "shadow.h"

extern "C" {

void emulator_schedule(int order, unsigned seed, long accesses) {
  emulator::schedule = {static_cast<emulator::Order>(order), seed, accesses};
}

void emulator_add_region(const char* name, void* data, size_t bytes, size_t element) {
  emulator::add_region(name, data, bytes, element);
}

void emulator_forget_regions() { emulator::forget_regions(); }

// Valid until the next call.
const char* emulator_take_findings() {
  static std::string findings;
  findings = emulator::take_findings();
  return findings.c_str();
}

}  // extern "C"
