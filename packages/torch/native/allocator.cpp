// Memory for large tensors on the CPU.
//
// Every step of a training asks for the same large blocks again, and in between the system would have to clear each page that is given
// back: half of a step's time on some machines. The C library can keep what is freed, but lays small objects between large blocks, whose
// holes then do not join: with it a training takes half as much memory again as its tensors have. Here large blocks lie in a
// region of their own, each in the first hole that fits.

#include "module.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#ifdef __linux__
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace aaunet {

namespace {

#ifdef __linux__

constexpr size_t LARGE = size_t{64} << 10;
/// What stays when no large tensor lives: as much as a batch takes, of which the next may come at once.
constexpr size_t KEPT = size_t{256} << 20;

/// Addresses for as many bytes as the machine has; memory stands behind those that have been written to.
class Region {
 public:
  Region() {
    const size_t bytes = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* const start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return;
    madvise(start, bytes, MADV_HUGEPAGE);
    start_ = static_cast<char*>(start);
    size_ = bytes;
    holes_.emplace(start_, size_);
  }

  bool contains(const void* block) const { return block >= start_ && block < start_ + size_; }

  /// Null where no hole is large enough.
  void* take(size_t bytes) {
    const size_t length = lengthOf(bytes);
    const std::lock_guard lock(mutex_);
    for (auto hole = holes_.begin(); hole != holes_.end(); hole++) {
      const auto [start, size] = *hole;
      if (size < length) continue;
      holes_.erase(hole);
      if (size > length) holes_.emplace(start + length, size - length);
      blocks_.emplace(start, length);
      touched_ = std::max(touched_, start + length);
      return start;
    }
    return nullptr;
  }

  void giveBack(void* block) {
    const std::lock_guard lock(mutex_);
    const auto taken = blocks_.find(static_cast<char*>(block));
    auto [start, size] = *taken;
    blocks_.erase(taken);
    const auto next = holes_.find(start + size);
    if (next != holes_.end()) {
      size += next->second;
      holes_.erase(next);
    }
    const auto after = holes_.lower_bound(start);
    if (after != holes_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == start) {
        before->second += size;
        size = 0;
      }
    }
    if (size > 0) holes_.emplace(start, size);
    if (blocks_.empty()) release();
  }

 private:
  /// Whole cache lines, some more than pages have: blocks that begin at the same place of a page would take the same lines of the cache.
  static size_t lengthOf(size_t bytes) { return ((bytes + 63) & ~size_t{63}) + 192; }

  /// Nobody computes any more: the system gets its memory back.
  void release() {
    const auto touched = static_cast<size_t>(touched_ - start_);
    if (touched <= KEPT) return;
    madvise(start_ + KEPT, touched - KEPT, MADV_DONTNEED);
    touched_ = start_ + KEPT;
  }

  std::mutex mutex_;
  char* start_ = nullptr;
  size_t size_ = 0;
  char* touched_ = nullptr;
  std::map<char*, size_t> holes_, blocks_;
};

Region& region() {
  // Never destroyed: tensors may outlive everything else.
  static auto* const only = new Region();
  return *only;
}

void free(void* block) {
  if (region().contains(block)) region().giveBack(block);
  else c10::free_cpu(block);
}

/// Large blocks from the region, small ones, and those that it has no room for, from the C library.
class LargeBlockAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = bytes >= LARGE ? region().take(bytes) : nullptr;
    if (block == nullptr) block = c10::alloc_cpu(bytes);
    return {block, block, &free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, size_t count) const override { std::memcpy(to, from, count); }
};

#endif

}  // namespace

void installAllocator() {
#ifdef __linux__
  static LargeBlockAllocator allocator;
  c10::SetCPUAllocator(&allocator, 1);
#endif
#ifdef __GLIBC__
  // The libraries' own work memory comes and goes with every call.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
#endif
}

}  // namespace aaunet
