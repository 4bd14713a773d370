"""Programs that go over a limit, for canary.py: Python for containers, WebAssembly's text form for [wasm] jobs."""

MEMORY = """
print("began", flush=True)
held = [bytearray(b"x" * (1 << 20)) for _ in range(256)]
print("had all")
"""
CPU = """
import time
end = time.monotonic() + 1.5
while time.monotonic() < end:
    pass
print("ended")
"""
FORKS = """
import os, time
made = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        made += 1
except OSError:
    pass
print("made", made, flush=True)
os._exit(0)
"""
NETWORK = """
import socket
print("interfaces", *[name for _, name in socket.if_nameindex()])
for place in (("127.0.0.1", PORT), ("192.0.2.1", 9), ("1.1.1.1", 53)):
    try:
        socket.create_connection(place, 2)
        print("reached", place)
    except OSError as error:
        print("tried", place[0], error.strerror)
"""
FILES = """
for path in ("/canary/file", "/file", "/usr/file"):
    try:
        open(path, "w").close()
        print("wrote", path)
    except OSError as error:
        print("tried", path, error.strerror)
"""
SLEEP = """
import time
print("began", flush=True)
time.sleep(30)
"""
FLOOD = """
for _ in range(4096):
    print("x" * 1023)
"""

_IMPORTS = """
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
"""
MODULES = {
    "memory": """(module (memory (export "memory") 1) (func (export "_start")
        (block $full (loop $more (br_if $full (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
            (br_if $more (i32.lt_u (memory.size) (i32.const 16384)))))))""",
    "loop": """(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))""",
    # Descriptors 3 and up are folders that it was given: with none, each must be a bad descriptor (8).
    "open": f"""(module {_IMPORTS} (memory (export "memory") 1) (data (i32.const 0) "etc/passwd")
        (func (export "_start") (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 10)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))))""",
}
