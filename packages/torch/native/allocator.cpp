// Keeps large blocks of CPU memory for the next tensor of about their size.
//
// A training step allocates and frees the same hundred activations again and again. The C library gives blocks of many
// megabytes back to the system each time, so every step pays for mapping, zeroing and faulting in the same pages, or keeps
// them on its heap, where small objects between them leave holes that only grow. Kept blocks cost neither, and lie on huge pages.

#include "module.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace aaunet {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallest = size_t{1} << 20;  // smaller blocks are the C library's business
constexpr size_t kSpare = size_t{256} << 20;   // what may lie idle whatever is in use

/// Sizes that blocks come in: eight to each power of two, so that at most an eighth is wasted.
size_t classOf(size_t bytes) {
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

class BlockCache final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes < kSmallest) return c10::GetDefaultCPUAllocator()->allocate(bytes);
    void* block = take(classOf(bytes));
    return {block, block, &BlockCache::release, c10::Device(c10::kCPU)};
  }

  /// oneDNN's scratch memory comes and goes as bare pointers, of either kind.
  c10::DeleterFnPtr raw_deleter() const override { return &BlockCache::release; }

  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

  static BlockCache& instance() {
    // Never destroyed: tensors may outlive every static object.
    static auto* cache = new BlockCache();
    return *cache;
  }

 private:
  static void release(void* block) {
    if (!instance().give(block)) c10::GetDefaultCPUAllocator()->raw_deallocate(block);
  }

  void* take(size_t size) {
    const std::lock_guard lock(mutex_);
    const auto found = idle_.find(size);
    void* block = nullptr;
    if (found != idle_.end()) {
      block = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) idle_.erase(found);
      idleBytes_ -= size;
    } else {
      // Idle blocks of other sizes must not pile up beside those in use.
      if (idleBytes_ + size > kSpare + usedBytes_ / 4) drop();
      block = map(size);
      if (block == nullptr) {
        drop();
        block = map(size);
      }
      TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "not enough memory: could not allocate ", size, " bytes");
    }
    used_.emplace(block, size);
    usedBytes_ += size;
    return block;
  }

  /// Takes back a block of ours; false for any other.
  bool give(void* block) {
    const std::lock_guard lock(mutex_);
    const auto found = used_.find(block);
    if (found == used_.end()) return false;
    const size_t size = found->second;
    used_.erase(found);
    usedBytes_ -= size;
    idle_[size].push_back(block);
    idleBytes_ += size;
    return true;
  }

  void drop() {
    for (const auto& [size, blocks] : idle_) {
      for (void* block : blocks) munmap(block, mapped(size));
    }
    idle_.clear();
    idleBytes_ = 0;
  }

  static size_t mapped(size_t size) { return (size + 4095) / 4096 * 4096; }

  /// Memory that begins at a huge page's border, or nullptr.
  static void* map(size_t size) {
    const size_t length = mapped(size);
    void* raw = mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return nullptr;
    const auto start = reinterpret_cast<uintptr_t>(raw);
    const uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
    if (aligned > start) munmap(raw, aligned - start);
    const uintptr_t end = start + length + kHugePage;
    if (end > aligned + length) munmap(reinterpret_cast<void*>(aligned + length), end - aligned - length);
    void* block = reinterpret_cast<void*>(aligned);
    madvise(block, length, MADV_HUGEPAGE);
    return block;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> idle_;
  std::unordered_map<void*, size_t> used_;
  size_t idleBytes_ = 0;
  size_t usedBytes_ = 0;
};

}  // namespace

void installAllocator() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* choice = std::getenv("AAUNET_ALLOCATOR");
    if (choice != nullptr && std::string_view(choice) == "system") return;
    c10::SetCPUAllocator(&BlockCache::instance(), 1);
  });
}

}  // namespace aaunet
