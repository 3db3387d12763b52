// Entry point of the addon: registers the parts. It holds no policy; every rule about when to do what lives in TypeScript.

#include "addon.h"

#include <uv.h>

#include <cmath>

#include "arena.h"

namespace lvr {

Instance& InstanceOf(Napi::Env env) { return *env.GetInstanceData<Instance>(); }

Napi::Error SystemError(Napi::Env env, int error, const char* syscall, const std::string& path) {
  const std::string code = uv_err_name(-error);
  std::string message = code + ": " + uv_strerror(-error) + ", " + syscall;
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("code", Napi::String::New(env, code));
  result.Set("errno", Napi::Number::New(env, error));
  result.Set("syscall", Napi::String::New(env, syscall));
  if (!path.empty()) result.Set("path", Napi::String::New(env, path));
  return result;
}

static double NumberArg(const Napi::CallbackInfo& info, size_t index) {
  if (index >= info.Length() || !info[index].IsNumber()) {
    throw Napi::TypeError::New(info.Env(), "argument " + std::to_string(index) + " must be a number");
  }
  return info[index].As<Napi::Number>().DoubleValue();
}

int Int32Arg(const Napi::CallbackInfo& info, size_t index) {
  const double value = NumberArg(info, index);
  if (!(value >= -2147483648.0 && value <= 2147483647.0) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), "argument " + std::to_string(index) + " must be a 32-bit integer");
  }
  return static_cast<int>(value);
}

int64_t Int64Arg(const Napi::CallbackInfo& info, size_t index) {
  const double value = NumberArg(info, index);
  if (!(std::fabs(value) <= 9007199254740991.0) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), "argument " + std::to_string(index) + " must be a safe integer");
  }
  return static_cast<int64_t>(value);
}

std::string StringArg(const Napi::CallbackInfo& info, size_t index) {
  if (index >= info.Length() || !info[index].IsString()) {
    throw Napi::TypeError::New(info.Env(), "argument " + std::to_string(index) + " must be a string");
  }
  return info[index].As<Napi::String>().Utf8Value();
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* instance = new Instance();
  instance->arenas = std::make_shared<ArenaRegistry>();
  env.SetInstanceData(instance);
  InitArena(env, exports);
  InitFiles(env, exports);
  InitEngine(env, exports);
  InitCrc32c(env, exports);
  InitSystem(env, exports);
  InitNetlink(env, exports);
  InitSockets(env, exports);
  InitReceive(env, exports);
  InitSend(env, exports);
  return exports;
}

}  // namespace lvr

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return lvr::Init(env, exports); }

NODE_API_MODULE(lvr, InitAddon)
