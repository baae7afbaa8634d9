#pragma once

#include "environment.h"

#include <ATen/core/Tensor.h>

namespace aaunet {

/// The native half of the JavaScript class Tensor: one reference to one at::Tensor, until disposed or collected.
class TensorHandle : public Napi::ObjectWrap<TensorHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value wrap(Napi::Env env, at::Tensor tensor);
  /// The tensor in `value`; a TypeError naming `role` when there is none or it was disposed.
  static const at::Tensor& unwrap(Napi::Value value, const std::string& role);
  /// Like unwrap, without throwing: nullptr when `value` is no live tensor.
  static const at::Tensor* peek(Napi::Value value);
  static bool isDisposed(Napi::Value value);

  explicit TensorHandle(const Napi::CallbackInfo& info);
  ~TensorHandle() override;

 private:
  /// Whether this is a live tensor of this environment: an accessor may be called on an object that another addon wrapped.
  bool live(Napi::Env env) const { return Environment::of(env).handles.count(this) != 0; }
  const at::Tensor& tensor(Napi::Env env) const;
  void release();

  Napi::Value shape(const Napi::CallbackInfo& info);
  Napi::Value strides(const Napi::CallbackInfo& info);
  Napi::Value dtype(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value numel(const Napi::CallbackInfo& info);
  Napi::Value byteLength(const Napi::CallbackInfo& info);
  Napi::Value disposed(const Napi::CallbackInfo& info);
  Napi::Value isLeaf(const Napi::CallbackInfo& info);
  Napi::Value requiresGrad(const Napi::CallbackInfo& info);
  void setRequiresGrad(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value grad(const Napi::CallbackInfo& info);
  void setGrad(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value isContiguous(const Napi::CallbackInfo& info);
  Napi::Value sharesMemory(const Napi::CallbackInfo& info);
  Napi::Value item(const Napi::CallbackInfo& info);
  Napi::Value buffer(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Environment> environment_;
  at::Tensor tensor_;
  int64_t bytes_ = 0;
};

}  // namespace aaunet
