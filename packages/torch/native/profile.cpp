// Which operators took how long, those of a backward pass included, which no call from JavaScript makes.

#include "convert.h"
#include "errors.h"
#include "module.h"

#include <ATen/record_function.h>
#ifdef AAUNET_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace aaunet {

namespace {

using Clock = std::chrono::steady_clock;

struct Row {
  int64_t calls = 0;
  double seconds = 0;  // without the operators that it calls
};

/// One profile at a time in a process: LibTorch's callbacks are global, as its worker threads are.
struct Profile {
  std::mutex mutex;
  std::unordered_map<std::string, Row> rows;
  std::optional<at::CallbackHandle> handle;
  std::atomic<bool> waits = false;  // for the device, whose work goes on after an operator has returned
};

Profile& profile() {
  static Profile instance;
  return instance;
}

struct Frame : at::ObserverContext {
  Clock::time_point start = Clock::now();
  Frame* parent = nullptr;
  double inner = 0;
};

thread_local Frame* current = nullptr;

void waitForDevice() {
#ifdef AAUNET_CUDA
  if (profile().waits) c10::cuda::device_synchronize();
#endif
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
  waitForDevice();
  auto frame = std::make_unique<Frame>();
  frame->parent = current;
  current = frame.get();
  return frame;
}

void end(const at::RecordFunction& function, at::ObserverContext* context) {
  auto* frame = static_cast<Frame*>(context);
  waitForDevice();
  const double seconds = std::chrono::duration<double>(Clock::now() - frame->start).count();
  current = frame->parent;
  if (frame->parent != nullptr) frame->parent->inner += seconds;
  const std::lock_guard lock(profile().mutex);
  Row& row = profile().rows[function.name()];
  row.calls += 1;
  row.seconds += seconds - frame->inner;
}

/// startProfile(device)
void startProfile(const Napi::CallbackInfo& info) {
  const bool waits = device(info[0], "device").is_cuda();
  guarded(info.Env(), [] { return std::string("profile"); }, [&] {
    Profile& it = profile();
    const std::lock_guard lock(it.mutex);
    TORCH_CHECK(!it.handle.has_value(), "a profile is being taken already");
    it.rows.clear();
    it.waits = waits;
    it.handle = at::addGlobalCallback(at::RecordFunctionCallback(begin, end)
                                          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  });
}

/// stopProfile(): { name, calls, seconds } of every operator, in no order.
Napi::Value stopProfile(const Napi::CallbackInfo& info) {
  Profile& it = profile();
  const std::lock_guard lock(it.mutex);
  if (it.handle) at::removeCallback(*it.handle);
  it.handle.reset();
  Napi::Array out = Napi::Array::New(info.Env(), it.rows.size());
  uint32_t index = 0;
  for (const auto& [name, row] : it.rows) {
    Napi::Object entry = Napi::Object::New(info.Env());
    entry.Set("name", name);
    entry.Set("calls", static_cast<double>(row.calls));
    entry.Set("seconds", row.seconds);
    out.Set(index++, entry);
  }
  return out;
}

}  // namespace

void exportProfile(Napi::Env env, Napi::Object exports) {
  exports.Set("startProfile", Napi::Function::New<startProfile>(env, "startProfile"));
  exports.Set("stopProfile", Napi::Function::New<stopProfile>(env, "stopProfile"));
}

}  // namespace aaunet
