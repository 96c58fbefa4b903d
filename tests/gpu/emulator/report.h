// SPDX-License-Identifier: Apache-2.0
// What a launch did that no correct kernel does.
#pragma once

#include <string>

namespace emulator {

// Notes a finding; `site` is an address of the code that did it, or null. Equal ones are counted, not repeated.
void report(const std::string& what, const void* site = nullptr);

// A line per finding since the last call: how often, what, and the site as an offset into this library.
std::string take_findings();

}  // namespace emulator
