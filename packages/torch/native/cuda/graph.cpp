// CUDA graphs: what a function launches, recorded once and replayed at one call.

#include "../convert.h"
#include "../errors.h"
#include "../module.h"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <memory>
#include <mutex>

namespace aaunet {

namespace {

/// Those of all threads. At the end of the process they are left alone: CUDA may be gone before them.
struct Graphs {
  std::mutex mutex;
  std::map<int64_t, std::shared_ptr<at::cuda::CUDAGraph>> all;
  int64_t next = 0;

  static Graphs& instance() {
    static auto* const graphs = new Graphs();
    return *graphs;
  }

  int64_t add(std::shared_ptr<at::cuda::CUDAGraph> graph) {
    const std::lock_guard lock(mutex);
    all[next] = std::move(graph);
    return next++;
  }

  std::shared_ptr<at::cuda::CUDAGraph> find(int64_t id) {
    const std::lock_guard lock(mutex);
    return all.at(id);
  }

  void drop(int64_t id) {
    const std::lock_guard lock(mutex);
    all.erase(id);
  }
};

/// captureGraph(device, body): the number of the graph of what `body` launches, which is recorded, not run.
Napi::Value captureGraph(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const c10::Device where = device(info[0], "device");
  const Napi::Function body = info[1].As<Napi::Function>();
  return guarded(env, [&] { return "recording a CUDA graph on " + where.str(); }, [&]() -> Napi::Value {
    TORCH_CHECK(where.is_cuda(), "device: expected 'cuda' or 'cuda:N'");
    const c10::cuda::CUDAGuard onDevice(where);
    auto graph = std::make_shared<at::cuda::CUDAGraph>();
    const auto before = c10::cuda::getCurrentCUDAStream();
    const auto stream = c10::cuda::getStreamFromPool(true);
    before.synchronize();
    {
      const c10::cuda::CUDAStreamGuard onStream(stream);
      c10::cuda::CUDACachingAllocator::emptyCache();
      graph->capture_begin();
      try {
        body.Call({});
      } catch (...) {
        try {
          graph->capture_end();
        } catch (...) {  // The capture failed with what failed in it.
        }
        throw;
      }
      graph->capture_end();
    }
    return Napi::Number::New(env, static_cast<double>(Graphs::instance().add(std::move(graph))));
  });
}

void replayGraph(const Napi::CallbackInfo& info) {
  const int64_t id = integer(info[0], "graph");
  guarded(info.Env(), [] { return std::string("replaying a CUDA graph"); }, [&] { Graphs::instance().find(id)->replay(); });
}

void dropGraph(const Napi::CallbackInfo& info) { Graphs::instance().drop(integer(info[0], "graph")); }

/// synchronize(device): returns when all that was launched is done.
void synchronize(const Napi::CallbackInfo& info) {
  const c10::Device where = device(info[0], "device");
  guarded(info.Env(), [&] { return "synchronising with " + where.str(); }, [&] {
    TORCH_CHECK(where.is_cuda(), "device: expected 'cuda' or 'cuda:N'");
    const c10::cuda::CUDAGuard onDevice(where);
    c10::cuda::device_synchronize();
  });
}

/// peakMemory(device): the most bytes that tensors have taken there at once.
Napi::Value peakMemory(const Napi::CallbackInfo& info) {
  const c10::Device where = device(info[0], "device");
  return guarded(info.Env(), [&] { return "memory of " + where.str(); }, [&]() -> Napi::Value {
    TORCH_CHECK(where.is_cuda(), "device: expected 'cuda' or 'cuda:N'");
    const auto index = where.has_index() ? where.index() : c10::cuda::current_device();
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index);
    return Napi::Number::New(info.Env(), static_cast<double>(stats.allocated_bytes[0].peak));
  });
}

}  // namespace

void exportCuda(Napi::Env env, Napi::Object exports) {
  // Trainings and predictions compute the same shapes again and again.
  at::globalContext().setBenchmarkCuDNN(true);
  exports.Set("captureGraph", Napi::Function::New<captureGraph>(env, "captureGraph"));
  exports.Set("replayGraph", Napi::Function::New<replayGraph>(env, "replayGraph"));
  exports.Set("dropGraph", Napi::Function::New<dropGraph>(env, "dropGraph"));
  exports.Set("synchronize", Napi::Function::New<synchronize>(env, "synchronize"));
  exports.Set("peakMemory", Napi::Function::New<peakMemory>(env, "peakMemory"));
}

}  // namespace aaunet
