{
  'targets': [
    {
      'target_name': 'lvr',
      'dependencies': ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except"],
      'defines': ['NAPI_VERSION=9', '_GNU_SOURCE'],
      'sources': [
        'addon.cc', 'arena.cc', 'files.cc', 'engine.cc', 'ring.cc', 'threads.cc', 'crc32c.cc', 'system.cc', 'netlink.cc', 'sockets.cc',
        'receive.cc', 'send.cc',
      ],
      'cflags_cc!': ['-std=gnu++14', '-std=gnu++17', '-std=gnu++20', '-fno-rtti'],
      'cflags_cc': ['-std=c++17', '-O2', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
      # liburing is linked statically so that the module needs nothing beyond libc at run time. nodelete: a detached I/O thread
      # may still run our code when a Node worker that loaded the module ends and unloads it.
      'libraries': ['-l:liburing.a'],
      'ldflags': ['-Wl,-z,nodelete', '-Wl,--exclude-libs,ALL'],
    },
    {
      'target_name': 'lvr-launch',
      'type': 'executable',
      'sources': ['launch.c'],
      'cflags': ['-O2', '-Wall', '-Wextra', '-Werror'],
    },
  ],
}
