// Gradients, and the thread-local modes that operators run under.

#include "convert.h"
#include "errors.h"
#include "module.h"
#include "tensor.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

namespace aaunet {

namespace {

std::vector<at::Tensor> tensors(const Napi::Value& value, const std::string& role) {
  if (!value.IsArray()) throw makeError(value.Env(), "ERR_TORCH_ARGUMENT", role + ": expected an array of Tensors, got " + describe(value));
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<at::Tensor> out;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value item = array.Get(i);
    out.push_back(item.IsNull() ? at::Tensor() : TensorHandle::unwrap(item, role));
  }
  return out;
}

/// backward(outputs, gradients, retainGraph): adds to the `grad` of every leaf that the outputs came from.
void backward(const Napi::CallbackInfo& info) {
  const auto outputs = tensors(info[0], "outputs");
  const auto gradients = tensors(info[1], "gradients");
  guarded(info.Env(), [&] { return "backward from " + describe(info[0]); },
          [&] { torch::autograd::backward(outputs, gradients, info[2].ToBoolean()); });
}

/// grad(outputs, inputs, gradients, retainGraph, createGraph, allowUnused): gradients of the inputs; null where unused.
Napi::Value grad(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto outputs = tensors(info[0], "outputs");
  const auto inputs = tensors(info[1], "inputs");
  const auto gradients = tensors(info[2], "gradients");
  const auto results = guarded(env, [&] { return "grad of " + describe(info[0]) + " by " + describe(info[1]); }, [&] {
    return torch::autograd::grad(outputs, inputs, gradients, info[3].ToBoolean(), info[4].ToBoolean(), info[5].ToBoolean());
  });
  Napi::Array out = Napi::Array::New(env, results.size());
  for (size_t i = 0; i < results.size(); i++) {
    out[static_cast<uint32_t>(i)] = results[i].defined() ? TensorHandle::wrap(env, results[i]) : env.Null();
  }
  return out;
}

/// setGradMode(on): the mode before.
Napi::Value setGradMode(const Napi::CallbackInfo& info) {
  const bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(info[0].ToBoolean());
  return Napi::Boolean::New(info.Env(), before);
}

/// enterAutocast(deviceType, enabled, dtype): the state before, to be handed to leaveAutocast.
Napi::Value enterAutocast(const Napi::CallbackInfo& info) {
  const auto type = device(info[0], "device").type();
  if (type != at::kCPU && type != at::kCUDA) {
    throw makeError(info.Env(), "ERR_TORCH_ARGUMENT", "device: autocast knows 'cpu' and 'cuda', got " + describe(info[0]));
  }
  const auto precision = dtype(info[2], "dtype");
  Napi::Object before = Napi::Object::New(info.Env());
  before.Set("enabled", at::autocast::is_autocast_enabled(type));
  before.Set("dtype", dtypeName(at::autocast::get_autocast_dtype(type)));
  at::autocast::set_autocast_enabled(type, info[1].ToBoolean());
  at::autocast::set_autocast_dtype(type, precision);
  at::autocast::increment_nesting();
  return before;
}

void leaveAutocast(const Napi::CallbackInfo& info) {
  const auto type = device(info[0], "device").type();
  const Napi::Object before = info[1].As<Napi::Object>();
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(type, before.Get("enabled").ToBoolean());
  at::autocast::set_autocast_dtype(type, dtype(before.Get("dtype"), "dtype"));
}

}  // namespace

void exportAutograd(Napi::Env env, Napi::Object exports) {
  exports.Set("backward", Napi::Function::New<backward>(env, "backward"));
  exports.Set("grad", Napi::Function::New<grad>(env, "grad"));
  exports.Set("setGradMode", Napi::Function::New<setGradMode>(env, "setGradMode"));
  exports.Set("enterAutocast", Napi::Function::New<enterAutocast>(env, "enterAutocast"));
  exports.Set("leaveAutocast", Napi::Function::New<leaveAutocast>(env, "leaveAutocast"));
}

}  // namespace aaunet
