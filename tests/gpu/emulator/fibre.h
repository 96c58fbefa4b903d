// SPDX-License-Identifier: Apache-2.0
// A function that can stop in the middle and go on later: a CUDA thread of the emulator.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>

namespace emulator {

class Fibre {
 public:
  static constexpr size_t kStack = 64 << 10;  // bytes

  // `stack` has kStack bytes. The body is started anew each time that it has returned.
  Fibre(char* stack, void (*body)());
  Fibre(const Fibre&) = delete;  // the context points into itself

  // Runs the fibre until it leaves.
  void resume();

  // Called by the fibre that runs: back to whoever resumed it.
  static void leave();

 private:
  static void run();

  static Fibre* running_;
  static jmp_buf resumer_;

  void (*body_)();
  ucontext_t start_;
  jmp_buf place_;
  bool started_ = false;
};

}  // namespace emulator
