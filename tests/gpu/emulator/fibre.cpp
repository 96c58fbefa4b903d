// SPDX-License-Identifier: Apache-2.0
// Contexts make the stacks; jumps switch between them, for they do not ask the kernel to change signal masks.
#undef _FORTIFY_SOURCE  // its longjmp takes a jump to another stack for a mistake
#include "fibre.h"

namespace emulator {

Fibre* Fibre::running_ = nullptr;
jmp_buf Fibre::resumer_;

Fibre::Fibre(char* stack, void (*body)()) : body_(body) {
  getcontext(&start_);
  start_.uc_stack.ss_sp = stack;
  start_.uc_stack.ss_size = kStack;
  start_.uc_link = nullptr;
  makecontext(&start_, &Fibre::run, 0);
}

void Fibre::resume() {
  running_ = this;
  if (_setjmp(resumer_)) return;
  if (started_) _longjmp(place_, 1);
  started_ = true;
  setcontext(&start_);
}

void Fibre::leave() {
  if (!_setjmp(running_->place_)) _longjmp(resumer_, 1);
}

void Fibre::run() {
  for (;;) {
    running_->body_();
    leave();
  }
}

}  // namespace emulator
