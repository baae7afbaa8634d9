// Threads, seeds, devices, memory and the exchange of data with typed arrays.

#include "convert.h"
#include "errors.h"
#include "kernels/convolve.h"
#include "module.h"
#include "tensor.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/version.h>

#include <algorithm>
#include <cstring>

namespace aaunet {

namespace {

/// fromBytes(Uint8Array, shape, dtype): a new tensor on the CPU with a copy of the bytes.
Napi::Value fromBytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsTypedArray()) throw makeError(env, "ERR_TORCH_ARGUMENT", "data: expected a Uint8Array, got " + describe(info[0]));
  const Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  const auto sizes = integers(info[1], "shape");
  const auto type = dtype(info[2], "dtype");
  return guarded(env, [&] { return "a tensor of shape " + describe(info[1]); }, [&]() -> Napi::Value {
    uint64_t expected = c10::elementSize(type);
    for (const int64_t size : sizes) {
      TORCH_CHECK(size >= 0, "a size cannot be negative");
      TORCH_CHECK(!__builtin_mul_overflow(expected, static_cast<uint64_t>(size), &expected), "the shape is too large");
    }
    TORCH_CHECK(expected == bytes.ByteLength(), "this shape takes ", expected, " bytes, the data has ", bytes.ByteLength());
    const auto isBool = [](uint8_t byte) { return byte <= 1; };
    TORCH_CHECK(type != at::kBool || std::all_of(bytes.Data(), bytes.Data() + bytes.ByteLength(), isBool), "a bool is 0 or 1, the data has other bytes");
    at::Tensor tensor = at::empty(sizes, at::TensorOptions(type));
    if (expected > 0) std::memcpy(tensor.data_ptr(), bytes.Data(), expected);
    return TensorHandle::wrap(env, std::move(tensor));
  });
}

void setTensorClass(const Napi::CallbackInfo& info) {
  auto& held = Environment::of(info.Env()).tensorClass;
  held = Napi::Persistent(info[0].As<Napi::Function>());
  held.SuppressDestruct();
}

Napi::Value memoryStats(const Napi::CallbackInfo& info) {
  const Environment& environment = Environment::of(info.Env());
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("tensors", static_cast<double>(environment.liveTensors));
  out.Set("bytes", static_cast<double>(environment.liveBytes));
  return out;
}

Napi::Value numThreads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), at::get_num_threads()); }

void setNumThreads(const Napi::CallbackInfo& info) {
  const int64_t count = integer(info[0], "threads");
  if (count < 1 || count > 4096) throw makeError(info.Env(), "ERR_TORCH_ARGUMENT", "threads: expected 1 to 4096, got " + describe(info[0]));
  at::set_num_threads(static_cast<int>(count));
}

void manualSeed(const Napi::CallbackInfo& info) {
  const int64_t seed = integer(info[0], "seed");
  guarded(info.Env(), [] { return std::string("manualSeed"); }, [&] { at::manual_seed(static_cast<uint64_t>(seed)); });
}

at::Generator generator(const Napi::Value& name) {
  const c10::Device where = device(name, "device");
  return guarded(name.Env(), [&] { return "the random generator of " + where.str(); },
                 [&] { return at::globalContext().defaultGenerator(where); });
}

Napi::Value rngState(const Napi::CallbackInfo& info) {
  const at::Generator source = generator(info[0]);
  return guarded(info.Env(), [] { return std::string("rngState"); },
                 [&] { return TensorHandle::wrap(info.Env(), source.get_state()); });
}

void setRngState(const Napi::CallbackInfo& info) {
  at::Generator target = generator(info[0]);
  const at::Tensor state = TensorHandle::unwrap(info[1], "state");
  guarded(info.Env(), [] { return std::string("setRngState"); }, [&] { target.set_state(state); });
}

/// Whether the processor has instructions for bfloat16 that oneDNN uses. Without them its kernels are slower than float32's, or none.
bool hasBfloat16() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx512bf16")) return false;
#endif
  const auto supported = c10::Dispatcher::singleton().findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
  if (!supported) return false;
  torch::jit::Stack stack;
  supported->callBoxed(stack);
  return stack.at(0).toBool();
}

/// info(): what this LibTorch is and what it found.
Napi::Value buildInfo(const Napi::CallbackInfo& info) {
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("libtorch", TORCH_VERSION);
  out.Set("cudaBuild", at::globalContext().hasCUDA() || at::hasCUDA());
  out.Set("cudaDevices", at::hasCUDA() ? static_cast<double>(at::detail::getCUDAHooks().deviceCount()) : 0.0);
#ifdef AAUNET_CUDA_KERNELS
  out.Set("cudaKernels", true);
#else
  out.Set("cudaKernels", false);
#endif
  out.Set("mkldnn", at::hasMKLDNN());
  out.Set("cpuCapability", at::get_cpu_capability());
  out.Set("cpuBfloat16", hasBfloat16() ? "computed" : hasConvolutionKernels() ? "stored" : "slow");
  out.Set("parallel", at::get_parallel_info());
  return out;
}

}  // namespace

void exportRuntime(Napi::Env env, Napi::Object exports) {
  exports.Set("fromBytes", Napi::Function::New<fromBytes>(env, "fromBytes"));
  exports.Set("setTensorClass", Napi::Function::New<setTensorClass>(env, "setTensorClass"));
  exports.Set("memoryStats", Napi::Function::New<memoryStats>(env, "memoryStats"));
  exports.Set("numThreads", Napi::Function::New<numThreads>(env, "numThreads"));
  exports.Set("setNumThreads", Napi::Function::New<setNumThreads>(env, "setNumThreads"));
  exports.Set("manualSeed", Napi::Function::New<manualSeed>(env, "manualSeed"));
  exports.Set("rngState", Napi::Function::New<rngState>(env, "rngState"));
  exports.Set("setRngState", Napi::Function::New<setRngState>(env, "setRngState"));
  exports.Set("info", Napi::Function::New<buildInfo>(env, "info"));
}

}  // namespace aaunet
