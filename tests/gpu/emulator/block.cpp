// SPDX-License-Identifier: Apache-2.0
#include "block.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "fibre.h"
#include "report.h"
#include "shadow.h"

namespace emulator {

Schedule schedule;

namespace {

constexpr int kWarp = 32;

enum class State { ready, at_block_barrier, at_warp, done };

struct Thread {
  std::unique_ptr<Fibre> fibre;
  Place place;
  int number = 0;
  State state = State::done;
  int line = 0;        // of the call that it waits in
  uint32_t mask = 0;   // the lanes that it waits for
  uint64_t value = 0;  // that it hands to them
};

// Stacks for all threads of a block.
class Stacks {
 public:
  explicit Stacks(size_t threads) : bytes_(threads * Fibre::kStack) {
    begin_ = static_cast<char*>(
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  ~Stacks() { munmap(begin_, bytes_); }
  Stacks(const Stacks&) = delete;

  char* of(size_t thread) const { return begin_ + thread * Fibre::kStack; }
  bool contains(const char* address) const { return begin_ <= address && address < begin_ + bytes_; }

 private:
  size_t bytes_;
  char* begin_;
};

struct Grid {
  void (*kernel)(void*);
  void* arguments;
  std::vector<Thread> threads;
  std::unique_ptr<Stacks> stacks;
  std::vector<uint64_t> handed;  // what the lanes of finished exchanges handed out, per thread
  int block = 0, barriers = 0;
  long accesses = 0;
  bool given_up = false;
  std::mt19937 random;
};

Grid grid;
Thread* self = nullptr;

void body() {
  grid.kernel(grid.arguments);
  self->state = State::done;
}

// The launch is over: this thread is not resumed again.
void give_up() {
  grid.given_up = true;
  Fibre::leave();
}

std::vector<int> in_order(int count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  if (schedule.order == Order::reversed) std::reverse(numbers.begin(), numbers.end());
  if (schedule.order == Order::shuffled) std::shuffle(numbers.begin(), numbers.end(), grid.random);
  return numbers;
}

Moment now() { return {grid.block, self->number, grid.barriers}; }

void run(Thread& thread) {
  self = &thread;
  thread.fibre->resume();
  self = nullptr;
}

// Lets go the lanes of the warp that begins with thread `first` and wait in the same line, if all that they wait for
// are among them.
bool finish_exchange(size_t first) {
  const size_t last = std::min(first + kWarp, grid.threads.size());
  std::map<int, std::vector<Thread*>> waiting;  // by line
  for (size_t i = first; i < last; ++i) {
    Thread& thread = grid.threads[i];
    if (thread.state == State::at_warp) waiting[thread.line].push_back(&thread);
  }
  bool finished = false;
  for (auto& [line, threads] : waiting) {
    uint32_t here = 0, wanted = 0;
    for (const Thread* thread : threads) {
      here |= 1u << thread->number % kWarp;
      wanted |= thread->mask;
    }
    if (wanted & ~here) continue;
    for (Thread* thread : threads) {
      grid.handed[thread->number] = thread->value;
      thread->state = State::ready;
    }
    finished = true;
  }
  return finished;
}

// Lets go a block that waits at a barrier; nobody else can run. Returns whether anybody can now.
bool finish_barrier() {
  std::set<int> lines, warp_lines;
  size_t waiting = 0;
  for (const Thread& thread : grid.threads) {
    if (thread.state == State::at_warp) warp_lines.insert(thread.line);
    if (thread.state != State::at_block_barrier) continue;
    lines.insert(thread.line);
    ++waiting;
  }
  if (!warp_lines.empty()) {
    report("divergence: lanes never come to the warp operation of line " + std::to_string(*warp_lines.begin()));
    grid.given_up = true;
    return false;
  }
  if (waiting == 0) return false;
  const std::string line = std::to_string(*lines.begin());
  if (waiting < grid.threads.size()) report("divergence: threads never come to the barrier of line " + line);
  if (lines.size() > 1) {
    report("divergence: threads wait at the barriers of lines " + line + " and " + std::to_string(*lines.rbegin()));
  }
  ++grid.barriers;
  for (Thread& thread : grid.threads) {
    if (thread.state == State::at_block_barrier) thread.state = State::ready;
  }
  return true;
}

void wait_for_lanes(uint32_t mask, uint64_t value, int line) {
  if (!(mask >> self->number % kWarp & 1)) {
    report("warp mask: a lane that is not in its own mask, line " + std::to_string(line));
  }
  self->state = State::at_warp;
  self->line = line;
  self->mask = mask;
  self->value = value;
  Fibre::leave();
}

void run_block(int block, Size blocks) {
  grid.block = block;
  grid.barriers = 0;
  for (Thread& thread : grid.threads) {
    thread.state = State::ready;
    const auto number = static_cast<unsigned>(block);
    thread.place.block = {number % blocks.x, number / blocks.x % blocks.y, number / blocks.x / blocks.y};
  }
  for (bool going = true; going && !grid.given_up;) {
    going = false;
    for (int i : in_order(static_cast<int>(grid.threads.size()))) {
      if (grid.threads[i].state != State::ready) continue;
      run(grid.threads[i]);
      going = true;
      if (grid.given_up) return;
    }
    for (size_t first = 0; first < grid.threads.size(); first += kWarp) going |= finish_exchange(first);
    if (!going) going = finish_barrier();
  }
}

}  // namespace

bool run_grid(Size blocks, Size threads, size_t dynamic_shared, void (*kernel)(void*), void* arguments) {
  const size_t count = size_t{threads.x} * threads.y * threads.z;
  grid = {};
  grid.kernel = kernel;
  grid.arguments = arguments;
  grid.random.seed(schedule.seed);
  grid.stacks = std::make_unique<Stacks>(count);
  grid.threads.resize(count);
  grid.handed.resize(count);
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = grid.threads[i];
    thread.fibre = std::make_unique<Fibre>(grid.stacks->of(i), &body);
    thread.number = static_cast<int>(i);
    thread.place.thread = {i % threads.x, i / threads.x % threads.y, i / threads.x / threads.y};
    thread.place.threads = threads;
    thread.place.blocks = blocks;
  }
  start_checking(dynamic_shared);
  for (int block : in_order(static_cast<int>(size_t{blocks.x} * blocks.y * blocks.z))) {
    if (!grid.given_up) run_block(block, blocks);
  }
  return !grid.given_up;
}

const Place& place() { return self->place; }

void wait_for_block(int line) {
  self->state = State::at_block_barrier;
  self->line = line;
  Fibre::leave();
}

uint64_t exchange(uint32_t mask, uint64_t value, int from, int line) {
  const int lane = self->number % kWarp;
  if (!(mask >> from & 1)) report("warp mask: the value of a lane outside the mask, line " + std::to_string(line));
  wait_for_lanes(mask, value, line);
  const size_t source = self->number - lane + from;
  return source < grid.handed.size() ? grid.handed[source] : 0;
}

uint32_t ballot(uint32_t mask, bool value, int line) {
  const int lane = self->number % kWarp;
  wait_for_lanes(mask, value, line);
  uint32_t result = 0;
  for (int i = 0; i < kWarp; ++i) {
    const size_t thread = self->number - lane + i;
    if (mask >> i & 1 && thread < grid.handed.size() && grid.handed[thread]) result |= 1u << i;
  }
  return result;
}

void access(const void* address, size_t bytes, Access access, bool atomic, const void* site) {
  static bool busy = false;  // code of the standard library may be shared with what is checked
  if (!self || busy) return;
  busy = true;
  bool fine = true;
  const auto* byte = static_cast<const char*>(address);
  if (grid.stacks->contains(byte)) {
    const char* stack = grid.stacks->of(self->number);
    fine = stack <= byte && byte < stack + Fibre::kStack;
    if (!fine) report("out of bounds: the stack of another thread", site);
  } else {
    fine = check_access(address, bytes, access, atomic, now(), site);
    if (++grid.accesses > schedule.accesses) {
      report("endless: more accesses than any launch of the tests needs");
      fine = false;
    }
  }
  busy = false;
  if (!fine) give_up();
  if (atomic && schedule.order == Order::shuffled && grid.random() % 4 == 0) Fibre::leave();
}

}  // namespace emulator
