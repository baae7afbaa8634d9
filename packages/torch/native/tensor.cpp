#include "tensor.h"

#include "convert.h"
#include "errors.h"

#include <ATen/ops/empty_strided.h>
#include <c10/core/MemoryFormat.h>

#include <memory>

namespace aaunet {

/// The memory a tensor refers to; 0 for sparse and nested ones, which consist of other tensors.
static int64_t bytesOf(const at::Tensor& tensor) {
  return tensor.layout() == at::kStrided && !tensor.is_nested() ? static_cast<int64_t>(tensor.nbytes()) : 0;
}

Napi::Function TensorHandle::define(Napi::Env env) {
  return DefineClass(env, "TensorHandle",
                     {InstanceAccessor<&TensorHandle::shape>("shape"),
                      InstanceAccessor<&TensorHandle::strides>("strides"),
                      InstanceAccessor<&TensorHandle::dtype>("dtype"),
                      InstanceAccessor<&TensorHandle::device>("device"),
                      InstanceAccessor<&TensorHandle::numel>("numel"),
                      InstanceAccessor<&TensorHandle::byteLength>("byteLength"),
                      InstanceAccessor<&TensorHandle::disposed>("disposed"),
                      InstanceAccessor<&TensorHandle::isLeaf>("isLeaf"),
                      InstanceAccessor<&TensorHandle::requiresGrad, &TensorHandle::setRequiresGrad>("requiresGrad"),
                      InstanceAccessor<&TensorHandle::grad, &TensorHandle::setGrad>("grad"),
                      InstanceMethod<&TensorHandle::isContiguous>("isContiguous"),
                      InstanceMethod<&TensorHandle::sharesMemory>("sharesMemory"),
                      InstanceMethod<&TensorHandle::item>("item"),
                      InstanceMethod<&TensorHandle::buffer>("buffer"),
                      InstanceMethod<&TensorHandle::dispose>("dispose")});
}

Napi::Value TensorHandle::wrap(Napi::Env env, at::Tensor tensor) {
  Environment& environment = Environment::of(env);
  if (environment.tensorClass.IsEmpty()) {
    throw makeError(env, "ERR_TORCH_STATE", "setTensorClass must be called before any operator");
  }
  environment.pending = std::move(tensor);
  return environment.tensorClass.New({});
}

TensorHandle::TensorHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<TensorHandle>(info), environment_(Environment::shared(info.Env())) {
  if (!environment_->pending) {
    throw makeError(info.Env(), "ERR_TORCH_ARGUMENT",
                    "a Tensor is made by an operator or a factory such as tensor(), zeros() or fromTypedArray(), "
                    "not with new");
  }
  tensor_ = std::move(*environment_->pending);
  environment_->pending.reset();
  bytes_ = bytesOf(tensor_);
  environment_->handles.insert(this);
  environment_->liveTensors += 1;
  environment_->liveBytes += bytes_;
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), bytes_);
}

TensorHandle::~TensorHandle() { release(); }

void TensorHandle::release() {
  if (environment_->handles.erase(this) == 0) return;
  tensor_.reset();
  environment_->liveTensors -= 1;
  environment_->liveBytes -= bytes_;
  // The C function, because the C++ one throws at the end of a thread, and nothing may leave a destructor.
  int64_t total = 0;
  napi_adjust_external_memory(Env(), -bytes_, &total);
}

const at::Tensor* TensorHandle::peek(Napi::Value value) {
  if (!value.IsObject()) return nullptr;
  void* raw = nullptr;
  if (napi_unwrap(value.Env(), value, &raw) != napi_ok) return nullptr;
  // Objects of other addons are wrapped too: only a pointer that this environment handed out is a tensor.
  if (Environment::of(value.Env()).handles.count(raw) == 0) return nullptr;
  return &static_cast<TensorHandle*>(raw)->tensor_;
}

bool TensorHandle::isDisposed(Napi::Value value) {
  void* raw = nullptr;
  return value.IsObject() && napi_unwrap(value.Env(), value, &raw) == napi_ok && peek(value) == nullptr &&
         value.As<Napi::Object>().InstanceOf(Environment::of(value.Env()).tensorClass.Value());
}

const at::Tensor& TensorHandle::unwrap(Napi::Value value, const std::string& role) {
  if (const at::Tensor* tensor = peek(value)) return *tensor;
  const std::string found = describe(value);
  throw makeError(value.Env(), "ERR_TORCH_ARGUMENT",
                  role + ": expected a Tensor, got " + found +
                      (found == "a disposed Tensor" ? "; keep() it or return it from its tidy() scope" : ""));
}

const at::Tensor& TensorHandle::tensor(Napi::Env env) const {
  if (!live(env)) {
    throw makeError(env, "ERR_TORCH_ARGUMENT", "this Tensor was disposed; keep() it or return it from its tidy() scope");
  }
  return tensor_;
}

static Napi::Value integers(Napi::Env env, c10::IntArrayRef values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); i++) array[static_cast<uint32_t>(i)] = Napi::Number::New(env, static_cast<double>(values[i]));
  return array;
}

Napi::Value TensorHandle::shape(const Napi::CallbackInfo& info) {
  const at::Tensor& self = tensor(info.Env());
  return guarded(info.Env(), [] { return std::string("shape"); }, [&] { return integers(info.Env(), self.sizes()); });
}

Napi::Value TensorHandle::strides(const Napi::CallbackInfo& info) {
  const at::Tensor& self = tensor(info.Env());
  return guarded(info.Env(), [] { return std::string("strides"); }, [&] { return integers(info.Env(), self.strides()); });
}

Napi::Value TensorHandle::dtype(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), dtypeName(tensor(info.Env()).scalar_type()));
}

Napi::Value TensorHandle::device(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), tensor(info.Env()).device().str());
}

Napi::Value TensorHandle::numel(const Napi::CallbackInfo& info) {
  const at::Tensor& self = tensor(info.Env());
  return guarded(info.Env(), [] { return std::string("numel"); },
                 [&] { return Napi::Number::New(info.Env(), static_cast<double>(self.numel())); });
}

Napi::Value TensorHandle::byteLength(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(bytesOf(tensor(info.Env()))));
}

Napi::Value TensorHandle::disposed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !live(info.Env()));
}

Napi::Value TensorHandle::isLeaf(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), tensor(info.Env()).is_leaf());
}

Napi::Value TensorHandle::requiresGrad(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), tensor(info.Env()).requires_grad());
}

void TensorHandle::setRequiresGrad(const Napi::CallbackInfo& info, const Napi::Value& value) {
  const at::Tensor& self = tensor(info.Env());
  const bool on = value.ToBoolean();
  guarded(info.Env(), [&] { return "requiresGrad of " + describe(self); }, [&] {
    TORCH_CHECK(on || self.is_leaf(), "only a leaf can stop requiring gradients; use detach()");
    self.set_requires_grad(on);
  });
}

Napi::Value TensorHandle::grad(const Napi::CallbackInfo& info) {
  const at::Tensor& gradient = tensor(info.Env()).grad();
  return gradient.defined() ? wrap(info.Env(), gradient) : info.Env().Null();
}

/// Whether two tensors of one shape have their values in the same order in memory.
static bool lieAlike(const at::Tensor& one, const at::Tensor& other) {
  for (int64_t axis = 0; axis < one.dim(); axis++)
    if (one.size(axis) != 1 && one.stride(axis) != other.stride(axis)) return false;
  return true;
}

void TensorHandle::setGrad(const Napi::CallbackInfo& info, const Napi::Value& value) {
  const at::Tensor& self = tensor(info.Env());
  if (value.IsNull() || value.IsUndefined()) {
    self.mutable_grad().reset();
    return;
  }
  const at::Tensor& gradient = unwrap(value, "grad");
  guarded(info.Env(), [&] { return "grad of " + describe(self); }, [&] {
    TORCH_CHECK(gradient.sizes() == self.sizes() && gradient.scalar_type() == self.scalar_type() && gradient.device() == self.device(),
                "a gradient has its tensor's shape, type and device, got ", describe(gradient));
    // Optimisers walk through the memory of both side by side.
    self.mutable_grad() = lieAlike(gradient, self) ? gradient : at::empty_strided(self.sizes(), self.strides(), self.options()).copy_(gradient);
  });
}

Napi::Value TensorHandle::isContiguous(const Napi::CallbackInfo& info) {
  const auto format = info.Length() > 0 && !info[0].IsUndefined() ? memoryFormat(info[0], "memoryFormat") : at::MemoryFormat::Contiguous;
  const at::Tensor& self = tensor(info.Env());
  return guarded(info.Env(), [&] { return "isContiguous of " + describe(self); },
                 [&] { return Napi::Boolean::New(info.Env(), self.is_contiguous(format)); });
}

Napi::Value TensorHandle::sharesMemory(const Napi::CallbackInfo& info) {
  const at::Tensor& self = tensor(info.Env());
  const at::Tensor& other = unwrap(info[0], "other");
  return guarded(info.Env(), [&] { return "sharesMemory of " + describe(self); }, [&] {
    return Napi::Boolean::New(info.Env(), self.has_storage() && other.has_storage() && self.is_alias_of(other));
  });
}

Napi::Value TensorHandle::item(const Napi::CallbackInfo& info) {
  const at::Tensor& self = tensor(info.Env());
  return guarded(info.Env(), [&] { return "item of " + describe(self); }, [&] { return fromScalar(info.Env(), self.item()); });
}

Napi::Value TensorHandle::buffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const at::Tensor& self = tensor(env);
  return guarded(env, [&] { return "buffer of " + describe(self); }, [&]() -> Napi::Value {
    TORCH_CHECK(self.device().is_cpu(), "only memory of the CPU can be shared; use cpu() first");
    TORCH_CHECK(self.layout() == at::kStrided && !self.is_nested() && self.is_contiguous(), "only contiguous memory can be shared; use contiguous() first");
    TORCH_CHECK(!self.is_conj() && !self.is_neg(), "a lazily conjugated or negated tensor has no memory of its own; use resolve_conj");
    if (self.numel() == 0) return Napi::ArrayBuffer::New(env, 0);
    // The ArrayBuffer owns a reference to the storage, so it outlives the Tensor; a storage that could move must not.
    self.storage().unsafeGetStorageImpl()->set_resizable(false);
    auto owner = std::make_unique<at::Tensor>(self.detach());
    void* data = self.data_ptr();
    Napi::Value buffer = Napi::ArrayBuffer::New(
        env, data, self.nbytes(), [](Napi::Env, void*, at::Tensor* held) { delete held; }, owner.get());
    owner.release();
    return buffer;
  });
}

void TensorHandle::dispose(const Napi::CallbackInfo& info) {
  if (live(info.Env())) release();
}

}  // namespace aaunet
