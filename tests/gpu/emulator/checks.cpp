// SPDX-License-Identifier: Apache-2.0
// What g++ calls at every access to memory of code compiled with -fsanitize=thread. The thread sanitizer's own library
// is not linked: these functions take its place.
#include "block.h"

using emulator::access;
using emulator::Access;

#define SITE __builtin_return_address(0)
#define CHECKS(bytes)                                                                           \
  void __tsan_read##bytes(void* p) { access(p, bytes, Access::read, false, SITE); }             \
  void __tsan_write##bytes(void* p) { access(p, bytes, Access::write, false, SITE); }           \
  void __tsan_unaligned_read##bytes(void* p) { access(p, bytes, Access::read, false, SITE); }   \
  void __tsan_unaligned_write##bytes(void* p) { access(p, bytes, Access::write, false, SITE); } \
  /* A volatile is what a relaxed atomic is. */                                                 \
  void __tsan_volatile_read##bytes(void* p) { access(p, bytes, Access::read, true, SITE); }     \
  void __tsan_volatile_write##bytes(void* p) { access(p, bytes, Access::write, true, SITE); }

extern "C" {

CHECKS(1)
CHECKS(2)
CHECKS(4)
CHECKS(8)
CHECKS(16)

void __tsan_read_range(void* p, unsigned long bytes) { access(p, bytes, Access::read, false, SITE); }
void __tsan_write_range(void* p, unsigned long bytes) { access(p, bytes, Access::write, false, SITE); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

}  // extern "C"
