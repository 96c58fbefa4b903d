// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "cpu.h"

namespace dssm {

// Memory for intermediate values, not initialised, aligned to 64 bytes, lent from a pool: the system zeroes fresh
// pages, which takes as long as filling them.
class Workspace {
 public:
  explicit Workspace(int64_t floats) {
    Pool& pool = shared();
    const std::lock_guard<std::mutex> lock(pool.mutex);
    for (size_t i = 0; i < pool.free.size(); ++i) {
      if (pool.free[i].floats >= floats && pool.free[i].floats <= 2 * floats) {
        buffer_ = std::move(pool.free[i]);
        pool.free.erase(pool.free.begin() + i);
        return;
      }
    }
    void* memory = std::aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
    if (memory == nullptr) throw std::bad_alloc();
    prefer_large_pages(memory, floats * sizeof(float));
    buffer_ = {std::unique_ptr<float, decltype(&std::free)>(static_cast<float*>(memory), &std::free), floats};
  }
  ~Workspace() {
    Pool& pool = shared();
    const std::lock_guard<std::mutex> lock(pool.mutex);
    pool.free.push_back(std::move(buffer_));
    if (pool.free.size() > kKept) pool.free.erase(pool.free.begin());
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  float* data() const { return buffer_.memory.get(); }
  float& operator[](int64_t i) const { return data()[i]; }

 private:
  static constexpr size_t kKept = 16;

  struct Buffer {
    std::unique_ptr<float, decltype(&std::free)> memory{nullptr, &std::free};
    int64_t floats = 0;
  };
  struct Pool {
    std::mutex mutex;
    std::vector<Buffer> free;
  };
  static Pool& shared() {
    static Pool* pool = new Pool;  // never destroyed: threads may still run when the process ends
    return *pool;
  }

  Buffer buffer_;
};

}  // namespace dssm
